"""dcmtk sends: a program that is not ours, as most PACS and modalities are not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from helpers import arrivals
from helpers.arrivals import ledger, receiving_hub, store_manifest, wait_for_status, wait_until
from helpers.exam_files import write_series
from helpers.ports import free_port
from hub_fixture import RunningHub
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.items.files import file_path
from overread.hub.models import Instance, ReceivedObject, ResourceFile
from overread.synthetic.phantoms import make_mr_series

pytestmark = [pytest.mark.needs("storescu", "echoscu"), pytest.mark.slow]

SHAPE = (8, 32, 32)


def dcmtk(program: str, port: int, *arguments: str | Path, called: str = "BTS") -> subprocess.CompletedProcess[str]:
    """Run one of dcmtk's programs against the hub."""
    command = [program, "-v", "-aet", "DCMTK", "-aec", called, *arguments[:-1], "127.0.0.1", str(port), *arguments[-1:]]
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[RunningHub, int]]:
    running, port = receiving_hub(tmp_path)
    yield running, port
    running.stop()


def stored_bytes(running: RunningHub) -> dict[str, bytes]:
    with running.hub.database.read() as db:
        return {
            row.sop_instance_uid: file_path(db, running.hub, db.get_one(ResourceFile, row.file_pk)).read_bytes()
            for row in db.query(Instance)
        }


def test_echo(hub: tuple[RunningHub, int]) -> None:
    _, port = hub
    assert dcmtk("echoscu", port).returncode == 0
    refused = dcmtk("echoscu", port, called="NOBODY")
    assert refused.returncode != 0
    assert "Called AE Title Not Recognized" in refused.stderr


def test_a_sent_folder_becomes_a_session_with_every_pixel(hub: tuple[RunningHub, int], tmp_path: Path) -> None:
    running, port = hub
    images = make_mr_series(SHAPE)
    folder = write_series(tmp_path / "exam", images)
    done = dcmtk("storescu", port, "+sd", "+r", folder)
    assert done.returncode == 0, done.stderr
    (row,) = wait_for_status(running, "ARCHIVED")
    assert row.session_id == "XNAT_E00001"
    stored = stored_bytes(running)
    for image in images:
        assert stored[image.SOPInstanceUID].endswith(arrivals.dataset_bytes(image))
    with running.client() as client:
        scan = client.get("/data/experiments/XNAT_E00001/scans?format=json").json()["ResultSet"]["Result"][0]
        assert (scan["ID"], scan["type"], scan["xsiType"]) == ("1", "FLAIR", "xnat:mrScanData")


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("-xi", "1.2.840.10008.1.2"), ("-xd", "1.2.840.10008.1.2.1.99")],
    ids=["implicit", "deflated"],
)
def test_every_plain_encoding_is_taken(hub: tuple[RunningHub, int], tmp_path: Path, option: str, syntax: str) -> None:
    running, port = hub
    image = make_mr_series(SHAPE)[0]
    folder = write_series(tmp_path / "exam", [image])
    assert dcmtk("storescu", port, option, "+sd", folder).returncode == 0
    wait_for_status(running, "ARCHIVED")
    (content,) = stored_bytes(running).values()
    path = tmp_path / "kept.dcm"
    path.write_bytes(content)
    kept = dcmread(path)
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.PixelData == image.PixelData


def test_the_manifest_archives_when_the_series_is_whole_and_late_images_come_in(
    hub: tuple[RunningHub, int], tmp_path: Path
) -> None:
    running, port = hub
    store_manifest(running)
    images = make_mr_series(SHAPE)
    folder = write_series(tmp_path / "most", images[:6])
    late = write_series(tmp_path / "late", images[6:])
    localizer = write_series(tmp_path / "loc", make_mr_series((2, 16, 16), series_number=9, series_description="Loc"))
    assert dcmtk("storescu", port, "+sd", localizer).returncode == 0
    time.sleep(1.5)
    assert [(r.status, "missing flair" in r.reason) for r in arrivals.rows(running)] == [("RECEIVING", True)]
    assert dcmtk("storescu", port, "+sd", folder).returncode == 0
    (row,) = wait_for_status(running, "ARCHIVED")
    assert "flair there" in row.reason
    assert dcmtk("storescu", port, "+sd", late).returncode == 0
    rows = wait_for_status(running, "ARCHIVED", count=2)
    assert {r.session_id for r in rows} == {row.session_id}
    assert len(stored_bytes(running)) == len(images) + 2


