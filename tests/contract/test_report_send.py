"""Reports on their way to DICOM nodes: `overread report send` over REST, before receivers of others."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from contract.test_dicom_report import COMMAND, write_report
from helpers.archive import add_project, add_session
from helpers.fake_runner import FakeRunner, use_runner
from helpers.ports import free_port
from helpers.runs import launch_url, wait_for
from helpers.studies import MANIFEST
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.errors import NotFound, Unavailable
from overread.hub import bootstrap
from overread.xnat.connection import XnatArchive, open_archive
from overread.xnat.sending.dimse import Commitment, listening
from overread.xnat.sending.nodes import Node, Nodes
from overread.xnat.sending.service import Sender, Sent

pytestmark = [pytest.mark.inside, pytest.mark.slow]

WRAPPER = "dicom-report-session"
CLASSES = (SecondaryCaptureImageStorage, EncapsulatedPDFStorage)


class Place:
    """A hub with a session, and a report made on demand."""

    def __init__(self, hub: RunningHub, session: str, wrapper: int) -> None:
        self.hub, self.session, self._wrapper, self._runs = hub, session, wrapper, 0

    def study(self, *send_to: dict[str, Any], mode: str = "live") -> None:
        """Put the study on the server, as `overread study apply` keeps it."""
        stored = {
            **MANIFEST, "project": "P", "mode": mode, "result_type": "knee:resultData", "report_wrapper_name": WRAPPER,
            "report": {"command": "report.json", "send_to": list(send_to)},
        }  # fmt: skip
        with self.hub.client() as client:
            client.put("/data/projects/P/config/overread/study", content=json.dumps(stored)).raise_for_status()
            table = json.dumps({"knee": {"project": "P", "title": "Knee"}})
            client.put("/data/config/overread/studies", content=table).raise_for_status()

    def report(self) -> str:
        """Press the button; return the new scan."""
        with self.hub.client() as client:
            before = self._scans(client)
            told = client.post(
                launch_url(self._wrapper), json={"session": f"/archive/experiments/{self.session}"}
            ).json()
            assert told["status"] == "success", told
            self._runs += 1
            wait_for(client, count=self._runs)
            (scan,) = self._scans(client) - before
        return scan

    def _scans(self, client: Any) -> set[str]:
        rows = client.get(f"/data/experiments/{self.session}/scans").json()["ResultSet"]["Result"]
        return {row["ID"] for row in rows if row["type"] == "AI report"}

    def state(self, scan: str, node: str = "PACS") -> dict[str, Any]:
        """What XNAT keeps."""
        with self.hub.client() as client:
            fields = client.get(f"/xapi/custom-fields/projects/P/experiments/{self.session}/fields").json()
        found: dict[str, Any] = fields.get(f"report:{scan}", {}).get("nodes", {}).get(node, {})
        return found

    @contextmanager
    def archive(self) -> Iterator[XnatArchive]:
        with open_archive(self.hub.url, user="admin", password=self.hub.password) as archive:
            yield archive


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
        hub = start_hub(
            tmp_path_factory.mktemp("send"), change=lambda one: use_runner(one, FakeRunner(write_report), workers=1)
        )
    add_project(hub.hub)
    session = add_session(hub.hub, event="")
    with hub.client() as client:
        number = client.post("/xapi/commands", json=json.loads(COMMAND.read_text("utf-8"))).json()
        wrapper = int(client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
        for scope in ("", "/projects/P"):
            client.put(f"/xapi{scope}/wrappers/{wrapper}/enabled")
    yield Place(hub, session, wrapper)
    hub.stop()


class Pacs:
    """A node of pynetdicom's, which takes objects and answers for them in the ways that there are."""

    def __init__(self, report: str, *, back: int = 0, failed: tuple[int, ...] = ()) -> None:
        self.port, self._report, self._back, self._failed = free_port(), report, back, list(failed)
        self.taken: list[Dataset] = []
        self.statuses: list[int] = []
        self.store_status = 0x0000
        self.classes: tuple[Any, ...] = CLASSES

    def _store(self, event: Any) -> int:
        if self.store_status == 0:
            self.taken.append(event.dataset)
        return self.store_status

    def _asked(self, event: Any) -> tuple[int, None]:
        asked = event.action_information
        if self._report == "same":
            threading.Thread(target=self._tell, args=(event.assoc, asked)).start()
        elif self._report == "new":
            threading.Thread(target=self._tell_anew, args=(asked,)).start()
        return 0x0000, None

    def _tell_anew(self, asked: Dataset) -> None:
        time.sleep(0.3)
        entity = AE(ae_title="PACS")
        entity.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        association = entity.associate("127.0.0.1", self._back, ae_title="OVERREAD", ext_neg=[role])
        assert association.is_established
        self._tell(association, asked)
        association.release()

    def _tell(self, association: Any, asked: Dataset) -> None:
        time.sleep(0.1)
        told = Dataset()
        told.TransactionUID = asked.TransactionUID
        have = {ds.SOPInstanceUID for ds in self.taken}
        kept = [one for one in asked.ReferencedSOPSequence if one.ReferencedSOPInstanceUID in have]
        missing = [one for one in asked.ReferencedSOPSequence if one not in kept]
        if self._failed:
            reason = self._failed.pop(0)
            missing, kept = [kept[0], *missing], kept[1:]
            for one in missing:
                one.FailureReason = reason
            told.FailedSOPSequence = missing
        told.ReferencedSOPSequence = kept
        status, _ = association.send_n_event_report(
            told, 2 if missing else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        self.statuses.append(status.Status)

    @contextmanager
    def running(self) -> Iterator[None]:
        entity = AE(ae_title="PACS")
        entity.require_called_aet = True
        for each in self.classes:
            entity.add_supported_context(each)
        if self._report:
            entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._asked)]
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield
        finally:
            assert server is not None
            server.shutdown()


