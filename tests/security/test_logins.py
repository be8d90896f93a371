"""Guessing passwords, sessions that end, weak passwords."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from hub_fixture import RunningHub, start_hub
from overread.hub.errors import HubError
from overread.hub.models import AliasToken, User
from overread.hub.models.base import utc_now
from overread.hub.policy import seconds

_names = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("logins"), tick_s=3600)
    yield running
    running.stop()


@pytest.fixture
def admin(shared: RunningHub) -> Iterator[httpx.Client]:
    with shared.client() as client:
        yield client
        defaults = {"maxFailedLogins": 20, "sessionTimeout": "15 minutes", "concurrentMaxSessions": 1000}
        assert client.post("/xapi/siteConfig", json=defaults).status_code == 200


@pytest.fixture
def login(admin: httpx.Client) -> str:
    name = f"user{next(_names)}"
    assert admin.post("/xapi/users", json={"username": name, "password": f"secret-{name}"}).status_code == 201
    return name


def by_form(hub: RunningHub, login: str, password: str) -> httpx.Response:
    with hub.client(None) as client:
        return client.put("/data/services/auth", data={"username": login, "password": password})


def by_basic(hub: RunningHub, login: str, password: str) -> httpx.Response:
    with hub.client(login, password) as client:
        return client.get("/data/auth")


def test_too_many_failures_lock_an_account_for_a_while(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    assert admin.post("/xapi/siteConfig", json={"maxFailedLogins": 3}).status_code == 200
    right = f"secret-{login}"
    assert by_basic(shared, login, right).status_code == 200  # the hub remembers that it was right
    wrong = [by_form(shared, login, "wrong"), by_basic(shared, login, "wrong"), by_form(shared, login, "")]
    assert {answer.status_code for answer in wrong} == {401}
    locked = [by_form(shared, login, right), by_basic(shared, login, right)]
    assert {answer.status_code for answer in locked} == {401}
    assert locked[0].text == wrong[0].text, "who guesses is not told that the account is locked"
    assert by_form(shared, "admin", shared.password).status_code == 200, "nobody else is locked out"
    rows = admin.get("/xapi/overread/audit", params={"user": login, "action": "lock"}).json()["rows"]
    assert [row["detail"] for row in rows] == ["for 3600 s"]
    with shared.hub.database.write() as db:
        user = db.scalar(select(User).where(User.login == login))
        assert user is not None
        user.locked_until = utc_now() - timedelta(seconds=1)
    assert by_form(shared, login, right).status_code == 200


def test_a_right_password_begins_the_count_anew(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    admin.post("/xapi/siteConfig", json={"maxFailedLogins": 2})
    for _ in range(3):
        assert by_form(shared, login, "wrong").status_code == 401
        assert by_form(shared, login, f"secret-{login}").status_code == 200


def test_failures_of_long_ago_do_not_count(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    admin.post("/xapi/siteConfig", json={"maxFailedLogins": 2})
    assert by_form(shared, login, "wrong").status_code == 401
    with shared.hub.database.write() as db:
        user = db.scalar(select(User).where(User.login == login))
        assert user is not None
        user.last_failed_login = utc_now() - timedelta(hours=2)
    assert by_form(shared, login, "wrong").status_code == 401
    assert by_form(shared, login, f"secret-{login}").status_code == 200


def test_an_administrator_opens_a_locked_account(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    admin.post("/xapi/siteConfig", json={"maxFailedLogins": 1})
    assert by_form(shared, login, "wrong").status_code == 401
    assert by_form(shared, login, f"secret-{login}").status_code == 401
    assert admin.get(f"/xapi/users/{login}").json()["locked"] is True
    assert admin.put(f"/xapi/users/{login}/enabled/true").status_code == 200
    assert admin.get(f"/xapi/users/{login}").json()["locked"] is False
    assert by_form(shared, login, f"secret-{login}").status_code == 200


def test_unknown_disabled_and_known_names_cost_the_same_work(
    shared: RunningHub, admin: httpx.Client, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = shared.hub.logins
    logins.check("nobody-here", "x")  # makes the hash that stands for nobody's
    seen: list[str] = []
    verify = logins._hasher.verify
    monkeypatch.setattr(logins, "_hasher", _Counting(verify, seen))
    admin.put(f"/xapi/users/{login}/enabled/false")
    answers = [by_form(shared, name, "wrong") for name in ("nobody-here", login, "admin", "", "x" * 5000)]
    assert len(seen) == len(answers), "each took one hash"
    parameters = {tuple(text.split("$")[1:4]) for text in seen}
    assert len(parameters) == 1, "of the same cost"
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1


class _Counting:
    def __init__(self, verify, seen: list[str]) -> None:
        self._verify, self._seen = verify, seen

    def verify(self, text: str, password: str) -> bool:
        self._seen.append(text)
        return bool(self._verify(text, password))


def test_sessions_end_when_idle_and_after_their_life(
    shared: RunningHub, admin: httpx.Client, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(shared.hub.sessions, "clock", lambda: now[0])
    assert admin.post("/xapi/siteConfig", json={"sessionTimeout": "10 minutes"}).status_code == 200
    form = {"username": login, "password": f"secret-{login}"}
    with shared.client(None) as client:
        client.put("/data/services/auth", data=form)
        now[0] += 599
        answer = client.get("/data/auth")
        assert answer.status_code == 200
        assert ',600000"' in answer.headers["set-cookie"]
        now[0] += 601
        assert client.get("/data/auth").status_code == 401
        client.put("/data/services/auth", data=form)
        for _ in range(12 * 6):  # busy for twelve hours
            assert client.get("/data/auth").status_code == 200
            now[0] += 600
        now[0] += 1
        assert client.get("/data/auth").status_code == 401


def test_sessions_have_a_number(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    admin.post("/xapi/siteConfig", json={"concurrentMaxSessions": 2})
    right = f"secret-{login}"
    with shared.client(None) as first:
        first.put("/data/services/auth", data={"username": login, "password": right})
        assert by_form(shared, login, right).status_code == 200
        refused = by_form(shared, login, right)
        assert refused.status_code == 401
        assert "2 sessions" in refused.text
        assert first.get("/data/auth").status_code == 200, "who was there before stays"
        shared.hub.sessions.close_all(login)
        for _ in range(5):  # a script without a cookie jar
            assert by_basic(shared, login, right).status_code == 200
    sessions = shared.hub.sessions
    for _ in range(3000):
        try:
            sessions.open(login, by_basic=True)
        except HubError:
            pytest.fail("scripts must not lock themselves out")
    assert len(sessions._of[login]) == 2


@pytest.mark.parametrize("password", ["short", "", "Dan.Smith", "x" * 1001])
def test_weak_passwords_are_refused(admin: httpx.Client, password: str) -> None:
    answer = admin.post("/xapi/users", json={"username": "dan.smith", "password": password})
    assert answer.status_code == 400
    assert password not in answer.text or not password
    assert admin.get("/xapi/users/dan.smith").status_code == 404


def test_the_site_sets_what_a_password_must_be(admin: httpx.Client, login: str) -> None:
    rule = {"passwordComplexity": r"(?=.*[A-Z])(?=.*\d).{10,}", "passwordComplexityMessage": "Capitals and digits."}
    before = {name: admin.get(f"/xapi/siteConfig/{name}").text for name in rule}
    assert admin.post("/xapi/siteConfig", json=rule).status_code == 200
    refused = admin.put(f"/xapi/users/{login}", json={"password": "long-but-plain"})
    assert (refused.status_code, refused.text) == (400, "Capitals and digits.")
    assert admin.put(f"/xapi/users/{login}", json={"password": "Long-enough-1"}).status_code == 200
    assert admin.post("/xapi/siteConfig", json=before).status_code == 200
    for name, value in (
        ("passwordComplexity", "("), ("sessionTimeout", "soon"), ("sessionTimeout", "0 minutes"),
        ("maxFailedLogins", "many"), ("concurrentMaxSessions", 0), ("maxFailedLoginsLockoutDuration", "-1 hour"),
    ):  # fmt: skip
        assert admin.post("/xapi/siteConfig", json={name: value}).status_code == 400, name


def test_a_new_password_ends_sessions_and_tokens(shared: RunningHub, admin: httpx.Client, login: str) -> None:
    with shared.client(None) as stolen, shared.client(login, f"secret-{login}") as owner:
        stolen.put("/data/services/auth", data={"username": login, "password": f"secret-{login}"})
        token = owner.get("/data/services/tokens/issue").json()
        assert by_basic(shared, token["alias"], token["secret"]).status_code == 200
        assert owner.put(f"/xapi/users/{login}", json={"password": "another-secret"}).status_code == 200
        assert stolen.get("/data/auth").status_code == 401
        assert by_basic(shared, token["alias"], token["secret"]).status_code == 401
    with shared.hub.database.read() as db:
        assert db.scalar(select(AliasToken).where(AliasToken.login == login)) is None


def test_tokens_live_as_long_as_the_site_says(admin: httpx.Client) -> None:
    admin.post("/xapi/siteConfig", json={"aliasTokenTimeout": "5 minutes"})
    token = admin.get("/data/services/tokens/issue").json()
    assert token["estimatedExpirationTime"] - token["created"] == pytest.approx(300_000, abs=1000)
    admin.post("/xapi/siteConfig", json={"aliasTokenTimeout": "2 days"})


@pytest.mark.parametrize(
    ("text", "expected"), [("15 minutes", 900), ("1 hour", 3600), ("2 days", 172_800), (" 1 Week ", 604_800)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected
