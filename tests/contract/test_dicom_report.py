"""What the report's command asks for and what becomes of its outputs: each time a scan of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.archive import add_project, add_session
from helpers.fake_runner import DONE, FakeRunner, output_of, use_runner
from helpers.runs import launch_url, wait_for
from hub_fixture import start_hub
from overread.dicom.capture import encapsulated_pdf, secondary_capture
from overread.dicom.seg import ObjectInfo
from overread.hub import bootstrap
from overread.hub.runs.runner import Exit, RunSpec
from overread.synthetic.phantoms import make_mr_series

pytestmark = pytest.mark.inside

COMMAND = Path(__file__).resolve().parents[2] / "containers" / "dicom-report" / "command.json"


def write_report(spec: RunSpec) -> Exit:
    """Leave what the image leaves."""
    serial = spec.run_id.rpartition("#")[2]
    image, output = make_mr_series((1, 8, 8))[0], output_of(spec)
    capture = secondary_capture(np.zeros((16, 16, 3), np.uint8), image, info=ObjectInfo())
    document = encapsulated_pdf(b"%PDF-1.4", image, info=ObjectInfo(), title="Report")
    for name, ds in (("report", capture), ("pdf", document)):
        ds.save_as(output / f"{name}.dcm", enforce_file_format=True)
    (output / "scan.xml").write_text(
        f'<xnat:SCScan xmlns:xnat="http://nrg.wustl.edu/xnat" ID="report-{serial}" type="AI report" '
        f'UID="{capture.SeriesInstanceUID}"><xnat:image_session_ID>{spec.environment["OVERREAD_SESSION_ID"]}'
        "</xnat:image_session_ID><xnat:quality>usable</xnat:quality></xnat:SCScan>"
    )
    (output / "result.json").write_text(json.dumps({"status": "ok"}))
    return DONE


def test_each_report_is_a_scan_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    runner = FakeRunner(write_report)
    hub = start_hub(tmp_path, change=lambda one: use_runner(one, runner, workers=1))
    try:
        add_project(hub.hub)
        session = add_session(hub.hub, event="")
        with hub.client() as client:
            number = client.post("/xapi/commands", json=json.loads(COMMAND.read_text("utf-8"))).json()
            wrapper = int(client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
            for place in ("", "/projects/P"):
                client.put(f"/xapi{place}/wrappers/{wrapper}/enabled")
            for _ in range(2):
                told = client.post(launch_url(wrapper), json={"session": f"/archive/experiments/{session}"})
                assert told.json()["status"] == "success", told.text
            runs = wait_for(client, count=2)
            assert [run["status"] for run in runs] == ["Complete", "Complete"]
            scans = client.get(f"/data/experiments/{session}/scans").json()["ResultSet"]["Result"]
            reports = [scan["ID"] for scan in scans if scan["type"] == "AI report"]
            assert len(reports) == 2
            for scan in reports:
                listed = client.get(f"/data/experiments/{session}/scans/{scan}/resources").json()
                labels = {row["label"] for row in listed["ResultSet"]["Result"]}
                assert labels == {"DICOM", "PDF", "RESULT"}
        # The image sees the exam, and the project for the patient's other exams; neither can be written to.
        mounts = {mount.target: mount for mount in runner.started[0].mounts}
        assert not any(mounts[name].writable for name in ("/input", "/project"))
        assert mounts["/input"].source.parent in (mounts["/project"].source, *mounts["/project"].source.iterdir())
    finally:
        hub.stop()
