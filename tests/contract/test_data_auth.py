"""Logging in, tokens, the CSRF token (xnat-rest 1; 10.1, checks 15 and 16)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from hub_fixture import RunningHub

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140 Safari/537.36"}


@contextmanager
def logged_in(hub: RunningHub, **headers: str) -> Iterator[httpx.Client]:
    with hub.client(None, headers=headers) as client:
        answer = client.put("/data/services/auth", data={"username": "admin", "password": hub.password})
        assert answer.status_code == 200
        assert re.fullmatch("[0-9A-F]{32}", answer.text)
        assert client.cookies["JSESSIONID"] == answer.text
        yield client


def test_basic_login_names_the_user(shared_hub: RunningHub) -> None:
    with shared_hub.client() as client:
        answer = client.get("/data/auth")
    assert answer.status_code == 200
    assert answer.text == "User 'admin' is logged in"


@pytest.mark.parametrize("login", ["admin", "nobody"])
def test_wrong_password_is_401_with_a_challenge(shared_hub: RunningHub, login: str) -> None:
    with shared_hub.client(login, "wrong") as client:
        answer = client.get("/data/auth")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_without_login_browsers_are_sent_to_the_form_and_programs_refused(shared_hub: RunningHub) -> None:
    path = "/data/projects/P?format=html"
    with shared_hub.client(None, headers=BROWSER) as browser:
        answer = browser.get(path)
    assert answer.status_code == 302
    assert answer.headers["location"] == "/app/template/Login.vm?next=%2Fdata%2Fprojects%2FP%3Fformat%3Dhtml"
    with shared_hub.client(None) as program:
        answer = program.get(path)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_browsers_must_name_the_token_to_change_something(shared_hub: RunningHub) -> None:
    with logged_in(shared_hub, **BROWSER) as browser:
        refused = browser.put("/data/projects/P/subjects/CSRF")
        assert refused.status_code == 403
        assert "INVALID CSRF" in refused.text
        told = browser.get("/data/JSESSION?CSRF=true").text
        session_id, _, token = told.partition("; XNAT_CSRF=")
        assert session_id == browser.cookies["JSESSIONID"]
        assert browser.put("/data/projects/P/subjects/CSRF", params={"XNAT_CSRF": token}).status_code == 201
        assert f"csrfToken = '{token}'" in browser.get("/").text
    with logged_in(shared_hub) as program:
        assert program.put("/data/projects/P/subjects/CSRF").status_code == 200


def test_pages_of_other_sites_change_nothing_by_a_browsers_remembered_password(shared_hub: RunningHub) -> None:
    headers = {**BROWSER, "sec-fetch-site": "cross-site"}
    with shared_hub.client(headers=headers) as forged:
        assert forged.put("/data/projects/P/subjects/FORGED").status_code == 403
        assert forged.get("/data/projects/P?format=json").status_code == 200  # a link to us is no harm
    with shared_hub.client() as program:
        assert program.get("/data/projects/P/subjects/FORGED?format=json").status_code == 404


def test_a_token_in_other_letters_is_a_wrong_one(shared_hub: RunningHub) -> None:
    with logged_in(shared_hub, **BROWSER) as browser:
        assert browser.put("/data/projects/P/subjects/CSRF", params={"XNAT_CSRF": "\u00e4"}).status_code == 403


def test_logging_out_ends_the_session(shared_hub: RunningHub) -> None:
    with logged_in(shared_hub) as client:
        session_id = client.cookies["JSESSIONID"]
        assert client.delete("/data/JSESSION").status_code == 200
    with shared_hub.client(None, cookies={"JSESSIONID": session_id}) as client:
        assert client.get("/data/auth").status_code == 401


def test_tokens_stand_in_for_a_password_until_ended(shared_hub: RunningHub) -> None:
    with shared_hub.client() as client:
        token = client.get("/data/services/tokens/issue").json()
        assert token["xdatUserId"] == "admin"
        assert re.fullmatch("[A-Za-z0-9]{64}", token["secret"])
        base = "/data/services/tokens"
        pair = f"{token['alias']}/{token['secret']}"
        assert client.get(f"{base}/validate/{pair}").json() == {"valid": "admin"}
        assert client.get(f"{base}/validate/{token['alias']}/wrong").json() == {}
        assert token["alias"] in {one["alias"] for one in client.get(f"{base}/show").json()}
        assert token["secret"] not in client.get(f"{base}/show").text
        with shared_hub.client(token["alias"], token["secret"]) as by_token:
            assert by_token.get("/data/auth").text == "User 'admin' is logged in"
            assert client.get(f"{base}/invalidate/{token['alias']}").json() == {"result": "OK"}
        with shared_hub.client(token["alias"], token["secret"]) as by_token:
            assert by_token.get("/data/auth").status_code == 401
        assert client.get(f"{base}/invalidate/{token['alias']}").status_code == 404
        assert client.get(f"{base}/frobnicate").status_code == 400


def test_tokens_of_others_are_not_given_out(shared_hub: RunningHub) -> None:
    with shared_hub.client() as client:
        client.post("/xapi/users", json={"username": "tess", "password": "tess-password"})
        mine = client.get("/data/services/tokens/issue").json()
        assert client.get("/data/services/tokens/issue/user/tess").json()["xdatUserId"] == "tess"
    with shared_hub.client("tess", "tess-password") as tess:
        assert tess.get("/data/services/tokens/issue/user/admin").status_code == 403
        assert tess.get(f"/data/services/tokens/invalidate/{mine['alias']}").status_code == 404
        assert mine["alias"] not in tess.get("/data/services/tokens/show").text


def test_every_answer_tells_when_the_session_ends(shared_hub: RunningHub) -> None:
    with shared_hub.client() as client:
        cookie = client.get("/data/auth").headers["set-cookie"]
    assert re.search(r'SESSION_EXPIRATION_TIME="\d+,\d+"', cookie)
