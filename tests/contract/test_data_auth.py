"""Logging in, as a client meets it first."""

from __future__ import annotations

from hub_fixture import RunningHub


def test_basic_login_names_the_user(hub: RunningHub) -> None:
    with hub.client() as client:
        answer = client.get("/data/auth")
    assert answer.status_code == 200
    assert answer.text == "User 'admin' is logged in"


def test_wrong_password_is_401_with_a_challenge(hub: RunningHub) -> None:
    with hub.client(password="wrong") as client:
        answer = client.get("/data/auth")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
