"""A disk that is full, at every stage: nothing that was acknowledged is lost, it is told, and it goes on by itself.

The disk is a real file system on which lie database, spool, archive and runs.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from sqlalchemy.exc import OperationalError

from helpers.arrivals import dataset_bytes, ledger, receiving_hub, rows, send, wait_until
from helpers.images import make_image
from helpers.runs import MAIN, install, launch, wait_for
from helpers.small_disk import SmallDisk, small_disk
from hub_fixture import RunningHub
from overread.cli.main import main
from overread.hub.arrival.completion import settle
from overread.hub.models.base import utc_now
from overread.hub.runs import lifecycle, watch
from overread.hub.runs.outputs import store_outputs
from overread.hub.upkeep.check import check
from overread.synthetic.phantoms import make_mr_series

pytestmark = pytest.mark.slow

EXAM = make_mr_series((4, 64, 64), seed=21)
WAITS = "import time; time.sleep(1)\n"
"""So long the image works before it writes."""


@dataclass(frozen=True)
class Site:
    """A hub whose home lies on a small disk."""

    hub: RunningHub
    port: int
    disk: SmallDisk
    wrapper: int
    session: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("full")
    make_image(folder / "images", WAITS + MAIN)
    with small_disk(folder / "disk", mebibytes=48) as disk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "LEAST_FREE_BYTES", 2**20)  # usually more than this disk has
        running, port = receiving_hub(
            disk.root, quiet_default_s=0.3, disk_reserve_bytes=2**20, images=(folder / "images",), retry_delay_s=0.2
        )
        with running.client() as client:
            wrapper = install(client, folder / "images", project="BTS")
            assert set(send(port, EXAM)) == {0x0000}
            session = wait_until(lambda: [row.session_id for row in rows(running) if row.session_id])[0]
        yield Site(running, port, disk, wrapper, session)
        disk.free()
        running.stop()


@pytest.fixture(autouse=True)
def room(site: Site) -> Iterator[None]:
    yield
    site.disk.free()


def whole(site: Site, datasets: list[Dataset]) -> bool:
    """Whether all of them lie in archive or prearchive as they were sent, and database and disk agree."""
    found = {line.sop_instance_uid: line for line in ledger(site.hub, "received", "archived")}
    for dataset in datasets:
        path = site.hub.hub.layout.home / found[dataset.SOPInstanceUID].path
        assert path.read_bytes().endswith(dataset_bytes(dataset))
    assert check(site.hub.hub, digests=True) == []
    return True


def test_a_sender_is_told_and_may_send_again(site: Site) -> None:
    images = make_mr_series((4, 64, 64), seed=22)
    site.disk.fill()
    assert set(send(site.port, images)) == {0xA700}
    site.disk.free()
    assert set(send(site.port, images)) == {0x0000}
    assert whole(site, images)


def test_what_was_acknowledged_is_filed_and_archived_once_there_is_room(site: Site) -> None:
    images = make_mr_series((4, 64, 64), seed=23)
    site.hub.hub.intake._filing.acquire()  # the moment between answer and filing, held for as long as we like
    try:
        assert set(send(site.port, images)) == {0x0000}
        site.disk.fill()
    finally:
        site.hub.hub.intake._filing.release()
    with pytest.raises(Exception, match=r"full|No space"):
        site.hub.hub.intake.file_all()
    assert len(site.hub.hub.intake.spool.entries()) == len(images)
    with site.hub.client() as client:
        ready = client.get("/readyz")
    assert (ready.status_code, "disk" in ready.text) == (503, True)
    site.disk.free()
    uid = images[0].StudyInstanceUID
    wait_until(lambda: [row for row in rows(site.hub) if row.study_instance_uid == uid and row.status == "ARCHIVED"])
    assert whole(site, images)


def test_a_session_that_can_not_be_archived_now_is_archived_later(site: Site) -> None:
    images = make_mr_series((4, 64, 64), seed=24)
    uid = images[0].StudyInstanceUID
    site.hub.hub.arrival._rests_until = math.inf  # until the disk is full
    assert set(send(site.port, images)) == {0x0000}
    (waiting,) = (row for row in rows(site.hub) if row.study_instance_uid == uid)
    site.disk.fill()
    with pytest.raises((OSError, OperationalError)):
        settle(site.hub.hub, waiting.pk, now=utc_now() + timedelta(seconds=60))
    (after,) = (row for row in rows(site.hub) if row.study_instance_uid == uid)
    assert after.status == "RECEIVING", "it waits; nobody has to help it"
    site.hub.hub.arrival._rests_until = 0.0
    time.sleep(0.5)  # the service tries by itself, and fails
    site.disk.free()
    wait_until(lambda: [row for row in rows(site.hub) if row.study_instance_uid == uid and row.status == "ARCHIVED"])
    assert whole(site, images)


@pytest.mark.parametrize("path", [
    "/data/projects/NEW", "/data/projects/BTS/resources/R/files/a.bin", "/data/projects/BTS/subjects/NEW/experiments/E",
])  # fmt: skip
def test_who_stores_by_rest_is_told_and_may_do_it_again(site: Site, path: str) -> None:
    query = {"inbody": "true"} if path.endswith(".bin") else {"xsiType": "xnat:mrSessionData"}
    content = bytes(range(256)) * 2048
    body = content if path.endswith(".bin") else b""
    with site.hub.client() as client:
        site.disk.fill()
        answer = client.put(path, params=query, content=body)
        assert answer.status_code == 507, answer.text
        assert "disk is full" in answer.text
        assert "free space" in answer.text.lower()
        site.disk.free()
        assert client.get(path).status_code == 404, "nothing half-stored"
        assert client.put(path, params=query, content=body).status_code in {200, 201}
        if body:
            assert hashlib.md5(client.get(path).content).digest() == hashlib.md5(content).digest()
    assert check(site.hub.hub, digests=True) == []


def test_outputs_are_stored_once_there_is_room(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The disk fills while the image works: what it writes fails, and so does writing down how it ended."""
    with site.hub.client() as client:
        assert launch(client, site.wrapper, site.session, project="BTS").status_code == 200
        wait_until(lambda: client.get("/xapi/projects/BTS/containers").json()[-1]["status"] == "Running")
        site.disk.fill()
        wait_until(lambda: "can't be written down yet" in caplog.text)
        site.disk.free()
        (run,) = wait_for(client, project="BTS", timeout_s=60)
        assert run["status"] == "Complete", run
        said = [row["message"] for row in client.get(f"/xapi/containers/{run['id']}").json()["history"]]
        assert any("full" in str(message) for message in said), said
        stored = client.get(f"/data/experiments/{site.session}/assessors", params={"format": "json"}).json()
        assert len(stored["ResultSet"]["Result"]) == 1
    assert check(site.hub.hub, digests=True) == []