def test_an_object_without_a_study_is_refused_and_the_others_are_taken(
    hub: tuple[RunningHub, int], tmp_path: Path
) -> None:
    running, port = hub
    images = make_mr_series(SHAPE)
    del images[3].StudyInstanceUID
    folder = write_series(tmp_path / "exam", images)
    done = dcmtk("storescu", port, "-nh", "+sd", folder)
    assert done.stderr.count("Received Store Response (Success)") == SHAPE[0] - 1
    assert "Received Store Response (Error: CannotUnderstand)" in done.stderr, "the sender is told"
    wait_for_status(running, "ARCHIVED")
    assert len(stored_bytes(running)) == SHAPE[0] - 1
    (refused,) = ledger(running, "refused")
    assert "StudyInstanceUID" in refused.reason


def test_a_sender_killed_in_mid_transfer_can_begin_again(hub: tuple[RunningHub, int], tmp_path: Path) -> None:
    running, port = hub
    images = make_mr_series((40, 256, 256))
    folder = write_series(tmp_path / "exam", images)
    sender = subprocess.Popen(
        ["storescu", "-aec", "BTS", "127.0.0.1", str(port), "+sd", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(ledger(running, "received")) >= 3)
    sender.kill()
    sender.wait()
    assert dcmtk("storescu", port, "+sd", folder).returncode == 0
    wait_until(lambda: len(stored_bytes(running)) == len(images))
    assert not [line for line in ledger(running) if line.state == "refused"]


HUB_PROGRAM = """
import sys, threading
from pathlib import Path
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
hub = assemble(Hub(HubConfig(home=Path(sys.argv[1]), dicom_port=int(sys.argv[2]), quiet_default_s=600)))
hub.start()
print("ready", flush=True)
threading.Event().wait()
"""


def hub_process(home: Path, port: int) -> subprocess.Popen[str]:
    """Start a hub of its own process, so that it can be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HUB_PROGRAM, str(home), str(port)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def stop(process: subprocess.Popen[str]) -> None:
    """Kill a hub, as a power cut would."""
    process.kill()
    process.communicate()


def exams_of(home: Path) -> tuple[set[str], int]:
    """UIDs of the objects that a home's ledger has, all of whose files must be there, and how many files there are."""
    found = assemble(Hub(HubConfig(home=home, dicom_port=0)))
    found.intake.recover()
    with found.database.read() as db:
        lines = [line for line in db.query(ReceivedObject) if line.state == "received"]
        assert all((home / line.path).stat().st_size == line.size for line in lines)
    found.database.close()
    return {line.sop_instance_uid for line in lines}, len(list((home / "prearchive").rglob("*.dcm")))


def test_a_hub_killed_while_it_receives_has_every_acknowledged_object_after_the_restart(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    images = make_mr_series((60, 128, 128))
    folder = write_series(tmp_path / "exam", images)
    process = hub_process(home, port)
    log = tmp_path / "sent.txt"
    with log.open("w") as sink:
        sender = subprocess.Popen(
            ["storescu", "-v", "-aec", "XNAT", "127.0.0.1", str(port), "+sd", str(folder)],
            stdout=sink, stderr=sink, env={**os.environ, "TCP_NODELAY": "1"},
        )  # fmt: skip
        wait_until(lambda: log.read_text().count("Received Store Response (Success)") >= 10)
        stop(process)
        sender.wait(timeout=60)
    assert sender.returncode != 0
    acknowledged = log.read_text().count("Received Store Response (Success)")
    process = hub_process(home, port)
    try:
        again = dcmtk("storescu", port, "+sd", folder, called="XNAT")
        assert again.returncode == 0, again.stderr
    finally:
        stop(process)
    kept, files = exams_of(home)
    assert kept == {image.SOPInstanceUID for image in images}
    assert files == len(images), "none twice"
    duplicates = [line for line in _lines(home) if line.state == "duplicate"]
    assert len(duplicates) >= acknowledged, "what was acknowledged before the kill was there after it"


def _lines(home: Path) -> list[ReceivedObject]:
    found = Hub(HubConfig(home=home, dicom_port=0))
    with found.database.read() as db:
        lines = list(db.query(ReceivedObject))
    found.database.close()
    return lines


def test_dcmsend_reports_every_object_as_taken(hub: tuple[RunningHub, int], tmp_path: Path) -> None:
    running, port = hub
    folder = write_series(tmp_path / "exam", make_mr_series(SHAPE))
    report = tmp_path / "report.txt"
    done = dcmtk("dcmsend", port, "+sd", "+crf", report, folder)
    assert done.returncode == 0, done.stderr
    assert f"* with status SUCCESS  : {SHAPE[0]}" in done.stderr
    wait_until(lambda: len(stored_bytes(running)) == SHAPE[0])


@pytest.mark.parametrize("program", ["findscu", "movescu"])
def test_a_query_is_refused_clearly(hub: tuple[RunningHub, int], program: str) -> None:
    _, port = hub
    done = dcmtk(program, port, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3", "-S")
    assert done.returncode != 0
    assert "No Acceptable Presentation Contexts" in done.stderr
