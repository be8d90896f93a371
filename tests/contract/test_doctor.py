"""`overread doctor`, and apply on servers that are otherwise than the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from helpers.other_server import in_front_of
from helpers.ports import free_port
from helpers.study_site import Site, start_site

BUILD = "GET /xapi/siteConfig/buildInfo"
CHAIN = "GET /xapi/orchestration/project/KNEE"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = start_site(tmp_path_factory.mktemp("doctor"))
    assert site.apply().exit_code == 0
    yield site
    site.hub.stop()


def doctor(site: Site, *options: str, url: str = "", **login: str) -> Result:
    arguments = ("doctor", str(site.manifest), "--dicom-port", str(site.dicom_port), *options)
    return site.run(*arguments, url=url, **login)


def states(result: Result) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["state"], check["todo"]) for check in json.loads(result.stdout)["checks"]}


def test_every_step_is_gone_through(site: Site) -> None:
    found = states(doctor(site, "--json"))
    well = {name for name, (state, _) in found.items() if state == "ok"}
    assert {
        "login", "roles", "server XNAT 1.9.3", "plugin Container Service 3.7.3", "project KNEE", "event service",
        "command knee-volume 1.0.0", "container backend", "GPU", "ROI collections", "receiver, C-ECHO",
        "receiver, C-STORE", "receiver, cleaned up", "form 'Knee feedback'", "subscriptions",
    } <= well  # fmt: skip
    assert {name for name, (state, _) in found.items() if state == "fail"} == {"review page"}, "no core plugin here"
    assert found["runs"] == found["results"] == ("warn", "send an exam to the receiver")
    assert all(todo for state, todo in found.values() if state != "ok")


def test_nothing_is_left_behind(site: Site) -> None:
    doctor(site)
    with site.hub.client() as client:
        assert client.get("/data/prearchive", params={"format": "json"}).json()["ResultSet"]["Result"] == []
        assert client.get("/data/projects/KNEE/subjects", params={"format": "json"}).json()["ResultSet"]["Result"] == []


def test_receiver_that_nobody_hears_is_told(site: Site) -> None:
    result = site.run("doctor", str(site.manifest), "--dicom-port", "1", "--json")
    found = states(result)
    assert result.exit_code == 1
    assert found["receiver, C-ECHO"][0] == "fail"
    assert "firewalls" in found["receiver, C-ECHO"][1]
    assert found["receiver KNEE:1"] == ("fail", f"overread study apply {site.manifest}")


DIFFERENT: dict[str, tuple[dict[str, tuple[int, Any]], str, str]] = {
    "older": ({BUILD: (200, {"version": "1.7.6"})}, "server XNAT 1.7.6", "fail"),
    "newer": ({BUILD: (200, {"version": "1.10.1"})}, "server XNAT 1.10.1", "warn"),
    "no viewer": ({"GET /xapi/plugins": (200, {"containers": {"version": "3.7.3"}})}, "plugin OHIF viewer", "fail"),
    "no ROI": ({"GET /xapi/roi/projects/KNEE/permissions/RoiCollection": (404, "")}, "ROI collections", "fail"),
    "no engine": ({"GET /xapi/docker/server/ping": (500, "unreachable")}, "container backend", "fail"),
    "no server": ({"GET /xapi/docker/server": (404, "")}, "container backend", "fail"),
    "events off": ({"GET /xapi/events/prefs": (200, {"enabled": False})}, "event service", "fail"),
    "failed run": ({"GET /xapi/projects/KNEE/containers": (200, [{"id": 3, "status": "Failed"}])}, "runs", "fail"),
    "chain": (
        {CHAIN: (200, {"selectedOrchestrationId": 4})}, "orchestration of KNEE", "warn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_each_difference_is_found_with_what_to_do(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overread.xnat.doctor._receiver", lambda *_: iter(()))
    answers, check, state = DIFFERENT[name]
    with in_front_of(site.hub.url, answers) as url:
        found = states(doctor(site, "--json", url=url))
    assert found[check][0] == state
    assert found[check][1]


BAD: dict[str, tuple[dict[str, tuple[int, Any]], str]] = {
    "older": ({BUILD: (200, {"version": "1.7.6"})}, "server XNAT 1.7.6: is too old: a study needs 1.9 or newer"),
    "no container service": (
        {"GET /xapi/plugins": (200, {"ohifViewerPlugin": {"version": "3.7.2"}})},
        "plugin Container Service: the server does not have it; install it",
    ),
    "expired": ({"GET /xapi/dicomscp": (401, "")}, "GET /xapi/dicomscp: 401; the login of admin is not valid any more"),
    "no role": ({"GET /xapi/events/subscriptions": (403, "")}, "403; admin may not do this, ask an administrator"),
    "no site": ({"GET /xapi/commands": (200, "<html>Welcome</html>")}, "a web page came back instead of data"),
}


@pytest.mark.parametrize("verb", ["plan", "apply", "export", "destroy"])
def test_a_server_that_does_not_answer_is_one_line(site: Site, tmp_path: Path, verb: str) -> None:
    more = {"export": ("--signed-by", "R. Roe", "--out", str(tmp_path / "x.zip")), "destroy": ("--keep-data",)}
    nobody = f"http://127.0.0.1:{free_port()}"
    result = site.run("study", verb, str(site.manifest), *more.get(verb, ()), url=nobody)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: nothing answers at {nobody}; check the address, and that the server runs\n"
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("name", BAD)
def test_bad_server_is_one_line_and_stays_as_it_was(site: Site, name: str) -> None:
    answers, complaint = BAD[name]
    writing = {f"{verb} /data/projects/KNEE": (500, "must not be asked") for verb in ("PUT", "DELETE")}
    site.edit("study.yaml", "title: Knee effusion", "title: Knees")
    try:
        with in_front_of(site.hub.url, {**answers, **writing}) as url:
            result = site.run("study", "apply", str(site.manifest), "--dicom-port", str(site.dicom_port), url=url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert complaint in result.stderr
        assert result.stderr.count("\n") == 1
        with site.hub.client() as client:
            table = client.get("/data/config/overread/studies", params={"contents": "true"}).json()
            assert table["knee"]["title"] == "Knee effusion"
    finally:
        site.edit("study.yaml", "title: Knees", "title: Knee effusion")
