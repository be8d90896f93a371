"""A case is taken from a hub, run on this machine, and run again on the hub, by the command line."""

from __future__ import annotations

import errno
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from helpers.archive import add_project, add_session, add_user
from helpers.runs import MAIN, document, install, launch, wait_for
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.hub import bootstrap
from overread.hub.models import Container, Experiment
from overread.xnat.cases.rerun import relaunch
from overread.xnat.connection import open_archive

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    monkeypatch.setenv("OVERREAD_PASSWORD", hub.password)
    monkeypatch.setenv("OVERREAD_SERVER", hub.url)
    monkeypatch.setenv("OVERREAD_USER", "admin")
    add_project(hub.hub)
    yield hub
    hub.stop()


def case(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["case", *arguments])


def exported(path: Path) -> tuple[dict[str, Any], list[str], str]:
    with zipfile.ZipFile(path) as archive:
        everything = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
        return json.loads(archive.read("case.json")), archive.namelist(), everything


def test_a_case_is_exported_replayed_and_compared(running: RunningHub, tmp_path: Path) -> None:
    session = add_session(running.hub)
    with running.hub.database.write() as db:
        found = db.get_one(Experiment, session)
        found.patient_name, found.accession_number = "DOE^Jane", "ACC4711"
    variables = document()["environment-variables"] | {"DB_PASSWORD": "hunter22", "NOTE": "for Jane, ACC4711"}
    with running.client() as client:
        main_py = MAIN.replace('k.startswith(("OVERREAD_", "XNAT_"))', 'k == "OVERREAD_SESSION_LABEL"')
        wrapper = install(client, tmp_path / "images", main=main_py, environment_variables=variables)
        command = json.dumps(document(environment_variables=variables))
        (tmp_path / "images" / "tiny" / "command.json").write_text(command)  # as it is with an image of a study
        launch(client, wrapper, session)
        (run,) = wait_for(client)
    assert run["status"] == "Complete", run
    for way, entries in (("--by-reference", []), ("--by-value", ["inputs/in/SCANS/1/DICOM/a.dcm"])):
        out = tmp_path / f"case{way}.zip"
        told = case("export", str(run["id"]), way, "--out", str(out))
        assert told.exit_code == 0, told.output
        whole, names, everything = exported(out)
        assert [name for name in names if name.startswith("inputs/")] == entries
        for word in ("hunter22", "Jane", "DOE", "ACC4711", running.password):
            assert word not in everything
        assert whole["image"] == {"name": "overread/tiny:1.0.0", "digest": run["image-digest"]}
        assert whole["versions"]["command"] == "tiny:1.0"
        assert whole["run"]["status"] == "Complete"
        assert {stage["stage"] for stage in whole["run"]["stages"]} >= {"Queued", "Created", "Running", "Complete"}
        assert whole["result"]["files"] == ["SCANS/1/DICOM/a.dcm"]
        again = case("replay", str(out), "--image", str(tmp_path / "images" / "tiny"))
        assert again.exit_code == 0, again.output
        assert "The same result." in again.output
    by_session = case("export", session, "--out", str(tmp_path / "by-session.zip"))
    assert by_session.exit_code == 0, by_session.output
    (tmp_path / "images" / "tiny" / "main.py").write_text(
        (tmp_path / "images" / "tiny" / "main.py").read_text().replace('else "ok"', 'else "changed"')
    )
    other = case("replay", str(tmp_path / "case--by-value.zip"), "--image", str(tmp_path / "images" / "tiny"))
    assert other.exit_code == 3
    assert "status: ok, now changed" in other.output
    assert "image.digest: " in other.output


def test_a_failed_case_is_run_again_by_one_command(running: RunningHub, tmp_path: Path) -> None:
    session = add_session(running.hub)
    with running.client() as client:
        wrapper = install(client, tmp_path / "images")
        launch(client, wrapper, session, mode="crash")
        wait_for(client)
        told = case("rerun", session)
        assert told.exit_code == 0, told.output
        assert "Run 2, which does run 1 again, is queued." in told.output
        old, new = wait_for(client, count=2)
        assert (new["rerun-of"], new["status"]) == (old["id"], "Failed")
        again = case("rerun", "1")
        assert "Run 2, which does run 1 again, does so already" in again.output
        assert len(client.get("/xapi/projects/P/containers").json()) == 2
        # as on XNAT, which has the Container Service's launch alone
        with open_archive(running.url, user="admin", password=running.password) as archive:
            assert "launched again as a run of its own" in relaunch(archive, new)
        third = wait_for(client, count=3)[-1]
        assert (third["status"], third.get("rerun-of")) == ("Failed", None)
        values = [entry["value"] for entry in third["inputs"] if entry["name"] == "session"]
        assert values == [entry["value"] for entry in new["inputs"] if entry["name"] == "session"]
    missing = case("rerun", "99")
    assert missing.exit_code == 1
    assert missing.output.count("\n") == 1