class Clock:
    """A time that the test sets on."""

    def __init__(self) -> None:
        self._offset = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._offset

    def later(self, **how_long: float) -> None:
        self._offset += dt.timedelta(**how_long)


def sender_to(
    port: int, clock: Callable[[], dt.datetime], *, own: int | None = None
) -> tuple[Sender, list[Sent | str]]:
    told: list[Sent | str] = []
    nodes = Nodes(ae_title="OVERREAD", port=own, nodes={"PACS": Node(host="127.0.0.1", port=port)})
    return Sender(nodes, told.append, clock), told


def states(told: list[Sent | str], scan: str) -> list[str]:
    return [one.state for one in told if isinstance(one, Sent) and one.scan == scan]


@pytest.mark.parametrize("way", ["same", "new"])
def test_a_report_is_taken_and_answered_for(place: Place, way: str) -> None:
    own = free_port()
    pacs = Pacs(way, back=own)
    place.study({"ae_title": "PACS"})
    scan = place.report()
    sender, told = sender_to(pacs.port, Clock(), own=own)
    with pacs.running(), place.archive() as archive, listening("OVERREAD", own, sender.inbox):
        sender.look(archive)
        deadline = time.monotonic() + 20
        while place.state(scan)["state"] != "committed" and time.monotonic() < deadline:
            sender.listen(archive, until=time.monotonic() + 0.2)
        sender.look(archive)
    assert states(told, scan) == ["sent", "committed"]
    kept = place.state(scan)
    assert (kept["state"], kept["reason"], kept["next_at"]) == ("committed", "", "")
    sent = {
        str(ds.SOPClassUID) for ds in pacs.taken if [str(ds.SOPClassUID), str(ds.SOPInstanceUID)] in kept["objects"]
    }
    assert sent == {str(each) for each in CLASSES}
    deadline = time.monotonic() + 10
    while 0 not in pacs.statuses and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(pacs.statuses) == {0}, "it was thanked, once that was kept"
    # Sent once, whoever looks again.
    count = len(pacs.taken)
    with pacs.running(), place.archive() as archive:
        sender_to(pacs.port, Clock())[0].look(archive)
    assert len(pacs.taken) == count


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves its socket
def test_a_node_that_is_away_is_tried_again_later(place: Place) -> None:
    pacs = Pacs("same")
    place.study({"ae_title": "PACS"})
    clock = Clock()
    with place.archive() as archive:
        sender_to(pacs.port, clock)[0].look(archive)  # whatever was left by others
        clock.later(days=2)
        scan = place.report()
        sender, told = sender_to(pacs.port, clock)
        sender.look(archive)
        first = place.state(scan)
        assert (first["state"], first["attempts"]) == ("waiting", 1)
        assert "127.0.0.1" in first["reason"]
        with pacs.running():
            sender.look(archive)
            assert place.state(scan) == first, "not before its time"
            clock.later(seconds=31)
            sender_to(pacs.port, clock)[0].look(archive)  # after a restart
        assert place.state(scan)["state"] == "committed"
    assert "SUB" not in str(told)


def test_an_exam_deleted_while_a_node_is_about_its_report_ends_no_sender(place: Place) -> None:
    pacs = Pacs("never")
    place.study({"ae_title": "PACS"})
    scan = place.report()
    clock = Clock()
    sender, told = sender_to(pacs.port, clock)
    with pacs.running(), place.archive() as archive:
        sender.look(archive)
        transaction = place.state(scan)["transaction"]
        assert transaction

        def gone(request: object) -> None:
            raise NotFound("no such experiment")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "send", gone)
            for _ in range(2):
                answer = Commitment(transaction, {})
                sender.inbox.put(answer)
                sender.listen(archive, until=time.monotonic() + 0.3)
                assert answer.done.is_set()
                assert not answer.kept
                clock.later(days=2)
                sender.look(archive)
    assert f"{place.session} {scan} is not there any more" in told
    with place.archive() as archive, (other := Pacs("same")).running():  # leaves nothing to the next test
        sender_to(other.port, clock)[0].look(archive)
    assert place.state(scan)["state"] == "committed"


