"""The life of a run, from launch to what it stored, over REST."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.archive import add_project, add_session, add_user
from helpers.images import make_image
from helpers.runs import document, install, launch, launch_url, wait_for
from hub_fixture import RunningHub, start_hub
from overread.hub import bootstrap
from overread.hub.database import Database
from overread.hub.models import Container
from overread.hub.runs import states

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    """A hub with a folder for images and a project P."""
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    hub = start_hub(tmp_path, images=(tmp_path / "images",), run_timeout_s=20)
    add_project(hub.hub)
    yield hub
    hub.stop()


@pytest.fixture
def client(running: RunningHub) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


def test_a_run_stores_assessor_and_files(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    answer = launch(client, wrapper, session)
    assert (answer.status_code, answer.json()["status"]) == (200, "success")
    assert answer.json()["workflow-id"] == "To be assigned"
    assert answer.json()["id"] is None
    (run,) = wait_for(client)
    assert run["status"] == "Complete", run
    words = [line["status"] for line in run["history"]]
    assert words[0] == "Queued"
    assert [word for word in words if word in ("Created", "Running", "die", "Finalizing", "Complete")][-4:] == [
        "Running", "die", "Finalizing", "Complete",
    ]  # fmt: skip
    created = {row["from-output-handler"]: row["created"] for row in run["outputs"]}
    assessor = created["store"].rsplit("/", 1)[-1]
    assert created == {
        "store": f"/archive/experiments/{session}/assessors/{assessor}",
        "store-report": f"/archive/experiments/{session}/assessors/{assessor}/resources/REPORT",
        "store-json": f"/archive/experiments/{session}/assessors/{assessor}/resources/RESULT",
    }
    folder = running.hub.layout.assessor("P", "S1", "R-S1")
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {
        "REPORT/REPORT_catalog.xml", "RESULT/RESULT_catalog.xml",  # written in the background
    } == {
        "REPORT/a.txt", "REPORT/sub/b.txt", "RESULT/result.json",
    }  # fmt: skip
    result = json.loads((folder / "RESULT" / "result.json").read_text())
    assert result["files"] == ["SCANS/1/DICOM/a.dcm"]
    assert result["environment"]["OVERREAD_PROJECT"] == "P"
    assert not [name for name in result["environment"] if name.startswith("XNAT_")]
    workflow = client.get(f"/data/workflows/{run['workflow-id']}", params={"format": "json"}).json()
    fields = workflow["items"][0]["data_fields"]
    assert (fields["status"], fields["pipeline_name"], fields["id"]) == ("Complete", "tiny-session", session)
    assert fields["percentageComplete"] == "100"


def test_logs_as_text_zip_and_since(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    launch(client, wrapper, add_session(running.hub))
    (run,) = wait_for(client)
    url = f"/xapi/containers/{run['id']}"
    assert client.get(f"{url}/logs/stdout").text == "progress 0.5 reading\n"
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{url}/logs").content))
    assert "stdout.log" in archive.namelist()
    since = client.get(f"{url}/logSince/stdout", params={"since": 0}).json()
    assert since == {"content": "progress 0.5 reading\n", "fromFile": True, "timestamp": -1, "bytesRead": -1}
    assert client.get(f"{url}/logs/secret").status_code == 404


@pytest.mark.parametrize(
    ("mode", "status", "reason"),
    [
        ("crash", "Failed", "DataError: no usable series in /input; send a FLAIR (exit code 1)"),
        ("no-xml", "Failed (Upload)", "Required output result was not written."),
        ("link", "Failed (Upload)", "is a link"),
        ("foreign", "Failed (Upload)", "OTHER"),
    ],
)
def test_a_run_that_fails_says_why_and_stores_nothing(
    running: RunningHub, tmp_path: Path, mode: str, status: str, reason: str
) -> None:
    add_project(running.hub, "OTHER")
    with running.client() as client:
        _fails(running, client, tmp_path, mode=mode, status=status, reason=reason)


def _fails(running: RunningHub, client: httpx.Client, tmp_path: Path, *, mode: str, status: str, reason: str) -> None:
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    launch(client, wrapper, session, mode=mode)
    (run,) = wait_for(client)
    assert run["status"] == status
    assert reason in run["reason"]
    assert not running.hub.layout.assessor("P", "S1", "R-S1").exists()
    assert all(row["created"] is None for row in run["outputs"])


def test_not_applicable_is_complete_with_its_reason(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    outputs = [output | {"required": False} for output in document()["outputs"]]
    wrapper = install(client, tmp_path / "images", outputs=outputs)
    launch(client, wrapper, add_session(running.hub), mode="nothing")
    (run,) = wait_for(client)
    assert (run["status"], run["reason"]) == ("Complete", "no FLAIR among 1 series")


def test_a_run_can_be_ended(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    launch(client, wrapper, session, mode="sleep")
    launch(client, wrapper, session)
    deadline = time.monotonic() + 20
    while client.get("/xapi/containers/1").json()["status"] != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.5)
    assert client.get("/xapi/containers/1").json()["progress"] == {"fraction": 0.5, "stage": "reading"}
    assert client.post("/xapi/projects/P/containers/2/kill").status_code == 200
    assert client.post("/xapi/containers/1/kill").status_code == 200
    assert [run["status"] for run in wait_for(client, count=2)] == ["Failed (Killed)", "Failed (Killed)"]
    assert client.post("/xapi/containers/1/kill").status_code == 409
    assert client.delete("/xapi/containers/1").status_code == 204


def test_a_wrap_up_command_turns_an_output_into_what_is_stored(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    main = """
        import os, pathlib, sys
        source, target = map(pathlib.Path, sys.argv[1:])
        (target / "report").mkdir()
        (target / "report" / "c.txt").write_text((source / "report" / "a.txt").read_text() + str(os.listdir(target)))
    """
    make_image(tmp_path / "images", main, folder="wrap", image="overread/wrap:2.0")
    wrap = {"name": "wrap", "version": "2.0", "type": "docker-wrapup", "image": "overread/wrap:2.0",
            "command-line": "python /app/main.py /input /output"}  # fmt: skip
    assert client.post("/xapi/commands", json=wrap).status_code == 201
    xnat = document()["xnat"]
    xnat[0]["output-handlers"][1]["via-wrapup-command"] = "overread/wrap:2.0:wrap"
    wrapper = install(client, tmp_path / "images", xnat=xnat)
    launch(client, wrapper, add_session(running.hub))
    whole, wrapup = wait_for(client, count=2)
    assert whole["status"] == "Complete", whole
    assert wrapup["status"] == "Complete"
    assert wrapup["parent-database-id"] == whole["id"]
    assert wrapup["parent-source-object-name"] == "report:store-report"
    folder = running.hub.layout.assessor("P", "S1", "R-S1")
    assert (folder / "REPORT" / "c.txt").read_text() == "A['report']"
    assert not (folder / "REPORT" / "a.txt").exists()


def test_a_missing_wrap_up_command_is_told_before_the_run(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    xnat = document()["xnat"]
    xnat[0]["output-handlers"][1]["via-wrapup-command"] = "overread/wrap:2.0:wrap"
    wrapper = install(client, tmp_path / "images", xnat=xnat)
    launch(client, wrapper, add_session(running.hub))
    (run,) = wait_for(client)
    assert run["status"] == "Failed (Staging)"
    assert "no wrap-up command overread/wrap:2.0:wrap" in run["reason"]


def test_a_missing_image_is_told(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images", image="overread/other:1.0")
    launch(client, wrapper, add_session(running.hub))
    (run,) = wait_for(client)
    assert run["status"] == "Failed (Staging)"
    assert "no image overread/other:1.0" in run["reason"]


@pytest.mark.slow
def test_requirements_that_can_not_be_installed_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERREAD_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    add_project(hub.hub)
    with hub.client() as client:
        wrapper = install(client, tmp_path / "images")
        (tmp_path / "images" / "tiny" / "requirements.txt").write_text("no-such-package-anywhere==1.0\n")
        launch(client, wrapper, add_session(hub.hub))
        (run,) = wait_for(client, timeout_s=120)
    hub.stop()
    assert run["status"] == "Failed (Staging)"
    assert "no-such-package-anywhere" in run["reason"]
    folders = [path for path in (tmp_path / "environments").glob("py-*") if path.is_dir()]
    assert all((folder / ".ready").exists() for folder in folders)


@pytest.mark.parametrize("times", [1, 5])
def test_runs_of_a_hub_that_died_are_done_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    add_project(hub.hub)
    with hub.client() as client:
        wrapper = install(client, tmp_path / "images")
        session = add_session(hub.hub)
        launch(client, wrapper, session)
        (run,) = wait_for(client)
    hub.stop()
    _pretend_it_runs(tmp_path, times=times)
    monkeypatch.setenv(bootstrap.PASSWORD_VARIABLE, hub.password)
    again = _restart(tmp_path, monkeypatch)
    with again.client(password=hub.password) as client:
        (run,) = wait_for(client)
        words = [line["status"] for line in run["history"]]
        if times == 1:
            assert run["status"] == "Complete"
            assert words.count("Requeued") == 1
        else:
            assert run["status"] == "Failed"
            assert "for the 5th time" in run["reason"]
    again.stop()


def _pretend_it_runs(tmp_path: Path, *, times: int) -> None:
    database = Database(f"sqlite:///{tmp_path / 'home' / 'hub.sqlite'}")
    with database.write() as db:
        container = db.get_one(Container, 1)
        container.attempts = times
        states.advance(db, container, states.RUNNING)
    database.close()


def _restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    monkeypatch.setattr(bootstrap, "prepare", lambda _hub: "")
    return start_hub(tmp_path, images=(tmp_path / "images",))


def test_a_hub_that_stops_ends_its_runs_and_leaves_them_queued(tmp_path: Path) -> None:
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    add_project(hub.hub)
    with hub.client() as client:
        wrapper = install(client, tmp_path / "images")
        launch(client, wrapper, add_session(hub.hub), mode="sleep")
        deadline = time.monotonic() + 20
        while client.get("/xapi/containers/1").json()["status"] != "Running":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    started = time.monotonic()
    hub.stop()
    assert time.monotonic() - started < 15
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("runs ")]
    database = Database(f"sqlite:///{tmp_path / 'home' / 'hub.sqlite'}")
    with database.read() as db:
        assert db.get_one(Container, 1).status == "Queued"
    database.close()


def test_an_enabled_wrapper_has_its_environment_before_the_first_exam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERREAD_ENVIRONMENTS", str(tmp_path / "environments"))
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    add_project(hub.hub)
    with hub.client() as client:
        install(client, tmp_path / "images")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "environments").glob("py-*/.ready")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    hub.stop()


def test_others_see_the_state_only(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    add_user(running.hub, "reader", role="member", project="P")
    add_user(running.hub, "stranger")
    wrapper = install(client, tmp_path / "images")
    launch(client, wrapper, add_session(running.hub))
    wait_for(client)
    with running.client("reader", "secret") as reader:
        (seen,) = reader.get("/xapi/projects/P/containers").json()
        assert (seen["status"], seen["command-line"], seen["mounts"]) == ("Complete", "[REDACTED]", [])
        assert reader.get("/xapi/containers/1/logs/stdout").status_code == 403
        assert reader.post("/xapi/containers/1/kill").status_code == 403
        assert reader.get("/xapi/containers").json() == []
    with running.client("stranger", "secret") as stranger:
        assert stranger.get("/xapi/projects/P/containers").status_code == 403
        assert stranger.get("/xapi/containers/1").status_code == 404


def test_what_can_not_be_launched_is_500_with_json(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    add_user(running.hub, "collaborator", role="collaborator", project="P")
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    for body, message in (
        ({"session": "/archive/experiments/NONE"}, "NONE"),
        ({}, "session"),
        ({"session": f"/archive/experiments/{session}/scans/1"}, "no Session"),
        ({"session": session, "mode": "a; rm -rf /"}, 'illegal string ";"'),
    ):
        answer = client.post(launch_url(wrapper), json=body)
        assert answer.status_code == 500
        assert answer.json()["status"] == "failure"
        assert message in answer.json()["message"]
    with running.client("collaborator", "secret") as reader:
        answer = launch(reader, wrapper, session)
        assert (answer.status_code, answer.json()["status"]) == (500, "failure")
    client.put(f"/xapi/projects/P/wrappers/{wrapper}/disabled")
    assert "not enabled" in launch(client, wrapper, session).json()["message"]
    assert client.get("/xapi/projects/P/containers").json() == []


def test_bulk_launch_tells_each_object(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    objects = json.dumps([f"/archive/experiments/{session}", "/archive/experiments/NONE"])
    answer = client.post(launch_url(wrapper, verb="bulklaunch"), json={"session": objects})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    assert [one["params"]["session"] for one in told["successes"]] == [f"/archive/experiments/{session}"]
    assert [one["status"] for one in told["failures"]] == ["failure"]
    (run,) = wait_for(client)
    workflow = client.get(f"/data/workflows/{run['workflow-id']}").json()["items"][0]["data_fields"]
    assert workflow["jobid"] == told["bulk-launch-id"]


def test_the_form_shows_inputs_and_their_values(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    session = add_session(running.hub)
    url = f"/xapi/projects/P/wrappers/{wrapper}/launch"
    form = client.get(url, params={"session": f"/archive/experiments/{session}"}).json()
    assert form["meta"]["wrapper-name"] == "tiny-session"
    values = {tree["name"]: tree["values"] for tree in form["input-values"]}
    assert values["session"][0]["label"] == "S1"
    assert [child["name"] for child in values["session"][0]["children"]] == [
        "session-id",
        "session-label",
        "project-id",
    ]
    assert client.get(url, params={"session": "NONE"}).status_code == 400


def test_the_engine_and_its_images(client: httpx.Client, tmp_path: Path) -> None:
    install(client, tmp_path / "images")
    assert client.get("/xapi/docker/server").json()["ping"] is True
    assert client.get("/xapi/docker/server/ping").text == "OK"
    (image,) = client.get("/xapi/docker/images").json()
    assert image["tags"] == ["overread/tiny:1.0.0"]
    assert image["image-id"].startswith("sha256:")
    assert len(image["image-id"]) == 71
    (tmp_path / "images" / "tiny" / "main.py").write_text("pass\n")
    assert client.get("/xapi/docker/images").json()[0]["image-id"] != image["image-id"]
    (summary,) = client.get("/xapi/docker/image-summaries").json()
    assert [command["name"] for command in summary["commands"]] == ["tiny"]
    assert client.post("/xapi/docker/pull", params={"image": "overread/tiny:1.0.0"}).status_code == 200
    assert client.post("/xapi/docker/pull", params={"image": "overread/none:1.0.0"}).status_code == 404
