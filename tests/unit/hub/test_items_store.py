"""The store functions that all areas of the hub share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from overread.hub import events
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.errors import HubError
from overread.hub.events import Event
from overread.hub.items.experiments import NewExperiment, find_experiment, save_experiment
from overread.hub.items.files import Owner, add_file, ensure_resource, file_path, resource_folder
from overread.hub.items.projects import save_project
from overread.hub.items.scans import save_scan
from overread.hub.items.serialise import payload
from overread.hub.items.subjects import ensure_subject, find_subject
from overread.hub.items.uris import resolve
from overread.hub.items.xml import insert_xml, to_xml
from overread.hub.models import Experiment, Resource, ResourceFile, Scan
from plugin_jar import make_plugin_jar

RESULT = """<?xml version="1.0" encoding="UTF-8"?>
<braintumor:Result xmlns:braintumor="http://overread/xnat/braintumor" xmlns:xnat="http://nrg.wustl.edu/xnat"
 project="P" label="BT-1">
  <xnat:date>2026-05-01</xnat:date>
  <xnat:imageSession_ID>{session}</xnat:imageSession_ID>
  <xnat:parameters><xnat:addParam name="threshold">0.5</xnat:addParam></xnat:parameters>
  <braintumor:status>ok</braintumor:status>
  <braintumor:lesion_volume_ml>12.5</braintumor:lesion_volume_ml>
  <braintumor:lesion_count>2</braintumor:lesion_count>
</braintumor:Result>
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Hub]:
    """A hub that serves nothing, with a project P."""
    hub = assemble(Hub(HubConfig(home=tmp_path / "home", dicom_port=0)))
    make_plugin_jar(hub.layout.plugins)
    hub.schemas.reload()
    with hub.database.write() as db:
        save_project(db, hub, "P", user="admin")
    yield hub
    hub.database.close()


@pytest.fixture
def heard(store: Hub) -> list[Event]:
    """All events that the hub publishes from now on."""
    seen: list[Event] = []

    def hear(_db: object, event: Event) -> None:
        assert event.payload  # described now, within the transaction, as a subscription would look at it
        seen.append(event)

    store.events.listen(hear)
    return seen


def make_session(hub: Hub, label: str = "E1") -> str:
    with hub.database.write() as db:
        subject = ensure_subject(db, hub, project="P", label="S1", user="admin")
        new = NewExperiment("xnat:mrSessionData", "P", label, subject_id=subject.id, fields={"UID": "1.2.3"})
        return save_experiment(db, hub, new, user="admin")[0].id


def test_ids_count_from_one_and_labels_find(store: Hub) -> None:
    session = make_session(store)
    assert session == "XNAT_E00001"
    with store.database.read() as db:
        found = find_experiment(db, "P", "E1")
        assert found is not None
        assert found.id == session
        assert find_experiment(db, "P", "E2") is None
        subject = find_subject(db, "P", "S1")
        assert subject is not None
        assert subject.id == "XNAT_S00001"


def test_saving_again_lays_values_over(store: Hub) -> None:
    session = make_session(store)
    with store.database.write() as db:
        new = NewExperiment("xnat:mrSessionData", "P", "E1", fields={"note": "seen", "fieldStrength": "3"})
        again, created = save_experiment(db, store, new, user="bob")
        assert (again.id, created) == (session, False)
        assert again.uid == "1.2.3"
        assert again.fields == {"note": "seen", "fieldStrength": "3"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lesion_volume": "1"}, "Did you mean 'lesion_volume_ml'"),
        ({"lesion_volume_ml": "much"}, "braintumor:resultData/lesion_volume_ml: 'much' is no number"),
        ({"lesion_count": "1.5"}, "is no whole number"),
        ({"lesion_count": "9999999999"}, "32-bit"),
        ({"status": "fine"}, "none of ok, not-applicable"),
        ({"model_name": "x" * 256}, "at most 255"),
        ({"date": "yesterday"}, "is no date"),
    ],
)
def test_wrong_values_are_refused_with_path_and_reason(store: Hub, fields: dict[str, str], said: str) -> None:
    session = make_session(store)
    new = NewExperiment("braintumor:resultData", "P", "BT", session_id=session, fields=fields)
    with pytest.raises(HubError, match="400") as problem, store.database.write() as db:
        save_experiment(db, store, new, user="admin")
    assert said in problem.value.reason
    with store.database.read() as db:
        assert find_experiment(db, "P", "BT") is None


def test_events_say_what_happened(store: Hub, heard: list[Event]) -> None:
    session = make_session(store)
    assert [(event.type, event.status) for event in heard] == [
        (events.SUBJECT, "CREATED"),
        (events.SESSION, "CREATED"),
    ]
    assert heard[1].payload["uri"] == f"/archive/experiments/{session}"
    heard.clear()
    with store.database.write() as db:
        for _ in range(2):
            new = NewExperiment("icr:roiCollectionData", "P", "AI-1", session_id=session)
            save_experiment(db, store, new, user="admin")
        save_experiment(db, store, NewExperiment("xnat:mrSessionData", "P", "E1", fields={"note": "x"}), user="admin")
    assert [(event.type, event.status) for event in heard] == [
        (events.IMAGE_ASSESSOR, "CREATED"),
        (events.IMAGE_ASSESSOR, "UPDATED"),
    ]


