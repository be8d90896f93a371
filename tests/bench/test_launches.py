"""Launches and assessors per second: what the hub itself costs, with a runner that runs nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from helpers.archive import add_project, add_session
from helpers.fake_runner import DONE, FakeRunner, output_of, use_runner
from helpers.runs import document, launch_url, wait_for
from hub_fixture import start_hub
from overread.hub import bootstrap
from overread.hub.runs.runner import Exit, RunSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COUNT = 200


def write_assessor(spec: RunSpec) -> Exit:
    """Leave the document of an assessor, as an image does."""
    session, label = spec.environment["OVERREAD_SESSION_ID"], f"R-{spec.run_id.rpartition('#')[2]}"
    (output_of(spec) / "assessor.xml").write_text(
        '<icr:RoiCollection xmlns:icr="http://icr.ac.uk/icr" xmlns:xnat="http://nrg.wustl.edu/xnat" '
        f'project="P" label={quoteattr(label)}><xnat:imageSession_ID>{session}</xnat:imageSession_ID>'
        "<icr:collectionType>SEG</icr:collectionType></icr:RoiCollection>"
    )
    return DONE


def test_launches_and_assessors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            began = time.perf_counter()
            told = client.post(launch_url(wrapper, verb="bulklaunch"), json=body).json()
            launched_s = time.perf_counter() - began
            runs = wait_for(client, count=COUNT, timeout_s=300)
            ended_s = time.perf_counter() - began
            began = time.perf_counter()
            for serial in range(COUNT):
                answer = client.put(
                    f"/data/projects/P/subjects/SUB/experiments/S1/assessors/A{serial}",
                    params={"xsiType": "icr:roiCollectionData"},
                )
                assert answer.status_code == 201, answer.text
            written_s = time.perf_counter() - began
        assert len(told["successes"]) == COUNT
        assert {run["status"] for run in runs} == {"Complete"}
    finally:
        hub.stop()
    figures = {
        "launches_per_s": COUNT / launched_s,
        "runs_with_assessor_per_s": COUNT / ended_s,
        "assessors_by_rest_per_s": COUNT / written_s,
    }
    target = Path(__file__).resolve().parents[2] / "build" / "bench" / "launches.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({name: round(value, 1) for name, value in figures.items()}, indent=1) + "\n")