def test_the_hub_gives_the_same_bundle_by_itself(running: RunningHub, tmp_path: Path) -> None:
    session = add_session(running.hub)
    add_user(running.hub, "olive", project="P", role="owner")
    add_user(running.hub, "mia", project="P", role="member")
    with running.hub.database.write() as db:
        found = db.get_one(Experiment, session)
        found.patient_name, found.accession_number = "DOE^Jane", "ACC4711"
        found.fields = found.fields | {"dcmPatientBirthDate": "19710203"}
    variables = document()["environment-variables"] | {
        "DB_PASSWORD": "hunter22",
        "NOTE": "for Jane, ACC4711, born 03.02.1971",
    }
    with running.client() as client:
        main_py = MAIN.replace('k.startswith(("OVERREAD_", "XNAT_"))', 'k == "OVERREAD_SESSION_LABEL"')
        wrapper = install(client, tmp_path / "images", main=main_py, environment_variables=variables)
        command = json.dumps(document(environment_variables=variables))
        (tmp_path / "images" / "tiny" / "command.json").write_text(command)
        launch(client, wrapper, session)
        (run,) = wait_for(client)
    url = f"/xapi/overread/runs/{run['id']}/bundle"
    with running.client("mia", "secret") as member:
        assert member.get(url).status_code == 403, "neither hers nor an owner"
    with running.client("olive", "secret") as owner:
        for way, entries in (("reference", []), ("value", ["inputs/in/SCANS/1/DICOM/a.dcm"])):
            sent = owner.get(url, params={"by": way})
            assert (sent.status_code, sent.headers["content-type"]) == (200, "application/zip"), sent.text
            out = tmp_path / f"{way}.zip"
            out.write_bytes(sent.content)
            told = case("export", str(run["id"]), f"--by-{way}", "--out", str(tmp_path / "client.zip"))
            assert told.exit_code == 0, told.output
            (ours, names, everything), (theirs, other_names, _) = exported(out), exported(tmp_path / "client.zip")
            assert sorted(names) == sorted(other_names)
            assert [name for name in names if name.startswith("inputs/")] == entries
            for word in ("hunter22", "Jane", "DOE", "ACC4711", "1971", running.password):
                assert word not in everything
            assert {**ours, "exported": ""} == {**theirs, "exported": ""}, "what the client collects by REST"
            again = case("replay", str(out), "--image", str(tmp_path / "images" / "tiny"))
            assert "The same result." in again.output, again.output
    with running.client() as client:
        rows = client.get("/xapi/overread/audit", params={"user": "olive", "action": "export"}).json()["rows"]
        assert [row["item"] for row in rows] == [f"run {run['id']}"]
        assert client.get(url, params={"by": "mail"}).status_code == 400
    assert not list(running.hub.layout.tmp.glob("bundle-*"))


def test_what_a_caller_may_not_read_is_in_no_bundle(running: RunningHub, tmp_path: Path) -> None:
    """An owner of the project the run was launched in, to which the session was lent and then not any more."""
    session = add_session(running.hub)
    add_project(running.hub, "OTHER")
    add_user(running.hub, "otto", project="OTHER", role="owner")
    with running.client() as client:
        wrapper = install(client, tmp_path / "images")
        launch(client, wrapper, session)
        (run,) = wait_for(client)
    with running.hub.database.write() as db:
        db.get_one(Container, int(run["id"])).project = "OTHER"
    with running.client("otto", "secret") as owner:
        answer = owner.get(f"/xapi/overread/runs/{run['id']}/bundle")
    assert answer.status_code == 403
    assert "may not read" in answer.text


def test_a_run_on_an_assessor_hides_its_sessions_patient(running: RunningHub, tmp_path: Path) -> None:
    session = add_session(running.hub)
    main_py = MAIN + "\nprint('for Jane, ACC4711')\n"
    with running.client() as client:
        launch(client, install(client, tmp_path / "images", main=main_py), session)
        (run,) = wait_for(client)
        added = client.put(
            f"/data/experiments/{session}/assessors/A1?xsiType=xnat:qcManualAssessorData&xnat:qcManualAssessorData/project=P"
        )
        assert added.status_code in {200, 201}, added.text
    with running.hub.database.write() as db:
        found = db.get_one(Experiment, session)
        found.patient_name, found.accession_number = "DOE^Jane", "ACC4711"
        given = f"/archive/experiments/{db.scalars(select(Experiment.id).where(Experiment.label == 'A1')).one()}"
        container = db.get_one(Container, int(run["id"]))
        resolved = container.resolved
        container.resolved = resolved | {"inputs": [row | {"value": given} for row in resolved["inputs"]]}
    out = tmp_path / "run.zip"
    with running.client() as client:
        out.write_bytes(client.get(f"/xapi/overread/runs/{run['id']}/bundle").content)
    _, names, everything = exported(out)
    assert "log/stdout.log" in names
    assert "for " in everything
    assert "Jane" not in everything
    assert "ACC4711" not in everything


def test_a_bundle_that_fails_leaves_nothing(running: RunningHub, tmp_path: Path) -> None:
    session = add_session(running.hub)
    with running.client() as client:
        launch(client, install(client, tmp_path / "images"), session)
        (run,) = wait_for(client)

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(zipfile.ZipFile, "writestr", full)
            answer = client.get(f"/xapi/overread/runs/{run['id']}/bundle")
    assert answer.status_code >= 500
    assert not list(running.hub.layout.tmp.glob("bundle-*"))
