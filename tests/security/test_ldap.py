"""Logins by a directory: Debian's slapd, over LDAP, StartTLS and LDAPS."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from helpers.slapd import BASE, Slapd, write_properties
from hub_fixture import RunningHub, start_hub
from overread.errors import OverreadError
from overread.hub.errors import HubError
from overread.hub.ldap import Directory, read_directories
from overread.hub.models import User

pytestmark = pytest.mark.needs("slapd")


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    running = Slapd()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, slapd: Slapd) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("ldap")
    write_properties(folder / "home" / "auth", "ldap1", slapd.settings())
    running = start_hub(folder, tick_s=3600)
    with running.client() as admin:
        made = {"username": "local", "password": "local-password"}
        assert admin.post("/xapi/users", json=made).status_code == 201
    yield running
    running.stop()


def log_in(hub: RunningHub, login: str, password: str) -> httpx.Response:
    with hub.client(None) as client:
        answer = client.put("/data/services/auth", data={"username": login, "password": password})
        return client.get("/data/auth") if answer.status_code == 200 else answer


def user_of(hub: RunningHub, login: str) -> User | None:
    with hub.hub.database.read() as db:
        return db.scalar(select(User).where(User.login == login))


def directory(tmp_path: Path, settings: dict[str, str]) -> Directory:
    write_properties(tmp_path, "one", settings)
    (found,) = read_directories(tmp_path)
    return found


def test_the_first_login_makes_an_account(shared: RunningHub) -> None:
    assert user_of(shared, "ada") is None
    assert log_in(shared, "ada", "wrong").status_code == 401
    assert user_of(shared, "ada") is None
    assert log_in(shared, "ada", "ada-password").text == "User 'ada' is logged in"
    made = user_of(shared, "ada")
    assert made is not None
    assert (made.provider, made.first_name, made.last_name, made.email, made.roles, made.password_hash) == (
        "ldap1", "First", "Last-ada", "ada@example.org", [], "",
    )  # fmt: skip
    assert log_in(shared, "ADA", "ada-password").text == "User 'ada' is logged in", "a directory knows no letter case"
    assert log_in(shared, "ldap1/ada", "ada-password").text == "User 'ada' is logged in"
    with shared.client("ada", "ada-password") as ada:
        assert ada.get("/data/auth").status_code == 200
        assert ada.put("/xapi/users/ada", json={"password": "my-own-password"}).status_code == 400
    assert log_in(shared, "ada", "my-own-password").status_code == 401


@pytest.mark.parametrize("password", ["", " ", "*", "ada-passwor", "ada-password\0"])
def test_no_other_password_opens_it(shared: RunningHub, password: str) -> None:
    assert log_in(shared, "ada", password).status_code == 401


def test_accounts_of_the_hub_stay_its_own(shared: RunningHub) -> None:
    assert log_in(shared, "admin", shared.password).text == "User 'admin' is logged in"
    assert log_in(shared, "local", "local-password").text == "User 'local' is logged in"
    assert log_in(shared, "admin", "not-the-hubs").status_code == 401, "a directory's admin is not the hub's"
    assert log_in(shared, "ldap1/admin", "not-the-hubs").status_code == 401
    assert log_in(shared, "ADMIN", "not-the-hubs").status_code == 401


def test_who_is_disabled_here_is_refused(shared: RunningHub) -> None:
    assert log_in(shared, "bob", "bob-password").status_code == 200
    with shared.client() as admin:
        assert admin.put("/xapi/users/bob/enabled/false").status_code == 200
        assert log_in(shared, "bob", "bob-password").status_code == 401
        assert log_in(shared, "BOB", "bob-password").status_code == 401
        assert admin.put("/xapi/users/bob/enabled/true").status_code == 200
    assert log_in(shared, "bob", "bob-password").status_code == 200


def test_a_changed_password_counts_at_once_for_the_form(shared: RunningHub, slapd: Slapd) -> None:
    assert log_in(shared, "bob", "bob-password").status_code == 200
    slapd.change_password("bob", "new-password")
    assert log_in(shared, "bob", "new-password").status_code == 200
    shared.hub.logins._right.clear()  # a minute later
    assert log_in(shared, "bob", "bob-password").status_code == 401
    slapd.change_password("bob", "bob-password")


@pytest.mark.parametrize(
    "login", ["*", "a*", "ada)(uid=*", "*)(objectClass=*", "ad\\61", "twin", "ada\0", "x*y", "ldap1/*", ")", "ldap1/"]
)
def test_a_name_is_no_filter(shared: RunningHub, slapd: Slapd, tmp_path: Path, login: str) -> None:
    for password in ("ada-password", "twin-password", "star", "t-password"):
        assert log_in(shared, login, password).status_code == 401
    found = directory(tmp_path, slapd.settings())
    person = found.find(login, "star")
    assert (person.login if person is not None else None) == ("x*y" if login == "x*y" else None)
    assert found.find(login, "ada-password") is None


def test_new_accounts_may_wait_for_an_administrator(tmp_path: Path, slapd: Slapd) -> None:
    write_properties(tmp_path / "home" / "auth", "ldap1", slapd.settings(auto_enabled="false"))
    hub = start_hub(tmp_path, tick_s=3600)
    try:
        assert log_in(hub, "ada", "ada-password").status_code == 401
        with hub.client() as admin:
            assert admin.get("/xapi/users/ada").json()["enabled"] is False
            assert admin.put("/xapi/users/ada/enabled/true").status_code == 200
        assert log_in(hub, "ada", "ada-password").status_code == 200
    finally:
        hub.stop()


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # ldap3 drops it if the name is wrong
@pytest.mark.parametrize("way", ["starttls", "ldaps"])
def test_over_tls_to_the_right_server_alone(tmp_path: Path, slapd: Slapd, way: str) -> None:
    port, scheme = (slapd.ldap_port, "ldap") if way == "starttls" else (slapd.ldaps_port, "ldaps")
    safe = {"tls_start": str(way == "starttls").lower(), "tls_ca": str(slapd.authority)}
    right = directory(tmp_path, slapd.settings(address=f"{scheme}://localhost:{port}/{BASE}", **safe))
    person = right.find("ada", "ada-password")
    assert person is not None
    assert person.login == "ada"
    assert right.find("ada", "wrong") is None
    another_name = directory(tmp_path, slapd.settings(address=f"{scheme}://127.0.0.1:{port}/{BASE}", **safe))
    stranger = slapd.settings(address=f"{scheme}://localhost:{port}/{BASE}", **safe)
    del stranger["tls.ca"]
    for wrong in (another_name, directory(tmp_path, stranger)):
        with pytest.raises(HubError, match="503"):
            wrong.find("ada", "ada-password")
    gc.collect()


def test_a_directory_that_is_down(shared: RunningHub, slapd: Slapd, caplog: pytest.LogCaptureFixture) -> None:
    assert log_in(shared, "ada", "ada-password").status_code == 200
    shared.hub.logins._right.clear()
    slapd.end()
    caplog.set_level(logging.DEBUG)
    try:
        answer = log_in(shared, "ada", "ada-password")
        assert answer.status_code == 503
        assert "Test directory can&#x27;t be asked" in answer.text
        with shared.client(None) as browser:
            page = browser.post("/app/template/Login.vm", data={"username": "ada", "password": "ada-password"})
            assert page.status_code == 503
            assert "Test directory can&#x27;t be asked" in page.text
        assert log_in(shared, "local", "local-password").status_code == 200
        ours = [record for record in caplog.records if record.name == "overread.hub.ldap"]
        assert ours
        assert all(not record.exc_info and "\n" not in record.getMessage() for record in ours)
        assert "ada-password" not in caplog.text
    finally:
        slapd.start()
    assert log_in(shared, "ada", "ada-password").status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"search.filter": "(uid=ada)"}, "search.filter must hold {0}"),
        ({"address": "http://127.0.0.1"}, "address must be like"),
        ({"address": "ldap://directory.example.org"}, "passwords would travel in clear"),
        ({"auto.enabled": "maybe"}, "auto.enabled must be true or false"),
        ({"search.fliter": "(uid={0})"}, "search.fliter is unknown"),
        ({"provider.id": ""}, "provider.id is missing"),
        ({"provider.id": "a/b"}, "provider.id must be"),
        ({"timeout.s": "soon"}, "timeout.s a whole number"),
    ],
)
def test_a_file_that_can_not_be_used_is_told(tmp_path: Path, slapd: Slapd, change: dict[str, str], said: str) -> None:
    path = write_properties(tmp_path, "one", slapd.settings() | change)
    with pytest.raises(OverreadError, match=r"one-provider\.properties") as caught:
        read_directories(tmp_path)
    assert said in str(caught.value)
    assert path.name in str(caught.value)


def test_two_files_of_one_id_are_told(tmp_path: Path, slapd: Slapd) -> None:
    for name in ("one", "two"):
        write_properties(tmp_path, name, slapd.settings())
    with pytest.raises(OverreadError, match=r"another file has the provider\.id"):
        read_directories(tmp_path)