def test_results_are_stored_once_there_is_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills between the end of the image and the storing of its results."""
    tries: list[None] = []

    def fill_first(*arguments: Any) -> Any:
        tries.append(None)
        if len(tries) == 1:
            site.disk.fill()
            threading.Timer(1.0, site.disk.free).start()
        return store_outputs(*arguments)

    monkeypatch.setattr(lifecycle, "store_outputs", fill_first)
    with site.hub.client() as client:
        before = len(client.get("/xapi/projects/BTS/containers").json())
        assert launch(client, site.wrapper, site.session, project="BTS").status_code == 200
        run = max(wait_for(client, project="BTS", count=before + 1, timeout_s=60), key=lambda one: int(one["id"]))
        assert run["status"] == "Complete", run
    assert len(tries) == 2, "stored at the second attempt, and once"
    assert check(site.hub.hub, digests=True) == []


def test_a_backup_onto_a_full_disk_says_so_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with small_disk(tmp_path / "target", mebibytes=1) as target:
        (target.root / "backup").mkdir()
        target.fill()
        made = CliRunner().invoke(
            main, ["hub", "backup", "--home", str(site.hub.hub.config.home), "--to", str(target.root / "backup")]
        )
        assert made.exit_code != 0
        assert "full" in made.output
        assert "Traceback" not in made.output
        assert list((target.root / "backup").iterdir()) == []
