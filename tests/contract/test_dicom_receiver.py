"""The DICOM receiver: who may send, what is kept, what is refused and why."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import associate, ledger, listens, receiving_hub, rows, send, send_bytes, wait_for_status
from helpers.ports import free_port
from hub_fixture import RunningHub, start_hub
from overread.synthetic.phantoms import make_mr_series

SHAPE = (6, 16, 20)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    """A hub whose receiver BTS listens; sessions are archived only after ten minutes."""
    running, port = receiving_hub(tmp_path_factory.mktemp("receiver"), quiet_default_s=600.0)
    yield running, port
    running.stop()


@pytest.fixture
def receiver(shared: tuple[RunningHub, int]) -> Iterator[tuple[RunningHub, int]]:
    """The hub of this module, with nothing in its prearchive."""
    yield shared
    arrivals.wipe(shared[0])


def lets_in(port: int, called: str, *, calling: str = "SENDER") -> bool:
    association = associate(port, called=called, calling=calling)
    established = association.is_established
    association.release()
    return bool(established)


def test_echo_is_answered_for_a_known_title_only(receiver: tuple[RunningHub, int]) -> None:
    _, port = receiver
    association = associate(port)
    assert association.send_c_echo().Status == 0x0000
    association.release()
    refused = associate(port, called="NOBODY")
    assert arrivals.diagnostic(refused) == 0x07, "called AE title not recognised"


def test_an_acknowledged_object_lies_on_disk_as_it_came(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    assert send(port, [dataset]) == [0x0000]
    (line,) = ledger(hub)
    assert (line.state, line.source) == ("received", f"BTS:{port} from SENDER")
    path = hub.hub.layout.home / line.path
    stored = dcmread(path)
    assert path.stem == dataset.SOPInstanceUID
    assert stored.file_meta.TransferSyntaxUID == arrivals.EXPLICIT
    assert stored.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert path.read_bytes().endswith(arrivals.dataset_bytes(dataset))


def test_objects_of_one_study_share_a_session_whose_names_follow_the_expressions(
    receiver: tuple[RunningHub, int],
) -> None:
    hub, port = receiver
    images = make_mr_series(SHAPE, patient_id="PAT 7/a")
    assert set(send(port, images)) == {0x0000}
    (row,) = rows(hub)
    assert (row.project, row.subject, row.status) == ("BTS", "PAT_7_a", "RECEIVING")
    assert row.name == images[0].StudyInstanceUID.replace(".", "_")


def test_the_same_object_twice_is_acknowledged_and_kept_once(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    assert send(port, [dataset, dataset]) == [0x0000, 0x0000]
    assert [line.state for line in ledger(hub)] == ["received", "duplicate"]
    assert len(list(hub.hub.layout.prearchive.rglob("*.dcm"))) == 1


def test_another_object_of_the_same_uid_is_put_aside_and_replaces_nothing(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    first = arrivals.dataset_bytes(dataset)
    assert send(port, [dataset]) == [0x0000]
    dataset.SeriesDescription = "changed afterwards"
    assert send(port, [dataset]) == [0x0000], "it is kept, though not in use"
    kept, aside = ledger(hub)
    assert (kept.state, aside.state) == ("received", "refused")
    assert "came before" in aside.reason
    assert (hub.hub.layout.home / kept.path).read_bytes().endswith(first)
    assert dcmread(hub.hub.layout.home / aside.path).SeriesDescription == "changed afterwards"


@pytest.mark.parametrize(
    ("damage", "status", "words"),
    [
        (lambda content: content[: len(content) // 2], 0xC000, "ends before its end"),
        (lambda _content: b"this is no DICOM at all, not even a bit of it", 0xC000, "no DICOM dataset"),
        (lambda content: content[:60], 0xC000, "missing or no UID"),
    ],
    ids=["truncated in the pixels", "garbage", "truncated in the header"],
)
def test_what_is_no_whole_object_is_refused_and_kept_aside(
    receiver: tuple[RunningHub, int], damage: object, status: int, words: str
) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    content = damage(arrivals.dataset_bytes(dataset))  # type: ignore[operator]
    association = associate(port)
    answer = send_bytes(association, content, sop_class=arrivals.MR_IMAGE, sop_instance=dataset.SOPInstanceUID)
    association.release()
    assert answer.Status == status
    (line,) = ledger(hub)
    assert line.state == "refused"
    assert words in line.reason
    assert (hub.hub.layout.home / line.path).read_bytes().endswith(content)
    assert rows(hub) == []


def test_a_uid_that_differs_between_command_and_dataset_is_refused(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    association = associate(port)
    answer = send_bytes(
        association, arrivals.dataset_bytes(dataset), sop_class=arrivals.MR_IMAGE, sop_instance="1.2.3.4"
    )
    association.release()
    assert answer.Status == 0xA900
    assert "differs" in answer.ErrorComment
    assert [line.state for line in ledger(hub)] == ["refused"]


def test_a_transfer_that_breaks_off_leaves_what_was_acknowledged(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    images = make_mr_series(SHAPE)
    association = associate(port)
    statuses = [association.send_c_store(image).Status for image in images[:3]]
    association.abort()
    assert statuses == [0x0000] * 3
    assert len(ledger(hub, "received")) == 3
    assert set(send(port, images)) == {0x0000}, "the sender tries the whole exam again"
    assert len(ledger(hub, "received")) == len(images)
    assert len(ledger(hub, "duplicate")) == 3


def test_what_no_project_takes_waits_unassigned(tmp_path: Path) -> None:
    port = free_port()
    running = start_hub(tmp_path, quiet_default_s=0.3)
    try:
        with running.client() as client:
            answer = client.post("/xapi/dicomscp", json={"aeTitle": "ANY", "port": port})
            assert answer.status_code == 200
        assert send(port, make_mr_series(SHAPE)[:1], called="ANY") == [0x0000]
        (row,) = wait_for_status(running, "READY")
        assert (row.project, row.subject, row.name) == ("Unassigned", "Phantom_One", "PHANTOM-1")
        assert "no project took it" in row.reason
    finally:
        running.stop()


def test_compressed_objects_are_kept_as_they_were_sent(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    dataset = make_mr_series(SHAPE)[0]
    dataset.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom", generate_instance_uid=False)
    assert send(port, [dataset], syntaxes=["1.2.840.10008.1.2.5"]) == [0x0000]
    (line,) = ledger(hub)
    assert line.transfer_syntax_uid == "1.2.840.10008.1.2.5"
    assert (hub.hub.layout.home / line.path).read_bytes().endswith(arrivals.dataset_bytes(dataset))


def test_a_full_disk_is_told_to_the_sender_at_the_objects_end(tmp_path: Path) -> None:
    running, port = receiving_hub(tmp_path, disk_reserve_bytes=2**60)
    try:
        assert send(port, make_mr_series(SHAPE)[:2]) == [0xA700, 0xA700], "the association outlives it"
        assert ledger(running) == []
        assert list(running.hub.layout.spool.rglob("*.*")) == []
    finally:
        running.stop()


def test_nothing_of_a_patient_is_logged_or_named(
    receiver: tuple[RunningHub, int], caplog: pytest.LogCaptureFixture
) -> None:
    hub, port = receiver
    caplog.set_level(logging.DEBUG)
    dataset = make_mr_series(SHAPE, patient_id="SECRET-ID", patient_name="Secret^Name", accession_number="SECRETACC")[0]
    send(port, [dataset])
    association = associate(port)
    broken = arrivals.dataset_bytes(dataset)[:-10]
    send_bytes(association, broken, sop_class=arrivals.MR_IMAGE, sop_instance=dataset.SOPInstanceUID)
    association.release()

    def hub_lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name.startswith("overread")]

    arrivals.wait_until(lambda: any("refused an object" in line for line in hub_lines()))
    names = [path.name for path in hub.hub.layout.home.rglob("*")]
    assert not any("secret" in text.lower() for text in [*hub_lines(), *names])


# /xapi/dicomscp


def test_a_new_receiver_listens_at_once_and_a_deleted_one_no_more(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    with hub.client() as client:
        made = client.post("/xapi/dicomscp", json={"aeTitle": "SECOND", "port": port, "enabled": True}).json()
        assert made["label"] == f"SECOND:{port}"
        assert lets_in(port, "SECOND")
        assert client.put(f"/xapi/dicomscp/{made['id']}/enabled/false").json()["enabled"] is False
        assert not lets_in(port, "SECOND")
        assert client.put(f"/xapi/dicomscp/{made['id']}/enabled/true").status_code == 200
        assert lets_in(port, "SECOND")
        assert client.delete(f"/xapi/dicomscp/{made['id']}").status_code == 200
        assert not lets_in(port, "SECOND")
        assert lets_in(port, "BTS"), "the other title on the port goes on"


def test_the_last_receiver_of_a_port_closes_it(receiver: tuple[RunningHub, int]) -> None:
    hub, _ = receiver
    other = free_port()
    with hub.client() as client:
        made = client.post("/xapi/dicomscp", json={"aeTitle": "ALONE", "port": other}).json()
        assert listens(other)
        client.delete(f"/xapi/dicomscp/{made['id']}")
        assert not listens(other)


def test_a_whitelist_lets_in_whom_it_names(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    with hub.client() as client:
        wanted = {"aeTitle": "CLUB", "port": port, "whitelistEnabled": True, "whitelist": ["PACS1@127.0.0.0/8"]}
        assert client.post("/xapi/dicomscp", json=wanted).status_code == 200
    assert lets_in(port, "CLUB", calling="PACS1")
    refused = associate(port, called="CLUB", calling="PACS2")
    assert arrivals.diagnostic(refused) == 0x03, "calling AE title not recognised"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"aeTitle": "BTS"}, "already"),
        ({"aeTitle": "SEVENTEEN-LETTERS"}, "no AE title"),
        ({"aeTitle": "A\\B"}, "no AE title"),
        ({"aeTitle": "X", "identifier": "other"}, "unknown DICOM Object Identifier"),
        ({"aeTitle": "X", "projectRoutingExpression": "0008,0050:^(.*)$"}, "can't be read"),
        ({"aeTitle": "X", "subjectRoutingExpression": "(0010,0020):^(.*$"}, "missing )"),
        ({"aeTitle": "X", "whitelist": ["10.0.0.0/99"]}, "whitelist"),
        ({"aeTitle": "X", "port": 70000}, "no port"),
        ({"aeTitle": "X", "enabled": "yes"}, "true or false"),
    ],
)
def test_a_wrong_receiver_is_refused_with_what_is_wrong(
    receiver: tuple[RunningHub, int], document: dict[str, object], words: str
) -> None:
    hub, port = receiver
    with hub.client() as client:
        answer = client.post("/xapi/dicomscp", json={"port": port} | document)
        assert answer.status_code == 400
        assert words in answer.text
        assert len(client.get("/xapi/dicomscp").json()) == 1


def test_a_port_that_is_taken_is_told(receiver: tuple[RunningHub, int]) -> None:
    hub, _ = receiver
    taken = int(hub.url.rsplit(":", 1)[1])
    with hub.client() as client:
        answer = client.post("/xapi/dicomscp", json={"aeTitle": "X", "port": taken})
        assert answer.status_code == 409
        assert str(taken) in answer.text


def test_receivers_are_changed_by_administrators_alone(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    add_user(hub.hub, "mary")
    with hub.client("mary", "secret") as client:
        assert client.get("/xapi/dicomscp").status_code == 200
        assert client.post("/xapi/dicomscp", json={"aeTitle": "X", "port": port}).status_code == 403
        assert client.delete("/xapi/dicomscp/1").status_code == 403


def test_receivers_can_be_asked_for_one_by_one_stopped_and_started(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    with hub.client() as client:
        (one,) = client.get("/xapi/dicomscp").json()
        assert client.get(f"/xapi/dicomscp/{one['id']}").json() == one
        assert client.get(f"/xapi/dicomscp/title/BTS/{port}").json() == one
        assert client.get("/xapi/dicomscp/77").status_code == 404
        assert "dicomObjectIdentifier" in client.get("/xapi/dicomscp/identifiers").json()
        assert client.put("/xapi/dicomscp/stop").json() == [{"aeTitle": "BTS", "port": port, "enabled": True}]
        assert not listens(port)
        assert client.put("/xapi/dicomscp/start").status_code == 200
        assert listens(port)


def test_a_database_that_another_program_locks_stops_no_sender(tmp_path: Path) -> None:
    """Who sends has the answer at once; what was acknowledged is filed once the database can be written again."""
    hub, port = receiving_hub(tmp_path, quiet_default_s=600.0)
    try:
        if hub.hub.database.is_postgres:
            pytest.skip("this is SQLite's lock")
        images = make_mr_series(SHAPE)
        with contextlib.closing(sqlite3.connect(hub.hub.layout.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert set(send(port, images)) == {0x0000}
            with hub.client() as client:
                assert client.get("/data/projects").status_code == 200
            assert len(hub.hub.intake.spool.entries()) == len(images)
            other.execute("ROLLBACK")
        assert len(ledger(hub, "received")) == len(images)
    finally:
        hub.stop()