def test_an_event_is_described_while_it_is_told_or_never(store: Hub) -> None:
    seen: list[Event] = []
    store.events.listen(lambda _db, event: seen.append(event))
    make_session(store)
    with pytest.raises(RuntimeError, match="look at it then"):
        _ = seen[-1].payload


def test_xml_goes_in_and_comes_out(store: Hub) -> None:
    session = make_session(store)
    with store.database.write() as db:
        result = insert_xml(db, store, RESULT.format(session=session).encode(), user="admin")
        assert result.session_id == session
        assert result.fields == {"status": "ok", "lesion_volume_ml": 12.5, "lesion_count": 2}
        assert result.children == {"parameters/addParam": [{"name": "threshold", "addField": "0.5"}]}
        written = to_xml(db, store, result)
        assert b"<braintumor:lesion_volume_ml>12.5</braintumor:lesion_volume_ml>" in written
        assert b'<xnat:addParam name="threshold">0.5</xnat:addParam>' in written
        again = insert_xml(db, store, written, user="admin")
        assert again.id == result.id


def test_session_xml_carries_its_scans(store: Hub) -> None:
    session_id = make_session(store)
    with store.database.write() as db:
        session = db.get_one(Experiment, session_id)
        save_scan(
            db, store, session, scan_id="1", xsi_type="xnat:mrScanData", user="admin",
            fields={"type": "FLAIR", "frames": "24", "parameters/voxelRes/x": "1.0"},
        )  # fmt: skip
        written = to_xml(db, store, session)
        copy = written.replace(b'label="E1"', b'label="E2"').replace(f'ID="{session_id}"'.encode(), b'ID="COPY_1"')
        made = insert_xml(db, store, copy, user="admin")
        assert made.id == "COPY_1"
        scan = resolve(db, store, "/archive/experiments/COPY_1/scans/1")
        assert isinstance(scan, Scan)
        assert (scan.type, scan.fields["frames"]) == ("FLAIR", 24)


@pytest.mark.parametrize(
    ("xml", "status"),
    [
        (b"<broken", 422),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', 422),
        (b'<a:B xmlns:a="http://nowhere"/>', 400),
        (b'<x:Subject xmlns:x="http://nrg.wustl.edu/xnat"/>', 422),
        (RESULT.replace("lesion_count", "lesion_counts").encode(), 400),
    ],
)
def test_bad_documents_are_refused(store: Hub, xml: bytes, status: int) -> None:
    with pytest.raises(HubError) as problem, store.database.write() as db:
        insert_xml(db, store, xml, user="admin")
    assert problem.value.status == status


def test_files_lie_in_xnats_layout(store: Hub, tmp_path: Path) -> None:
    session_id = make_session(store)
    source = tmp_path / "one.dcm"
    source.write_bytes(b"abc")
    with store.database.write() as db:
        session = db.get_one(Experiment, session_id)
        scan = save_scan(db, store, session, scan_id="1", xsi_type="xnat:mrScanData", user="admin")
        resource = ensure_resource(db, store, Owner("scan", str(scan.pk)), "DICOM", format="DICOM", user="admin")
        row = add_file(db, store, resource, "sub/one.dcm", source, user="admin")
        assert row is not None
        assert row.digest == "900150983cd24fb0d6963f7d28e17f72"
        path = file_path(db, store, row)
        assert path == store.layout.archive / "P/arc001/E1/SCANS/1/DICOM/sub/one.dcm"
        assert path.read_bytes() == b"abc"
        seen = payload(db, store, session)
        assert seen["scans"][0]["resources"][0]["label"] == "DICOM"
        assert resolve(db, store, f"/archive/experiments/{session_id}/scans/1/resources/DICOM") is resource
    assert not source.exists()


def test_a_transaction_not_kept_puts_files_back(store: Hub, tmp_path: Path) -> None:
    session_id = make_session(store)
    source = tmp_path / "note.txt"
    source.write_text("first")
    with store.database.write() as db:
        resource = ensure_resource(db, store, Owner("experiment", session_id), "NOTES", user="admin")
        add_file(db, store, resource, "note.txt", source, user="admin")
        folder = resource_folder(db, store, resource)
    source.write_text("second")
    other = tmp_path / "other.txt"
    other.write_text("other")

    def store_and_fail() -> None:
        with store.database.write() as db:
            again = db.get_one(Resource, resource.pk)
            add_file(db, store, again, "note.txt", source, user="admin")
            add_file(db, store, again, "other.txt", other, user="admin")
            assert (folder / "note.txt").read_text() == "second"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        store_and_fail()
    assert [path.name for path in folder.iterdir()] == ["note.txt"]
    assert (folder / "note.txt").read_text() == "first"
    with store.database.read() as db:
        assert db.query(ResourceFile).count() == 1


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\b", "a/./b/..", "a\x00b"])
def test_paths_that_leave_the_resource_are_refused(store: Hub, tmp_path: Path, path: str) -> None:
    session_id = make_session(store)
    source = tmp_path / "x"
    source.write_bytes(b"x")
    with store.database.write() as db:
        resource = ensure_resource(db, store, Owner("experiment", session_id), "R", user="admin")
        with pytest.raises(HubError, match="400"):
            add_file(db, store, resource, path, source, user="admin")