def test_a_node_that_has_not_kept_it_gets_it_again_and_is_given_up_in_the_end(place: Place) -> None:
    pacs = Pacs("same", failed=(0x0213, 0x0112, 0x0110))
    place.study({"ae_title": "PACS"})
    clock = Clock()
    scan = place.report()
    sender, told = sender_to(pacs.port, clock)
    with pacs.running(), place.archive() as archive:
        for _ in range(5):
            sender.look(archive)
            clock.later(hours=1)
    assert states(told, scan) == ["sent", "waiting", "sent", "waiting", "sent", "refused"]
    assert place.state(scan)["reason"] == "taken, but not kept: could not be processed"


@pytest.mark.parametrize(
    ("status", "classes", "state", "reason"),
    [
        (0xA700, CLASSES, "waiting", "has no room (0xa700)"),
        (0xC001, CLASSES, "refused", "Secondary Capture Image Storage is refused (0xc001)"),
        (0x0000, CLASSES[:1], "refused", "Encapsulated PDF Storage is not accepted"),
        (0xB000, CLASSES, "sent", ""),
    ],
)
def test_what_the_node_says_decides(place: Place, status: int, classes: Any, state: str, reason: str) -> None:
    pacs = Pacs("")
    pacs.store_status, pacs.classes = status, classes
    place.study({"ae_title": "PACS", "storage_commitment": False})
    scan = place.report()
    sender, _ = sender_to(pacs.port, Clock())
    with pacs.running(), place.archive() as archive:
        sender.look(archive)
    kept = place.state(scan)
    assert kept["state"] == state
    assert reason in kept["reason"]


def test_a_node_without_storage_commitment_is_named(place: Place) -> None:
    pacs = Pacs("")
    place.study({"ae_title": "PACS"})
    scan = place.report()
    sender, _ = sender_to(pacs.port, Clock())
    with pacs.running(), place.archive() as archive:
        sender.look(archive)
    kept = place.state(scan)
    assert kept["state"] == "sent"
    assert (
        "does not answer" in kept["reason"] or "refuses" in kept["reason"] or "no storage commitment" in kept["reason"]
    )
    assert kept["next_at"]


def test_reports_of_a_study_that_is_not_live_stay(place: Place) -> None:
    pacs = Pacs("same")
    place.study({"ae_title": "PACS"}, mode="assist")
    scan = place.report()
    sender, _ = sender_to(pacs.port, Clock())
    with pacs.running(), place.archive() as archive:
        sender.look(archive)
        place.study({"ae_title": "PACS"})
        sender.look(archive)
    assert place.state(scan)["state"] == "held"
    assert "assist" in place.state(scan)["reason"]
    assert pacs.taken == []


@pytest.mark.needs("storescp")
def test_the_command_sends_to_dcmtk_what_the_study_says(place: Place, tmp_path: Path) -> None:
    port = free_port()
    place.study({"ae_title": "STORESCP", "storage_commitment": False, "objects": ["capture"]}, {"ae_title": "LACKING"})
    scan = place.report()
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(f"nodes:\n  STORESCP: {{host: 127.0.0.1, port: {port}}}\n")
    (tmp_path / "got").mkdir()
    storescp = shutil.which("storescp")
    assert storescp
    server = subprocess.Popen([storescp, "-od", str(tmp_path / "got"), "-aet", "STORESCP", str(port)])
    try:
        arguments = ["report", "send", "--once", "--server", place.hub.url, "--user", "admin", "--nodes", str(nodes)]
        for _ in range(100):
            done = CliRunner().invoke(main, arguments, env={"OVERREAD_PASSWORD": place.hub.password})
            assert done.exit_code == 0, done.output
            if place.state(scan, "STORESCP")["state"] == "sent":
                break
            with place.hub.client() as client:  # the receiver was not up yet: at once again
                client.delete(f"/xapi/custom-fields/projects/P/experiments/{place.session}/fields/report:{scan}")
            time.sleep(0.1)
    finally:
        server.terminate()
        server.wait()
    got = [dcmread(path) for path in (tmp_path / "got").iterdir()]
    assert scan
    assert {str(ds.SOPClassUID) for ds in got} == {str(SecondaryCaptureImageStorage)}
    assert "LACKING" in done.output
    assert "file of nodes" in done.output


def test_a_taken_port_is_said(place: Place) -> None:
    sender, _ = sender_to(1, Clock())
    own = free_port()
    with (
        listening("OVERREAD", own, sender.inbox),
        pytest.raises(Unavailable, match="in use"),
        listening("A", own, sender.inbox),
    ):
        pass
