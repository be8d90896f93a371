"""Readers and the chain of a study's commands, as `overread study apply` sets them on a hub."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.commands import COMMAND
from helpers.study_site import Site, start_site

CHAIN = "knee: result, then report"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose study has readers, and a report that is made by itself."""
    folder: Path = tmp_path_factory.mktemp("people")
    site = start_site(folder)
    report = copy.deepcopy(COMMAND)
    report["name"], report["image"] = "knee-report", "overread/knee-report:1.0.0"
    report["xnat"][0]["name"] = "knee-report-session"
    path = site.manifest.parent / "images/knee-report/command.json"
    path.parent.mkdir()
    path.write_text(json.dumps(report))
    with site.manifest.open("a") as file:
        file.write("report: {command: images/knee-report/command.json, after_result: true}\n")
        file.write("mode: assist\nreaders: {group: radiologists, per_case: 2}\n")
    yield site
    site.hub.stop()


def roster(site: Site, *logins: str) -> str:
    path = site.manifest.parent / "readers.yaml"
    path.write_text(f"groups: {{radiologists: [{', '.join(logins)}]}}\n")
    return str(path)


def account(site: Site, login: str) -> None:
    body = {
        "username": login, "password": "Long-enough-1", "firstName": "R", "lastName": "R",
        "email": f"{login}@example.org", "enabled": True, "verified": True,
    }  # fmt: skip
    with site.hub.client() as client:
        assert client.post("/xapi/users", json=body).status_code == 201


def test_readers_and_chain_are_set_once_and_taken_away_again(site: Site) -> None:
    account(site, "ada")
    unknown = site.apply("--readers", roster(site, "ada", "bert"))
    assert unknown.exit_code == 1
    assert "reader bert of KNEE: the server has no account bert; make the account" in unknown.stderr
    with site.hub.client() as client:
        assert client.get("/data/projects/KNEE").status_code == 404  # nothing was begun
    few = site.apply("--readers", roster(site, "ada"))
    assert "group 'radiologists' has 1 readers, an exam needs 2; add logins" in few.stderr

    account(site, "bert")
    first = site.apply("--readers", roster(site, "ada", "bert"))
    assert first.exit_code == 0, first.output
    assert "created      reader bert of KNEE  (as member)\n" in first.stdout
    assert f"created      orchestration {CHAIN}\n" in first.stdout
    assert "created      chain of KNEE\n" in first.stdout
    second = site.apply("--readers", roster(site, "ada", "bert"))
    assert {line.partition(" ")[0] for line in second.stdout.splitlines()} == {"unchanged"}, second.stdout

    with site.hub.client() as client:
        rows = client.get("/data/projects/KNEE/users").json()["ResultSet"]["Result"]
        assert {row["login"]: row["displayname"] for row in rows if row["login"] != "admin"} == {
            "ada": "Members",
            "bert": "Members",
        }
        (chain,) = client.get("/xapi/orchestration").json()
        commands = {w["id"]: c["name"] for c in client.get("/xapi/commands").json() for w in c["xnat"]}
        assert [commands[one] for one in chain["wrapperIds"]] == ["knee-volume", "knee-report"]
        assert client.get("/xapi/orchestration/project/KNEE").json()["selectedOrchestrationId"] == chain["id"]

    fewer = site.apply("--readers", roster(site, "ada", "admin"))
    assert "note         others in KNEE  (1 more can read there" in fewer.stdout

    gone = site.run("study", "destroy", str(site.manifest), "--dicom-port", str(site.dicom_port), "--keep-data")
    assert gone.exit_code == 0, gone.output
    with site.hub.client() as client:
        assert client.get("/xapi/orchestration").json() == []
        assert "ada" in client.get("/data/projects/KNEE/users").text  # people stay: their answers do


def test_a_chain_that_somebody_else_chose_is_not_changed(site: Site) -> None:
    assert site.apply().exit_code == 0
    with site.hub.client() as client:
        (chain,) = client.get("/xapi/orchestration").json()
        theirs = client.post("/xapi/orchestration", json={"name": "theirs", "wrapperIds": chain["wrapperIds"][::-1]})
        assert client.delete(f"/xapi/orchestration/{chain['id']}").status_code == 200
        client.put("/data/projects/KNEE/config/overread/made?inbody=true", content='{"made": []}')
        number = theirs.json()["id"]
        assert client.put(f"/xapi/orchestration/project/KNEE?orchestrationId={number}").status_code == 200
        stopped = site.apply("--dicom-port", str(site.dicom_port))
        assert stopped.exit_code in {1, 3}
        assert f"chain {number} of KNEE: is there already, was made by somebody else" in stopped.stderr
        assert client.get("/xapi/orchestration/project/KNEE").json()["selectedOrchestrationId"] == number
        taken_over = site.apply("--adopt")
        assert taken_over.exit_code == 0, taken_over.output
        assert client.get("/xapi/orchestration/project/KNEE").json()["selectedOrchestrationId"] != number
