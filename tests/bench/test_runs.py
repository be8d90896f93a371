"""Launches, runs and assessors per second: what the hub itself costs, with a runner that runs nothing."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

import pytest
from sqlalchemy import func, select

from bench import servers
from bench.conftest import Results
from bench.servers import Server
from helpers.archive import add_project, add_session
from helpers.arrivals import ROUTING, send, store_manifest, wait_until
from helpers.fake_runner import DONE, FakeRunner, output_of, use_runner
from helpers.ports import free_port
from helpers.runs import document, launch_url
from hub_fixture import RunningHub, start_hub
from overread.hub import bootstrap
from overread.hub.config import HubConfig
from overread.hub.models import Container
from overread.hub.runs.runner import Exit, RunSpec
from overread.synthetic.phantoms import make_mr_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COUNT: Final = 200
EXAMS: Final = 5
QUIET_S: Final = 2.0
SESSION: Final = "/data/projects/P/subjects/SUB/experiments/S1"
SESSION_EVENT: Final = "org.nrg.xnat.eventservice.events.SessionEvent"


def write_assessor(spec: RunSpec) -> Exit:
    """Leave the document of an assessor, as an image does."""
    session, project = spec.environment["OVERREAD_SESSION_ID"], spec.environment["OVERREAD_PROJECT"]
    label = f"R-{spec.run_id.rpartition('#')[2]}"
    (output_of(spec) / "assessor.xml").write_text(
        '<icr:RoiCollection xmlns:icr="http://icr.ac.uk/icr" xmlns:xnat="http://nrg.wustl.edu/xnat" '
        f'project="{project}" label={quoteattr(label)}><xnat:imageSession_ID>{session}</xnat:imageSession_ID>'
        "<icr:collectionType>SEG</icr:collectionType></icr:RoiCollection>"
    )
    return DONE


def test_launches_and_assessors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: Results) -> None:
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    hub = start_hub(tmp_path, change=lambda one: use_runner(one, FakeRunner(write_assessor), workers=2))
    try:
        add_project(hub.hub)
        session = add_session(hub.hub, event="")
        with hub.client() as client:
            client.timeout = 300
            number = client.post("/xapi/commands", json=document()).json()
            wrapper = int(client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
            for place in ("", "/projects/P"):
                client.put(f"/xapi{place}/wrappers/{wrapper}/enabled")
            body = {"session": json.dumps([f"/archive/experiments/{session}"] * COUNT)}
            began, cpu_began = time.perf_counter(), time.process_time()
            told = client.post(launch_url(wrapper, verb="bulklaunch"), json=body).json()
            launched_s = time.perf_counter() - began
            wait_until(lambda: complete(hub) == COUNT, timeout_s=300, look_every_s=0.2)
            ended_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        assert len(told["successes"]) == COUNT
        results["runs"] = {
            "count": COUNT,
            "launches_per_s": COUNT / launched_s,
            "runs_with_assessor_per_s": COUNT / ended_s,
            "run_cpu_ms": 1000 * cpu_s / COUNT,
        }
    finally:
        hub.stop()


def test_assessors_by_rest(tmp_path: Path, results: Results) -> None:
    """As clients see it: the hub is a process of its own."""
    found = {}
    with servers.hub(tmp_path / "hub") as hub:
        with hub.client() as client:
            for path in ("/data/projects/P", "/data/projects/P/subjects/SUB"):
                assert client.put(path).status_code in {200, 201}
            assert client.put(SESSION, params={"xsiType": "xnat:mrSessionData"}).status_code == 201
        write_by_rest(hub, clients=1)  # warms up
        for clients in (1, 4):
            cpu_s = hub.cpu_s()
            found[f"per_s_{clients}"] = write_by_rest(hub, clients=clients)
            found[f"cpu_ms_{clients}"] = 1000 * (hub.cpu_s() - cpu_s) / COUNT
    results["assessors"] = found


def complete(hub: RunningHub) -> int:
    """Return how many runs have ended well, without a request: that would slow the hub down."""
    with hub.hub.database.read() as db:
        return db.scalar(select(func.count()).where(Container.status == "Complete")) or 0


def write_by_rest(hub: Server, *, clients: int) -> float:
    """Return how many assessors per second can be written by so many clients at once."""
    labels = uuid.uuid4().hex

    def write(client_number: int) -> None:
        with hub.client() as client:
            for serial in range(COUNT // clients):
                path = f"{SESSION}/assessors/A{labels}_{client_number}_{serial}"
                answer = client.put(path, params={"xsiType": "icr:roiCollectionData"})
                assert answer.status_code == 201, answer.text

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(write, range(clients)))
    return COUNT / (time.perf_counter() - began)


def test_last_image_to_start_of_the_container(tmp_path: Path, results: Results) -> None:
    """A subscription runs a container on each new session; it starts that long after the exam's last image."""
    moments: dict[str, float] = {}

    def note(spec: RunSpec) -> Exit:
        moments[spec.environment["OVERREAD_SESSION_ID"]] = time.time()
        return write_assessor(spec)

    hub = start_hub(
        tmp_path,
        dicom_port=free_port(),
        tick_s=HubConfig.tick_s,
        change=lambda one: use_runner(one, FakeRunner(note), workers=1),
    )
    try:
        port = hub.hub.config.dicom_port
        with hub.client() as client:
            assert client.put("/data/projects/BTS").status_code == 200
            assert client.post("/xapi/dicomscp", json={"aeTitle": "BTS", "port": port, **ROUTING}).status_code == 200
            store_manifest(hub, complete={"needs": ["flair"], "quiet_s": QUIET_S, "give_up_s": 600})
            number = client.post("/xapi/commands", json=document()).json()
            wrapper = int(client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
            for place in ("", "/projects/BTS"):
                client.put(f"/xapi{place}/wrappers/{wrapper}/enabled")
            subscription = {
                "name": "on session", "active": True, "act-as-event-user": False, "attributes": {},
                "action-key": f"org.nrg.containers.services.CommandActionProvider:{wrapper}",
                "event-filter": {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": ["BTS"]},
            }  # fmt: skip
            assert client.post("/xapi/events/subscription", json=subscription).status_code == 201
        seconds = []
        for seed in range(EXAMS):
            before = len(moments)
            assert set(send(port, make_mr_series((20, 64, 64), seed=seed))) == {0}
            sent_at = time.time()
            wait_until(lambda: len(moments) > before, timeout_s=60)  # noqa: B023 - it is called before the next turn
            seconds.append(max(moments.values()) - sent_at)
    finally:
        hub.stop()
    results["container_start"] = {"quiet_s": QUIET_S, "seconds": seconds}
