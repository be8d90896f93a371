"""`overread study apply` as its user runs it, against a hub that loads the study's own plugin jar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from helpers.study_site import Site, start_site
from overread.study.manifest import load_stored_study


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without the study, for tests that leave it so."""
    site = start_site(tmp_path_factory.mktemp("untouched"))
    yield site
    site.hub.stop()


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Result]]:
    """A site to which the study was applied once, and what was said then."""
    site = start_site(tmp_path_factory.mktemp("applied"))
    yield site, site.apply("--json")
    site.hub.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site for one test alone."""
    site = start_site(tmp_path)
    yield site
    site.hub.stop()


def outcomes(result: Result) -> set[str]:
    return {line.partition(" ")[0] for line in result.stdout.splitlines()}


def changed(result: Result) -> list[str]:
    return [line[13:].partition("  (")[0] for line in result.stdout.splitlines() if not line.startswith("unchanged")]


def test_first_run_names_every_step(applied: tuple[Site, Result]) -> None:
    site, first = applied
    assert first.exit_code == 0, first.output
    report = json.loads(first.stdout)
    assert (report["server"], report["study"]) == (site.hub.url, "knee")
    assert {step["outcome"] for step in report["steps"]} <= {"created", "updated", "unchanged", "note"}
    assert {"project", "receiver", "form", "subscription"} <= {s["name"].partition(" ")[0] for s in report["steps"]}


def test_second_run_changes_nothing(applied: tuple[Site, Result]) -> None:
    second = applied[0].apply()
    assert (second.exit_code, outcomes(second)) == (0, {"unchanged"}), second.output
    assert second.stderr.startswith("0 of ")


def test_server_has_the_study_afterwards(applied: tuple[Site, Result]) -> None:
    site = applied[0]
    with site.hub.client() as client:
        stored = client.get("/data/projects/KNEE/config/overread/study", params={"contents": "true"}).text
        study = load_stored_study(stored, source="hub")
        (form,) = client.get("/xapi/customforms", params={"projectId": "KNEE"}).json()
        assert (study.form_uuid, study.receiver.port) == (form["formUUID"], site.dicom_port)
        assert client.get("/data/config/overread/studies", params={"contents": "true"}).json() == {
            "knee": {"project": "KNEE", "title": "Knee effusion"}
        }
        assert client.get("/data/projects/KNEE/accessibility").text == "private"
        subscriptions = client.get("/xapi/events/subscriptions").json()
        assert [s["valid"] for s in subscriptions] == [True, True, True]
        (receiver,) = [r for r in client.get("/xapi/dicomscp").json() if r["aeTitle"] == "KNEE"]
        assert receiver["projectRoutingExpression"].endswith("r:KNEE")


def test_plan_changes_nothing(untouched: Site) -> None:
    result = untouched.run("study", "plan", str(untouched.manifest))
    assert result.exit_code == 0, result.output
    assert "to create    project KNEE  (Knee effusion)\n" in result.stdout
    with untouched.hub.client() as client:
        assert client.get("/data/projects/KNEE").status_code == 404
        assert client.get("/xapi/commands").json() == []


CHANGES: dict[str, tuple[str, str, list[str]]] = {
    "knee-form.json": ("Usable?", "Is it usable?", ["form 'Knee feedback'", "manifest in project KNEE"]),
    "images/knee-volume/command.json": ('"required": true', '"required": false', ["command knee-volume 1.0.0"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", CHANGES)
def test_change_of_a_file_changes_what_it_concerns(site: Site, file: str) -> None:
    assert site.apply().exit_code == 0
    old, new, names = CHANGES[file]
    site.edit(file, old, new)
    result = site.apply()
    assert result.exit_code == 0, result.output
    # The digest of an image changes with its folder, and is a default of its wrapper.
    assert [name for name in changed(result) if not name.startswith("defaults of")] == names
    assert outcomes(site.apply()) == {"unchanged"}


def test_wrong_password_is_one_line(untouched: Site) -> None:
    result = untouched.apply(password="wrong")
    assert result.stderr == f"Error: {untouched.hub.url} refuses the login of admin; check name and password\n"
    assert (result.exit_code, result.stdout) == (1, "")


def test_user_who_is_no_administrator_is_refused(untouched: Site) -> None:
    with untouched.hub.client() as client:
        body = {
            "username": "rita", "password": "Long-enough-1", "firstName": "R", "lastName": "R",
            "email": "r@example.org", "enabled": True, "verified": True,
        }  # fmt: skip
        assert client.post("/xapi/users", json=body).status_code == 201
    result = untouched.apply(user="rita", password="Long-enough-1")
    assert "rita may not do this, ask an administrator of the server" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 1


def test_missing_plugin_says_which_jar_to_put_where(site: Site) -> None:
    site.edit("knee.yaml", "prefix: knee", "prefix: elbow")
    for command in ("knee-volume", "recalculate"):
        site.edit(f"images/{command}/command.json", "knee:resultData", "elbow:resultData")
    result = site.apply()
    assert result.stderr.startswith(
        "Error: datatype elbow:resultData: the server does not know it; build overread-knee-1.2.0"
    )
    assert (result.exit_code, result.stdout) == (1, "")


def test_destroy_leaves_data_and_takes_the_rest(site: Site) -> None:
    assert site.apply().exit_code == 0
    arguments = ("study", "destroy", str(site.manifest), "--dicom-port", str(site.dicom_port))
    assert site.run(*arguments).exit_code == 2, "only with --keep-data"
    with site.hub.client() as client:
        client.put("/data/projects/KNEE/subjects/S/experiments/E", params={"xsiType": "xnat:mrSessionData"})
    result = site.run(*arguments, "--keep-data")
    assert result.exit_code == 0, result.output
    assert "updated      receiver KNEE:" in result.stdout
    with site.hub.client() as client:
        assert client.get("/data/projects/KNEE/experiments/E").status_code == 200
        assert client.get("/xapi/events/subscriptions").json() == []
        assert client.get("/xapi/commands").json() == []
        assert [r for r in client.get("/xapi/dicomscp").json() if r["aeTitle"] == "KNEE"] == []
        assert client.get("/data/config/overread/studies", params={"contents": "true"}).json() == {}
        assert client.get("/xapi/customforms", params={"projectId": "KNEE"}).json() != []
    again = site.run(*arguments, "--keep-data")
    assert (again.exit_code, outcomes(again)) == (0, {"unchanged", "note"})
    assert site.apply().exit_code == 0
