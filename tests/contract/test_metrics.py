"""Health, readiness and measurements, as a monitoring system asks for them."""

from __future__ import annotations

import socket
from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.archive import add_project, add_session, add_user
from helpers.ports import free_port
from hub_fixture import RunningHub, start_hub
from overread.hub.models import Container, Experiment, PrearchiveSession, ReceivedObject, Workflow
from overread.hub.models.base import utc_now

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - what shutil gives
TOKEN = "a-token-of-monitoring"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("site"), tick_s=60, metrics_token=TOKEN)
    add_project(running.hub)
    add_user(running.hub, "mia", project="P", role="member")
    yield running
    running.stop()


def samples(site: RunningHub) -> dict[tuple[str, ...], float]:
    """Return all samples: name and labels' values to number."""
    with site.client(None, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_hub_is_alive_and_ready_without_login(site: RunningHub) -> None:
    with site.client(None) as client:
        assert client.get("/healthz").text == "ok\n"
        answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "database: ok\ndisk: ok\nreceiver: ok\nrunner: ok\n")


def test_a_full_disk_makes_the_hub_not_ready_and_is_told_in_a_word(
    site: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(10**12, 10**12, 1000))
    with site.client(None) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.text.splitlines()[1]) == (503, "disk: failing")
    assert str(site.hub.layout.home) not in answer.text


def test_a_receiver_whose_port_is_taken_makes_the_hub_not_ready(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        hub = start_hub(tmp_path, dicom_port=port)
        try:
            with hub.client(None) as client:
                answer = client.get("/readyz")
        finally:
            hub.stop()
    assert (answer.status_code, answer.text.splitlines()[2]) == (503, "receiver: failing")


def test_measurements_are_for_administrators_and_the_token(site: RunningHub) -> None:
    with site.client() as admin, site.client("mia", "secret") as member, site.client(None) as nobody:
        assert admin.get("/metrics").status_code == 200
        assert member.get("/metrics").status_code == 403
        assert nobody.get("/metrics").status_code == 401
        for wrong in ("Bearer nonsense", f"Token {TOKEN}", "Bearer"):
            assert nobody.get("/metrics", headers={"authorization": wrong}).status_code == 401


def test_without_a_token_this_machine_may_ask_but_nobody_through_a_proxy(hub: RunningHub) -> None:
    with hub.client(None) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/metrics", headers={"x-forwarded-for": "10.0.0.7"}).status_code == 401
        assert client.get("/metrics", headers={"host": "hub.hospital.example"}).status_code == 401


def test_requests_are_counted_by_the_routes_template(site: RunningHub) -> None:
    key = ("overread_http_requests_total", "/data/projects/{project}", "GET", "200")
    lost = ("overread_http_requests_total", "none", "GET", "404")
    before = samples(site)
    with site.client() as client:
        assert client.get("/data/projects/P").status_code == 200
        assert client.get("/data/archive/projects/P").status_code == 200
        assert client.get("/nothing/here").status_code == 404
    after = samples(site)
    assert after[key] - before.get(key, 0) == 2
    assert after[lost] - before.get(lost, 0) == 1
    timed = ("overread_http_request_duration_seconds_count", "/data/projects/{project}", "GET")
    assert after[timed] == after[key]


def test_stages_of_an_exam_are_histograms_each_exam_counted_once(site: RunningHub) -> None:
    before = samples(site)
    _exam(site, "S-STAGES")
    after, again = samples(site), samples(site)

    def grown(name: str, *labels: str) -> float:
        key = (f"overread_stage_duration_seconds_{name}", *labels)
        assert again[key] == after[key], "what was counted is counted again"
        return after[key] - before[key]

    for stage, seconds in {
        "last_image_to_archived": 15.5, "archived_to_start": 0.5, "start_to_end": 21.0, "end_to_stored": 0.5,
    }.items():  # fmt: skip
        assert grown("count", stage) == 1
        assert grown("sum", stage) == pytest.approx(seconds, abs=0.01)
    assert grown("bucket", "start_to_end", "20.0") == 0
    assert grown("bucket", "start_to_end", "30.0") == 1


def test_objects_runs_queue_disk_and_build_are_told(site: RunningHub) -> None:
    with site.hub.database.write() as db:
        for state in ("received", "archived", "refused", "duplicate", "duplicate"):
            db.add(ReceivedObject(state=state, reason="x", study_instance_uid="1.2.3"))
    found = samples(site)
    assert found["overread_objects_total", "taken"] == 2
    assert found["overread_objects_total", "refused"] == 1
    assert found["overread_objects_total", "duplicate"] == 2
    assert found["overread_queue_length",] == 0
    assert found["overread_run_slots",] == 1
    assert found["overread_disk_free_bytes",] > 0
    assert any(key[0] == "overread_build_info" for key in found)


def test_nothing_that_is_measured_names_a_patient_or_an_exam(site: RunningHub) -> None:
    session = _exam(site, "S-SECRET")
    with site.client() as client:
        client.get(f"/data/experiments/{session}")
        client.get("/data/projects/P/experiments/S-SECRET", params={"dcmPatientName": "DOE^JANE"})
        client.get("/DOE^JANE")
        text = client.get("/metrics").text
    for secret in (session, "S-SECRET", "DOE", "1.2.3.4.5", "SUB"):
        assert secret not in text


def _exam(site: RunningHub, label: str) -> str:
    """An exam that came and was run a moment ago."""
    session_id = add_session(site.hub, label, event="")
    now = utc_now()
    uid = f"1.2.3.4.5.{len(label)}"
    with site.hub.database.write() as db:
        session = db.get_one(Experiment, session_id)
        session.uid, session.insert_date = uid, now
        db.add(
            PrearchiveSession(
                project="P", timestamp="t", name=label, study_instance_uid=uid, status="ARCHIVED",
                session_id=session_id, last_modified=now - timedelta(seconds=15.5),
            )
        )  # fmt: skip
        workflow = Workflow(object_id=session_id, project="P", pipeline_name="w")
        db.add(workflow)
        db.flush()
        db.add(_run(workflow.id, now))
    return session_id


def _run(workflow_id: int, now: Any) -> Container:
    begin = now.timestamp() * 1000
    steps = (("Queued", 0), ("Running", 500), ("die", 21_500), ("Finalizing", 21_600), ("Complete", 22_000))
    return Container(
        command_id=1, wrapper_id=1, workflow_id=workflow_id, project="P", origin="subscription:1:delivery:1",
        status="Complete", created=now, started=now + timedelta(seconds=0.5), ended=now + timedelta(seconds=22),
        history=[{"status": word, "time-recorded": begin + ms} for word, ms in steps],
    )  # fmt: skip
