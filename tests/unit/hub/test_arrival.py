"""From the prearchive into the archive: what becomes of an exam, whatever happens on the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from helpers.arrivals import file_bytes
from helpers.prearchive import BTS, archive, arrive, exam, files_of, reading, resting_hub
from overread.hub import events
from overread.hub.arrival import filing, prearchive
from overread.hub.arrival.assignment import Hints
from overread.hub.arrival.moving import move_session
from overread.hub.arrival.recovery import recover
from overread.hub.arrival.storage import Fate
from overread.hub.core import Hub
from overread.hub.errors import HubError
from overread.hub.events import Event
from overread.hub.items.files import digest_of, file_path
from overread.hub.items.instances import find_instances
from overread.hub.models import (
    ConfigEntry,
    Experiment,
    PrearchiveSession,
    ReceivedObject,
    ResourceFile,
    Scan,
    Subject,
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that does not run."""
    made = resting_hub(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def heard(hub: Hub) -> list[Event]:
    """What the hub publishes of sessions."""
    published: list[Event] = []

    def hear(_db: object, event: Event) -> None:
        if event.type == events.SESSION and event.payload:  # described now, within the transaction
            published.append(event)

    hub.events.listen(hear)
    return published


# archiving


def test_an_archived_exam_has_subject_session_scan_and_every_file(hub: Hub, heard: list[Event]) -> None:
    images = exam(patient_id="PAT1", series_number=7, accession_number="ACC7")
    arrive(hub, images)
    session = archive(hub, reason="whole")
    with reading(hub) as db:
        subject = db.get_one(Subject, session.subject_id)
        (scan,) = db.scalars(select(Scan))
        assert (subject.label, session.label, session.xsi_type) == ("SUB1", "EXAM1", "xnat:mrSessionData")
        assert (session.uid, session.accession_number, session.patient_id) == (
            images[0].StudyInstanceUID, "ACC7", "PAT1",
        )  # fmt: skip
        assert (session.date, session.modality) == ("2024-01-15", "MR")
        assert (scan.id, scan.uid, scan.type, scan.xsi_type) == (
            "7", images[0].SeriesInstanceUID, "FLAIR", "xnat:mrScanData",
        )  # fmt: skip
        assert scan.fields["frames"] == len(images)
        assert {line.state for line in db.scalars(select(ReceivedObject))} == {"archived"}
        assert db.scalars(select(PrearchiveSession)).one().status == prearchive.ARCHIVED
    stored = files_of(hub)
    assert set(stored) == {image.SOPInstanceUID for image in images}
    for image in images:
        path = stored[image.SOPInstanceUID]
        assert path.parent == hub.layout.scan("BTS", "EXAM1", "7") / "DICOM"
        assert path.read_bytes() == file_bytes(image)
    assert not list(hub.layout.prearchive.rglob("*.dcm"))
    assert [(event.status, event.xsi_type) for event in heard] == [("CREATED", "xnat:mrSessionData")]
    assert [scan["id"] for scan in heard[0].payload["scans"]] == ["7"], "all is there when the event is heard"


def test_the_catalog_says_the_digest_and_size_of_each_file(hub: Hub) -> None:
    arrive(hub, exam())
    archive(hub)
    with reading(hub) as db:
        for file in db.scalars(select(ResourceFile)):
            path = file_path(db, hub, file)
            assert file.size == path.stat().st_size
            assert file.digest == digest_of(path)


def test_two_series_of_one_number_become_two_scans(hub: Hub) -> None:
    arrive(hub, exam(series_number=3, series_instance_uid="1.2.1"))
    arrive(
        hub, exam(series_number=3, series_instance_uid="1.2.2", seed=5, study_instance_uid=exam()[0].StudyInstanceUID)
    )
    archive(hub)
    with reading(hub) as db:
        assert sorted(db.scalars(select(Scan.id))) == ["3", "3-MR1"]


@pytest.mark.parametrize(
    ("modalities", "xsi_type", "modality"),
    [
        (["CT"], "xnat:ctSessionData", "CT"),
        (["SR", "CT"], "xnat:ctSessionData", "CT"),
        (["CT", "PT"], "xnat:petSessionData", "PT"),
        (["PT", "MR"], "xnat:petmrSessionData", "PT"),
        (["XX"], "xnat:otherDicomSessionData", "XX"),
    ],
)
def test_modalities_decide_what_kind_of_session_it_is(
    hub: Hub, modalities: list[str], xsi_type: str, modality: str
) -> None:
    for number, name in enumerate(modalities, start=1):
        image = exam(series_number=number)[number]
        image.Modality = name
        arrive(hub, [image])
    session = archive(hub)
    assert (session.xsi_type, session.modality) == (xsi_type, modality)


def test_values_that_xml_can_not_hold_are_cleaned(hub: Hub) -> None:
    image = exam()[0]
    image.SeriesDescription = "a\x07b <script>"
    arrive(hub, [image])
    archive(hub)
    with reading(hub) as db:
        assert db.scalars(select(Scan)).one().series_description == "a b <script>"


def test_an_exam_without_a_subject_is_not_archived(hub: Hub) -> None:
    image = exam(patient_name="", patient_id="P")[0]
    arrive(hub, [image], replace(BTS, subject=""))
    with pytest.raises(HubError, match="no subject"):
        archive(hub)
    assert archive(hub, subject="S1").label == "EXAM1"


# late images, and what is in the way


def test_late_images_come_into_the_session_they_belong_to(hub: Hub, heard: list[Event]) -> None:
    images = exam()
    arrive(hub, images[:4])
    first = archive(hub)
    arrive(hub, images[4:])
    assert archive(hub, overwrite="append").id == first.id
    assert len(files_of(hub)) == len(images)
    assert [event.status for event in heard] == ["CREATED", "MERGED"]
    with reading(hub) as db:
        (scan,) = db.scalars(select(Scan))
        assert scan.fields["frames"] == len(images)


def test_late_images_find_a_session_that_was_renamed(hub: Hub) -> None:
    images = exam()
    arrive(hub, images[:4])
    first = archive(hub)
    with hub.database.write() as db:
        db.get_one(Experiment, first.id).label = "RENAMED"
    arrive(hub, images[4:])
    assert archive(hub, overwrite="append", same_study=True).id == first.id


def test_an_exam_sent_again_whole_changes_nothing_and_fires_nothing(hub: Hub, heard: list[Event]) -> None:
    images = exam()
    arrive(hub, images)
    archive(hub)
    assert {receipt.fate for receipt in arrive(hub, images)} == {Fate.DUPLICATE}
    assert [event.status for event in heard] == ["CREATED"]
    assert not list(hub.layout.tmp.iterdir())


def test_an_exam_that_was_anonymised_is_known_when_it_is_sent_again(hub: Hub) -> None:
    """Else each object would be refused as another one of its UID, and kept with the patient's name."""
    images = exam()
    with hub.database.write() as db:
        script = 'version "6.3"\n(0010,0010) := subject\n'
        db.add(ConfigEntry(project="BTS", tool="anon", path="script", version=1, contents=script, user="admin"))
    arrive(hub, images)
    archive(hub)
    assert {receipt.fate for receipt in arrive(hub, images)} == {Fate.DUPLICATE}
    assert not list(hub.layout.refused.iterdir())
    images[0].PatientID = "SOMEBODY-ELSE"
    assert arrive(hub, images[:1])[0].fate is Fate.SET_ASIDE


def test_an_object_that_contradicts_the_archive_is_put_aside(hub: Hub) -> None:
    image = exam()[0]
    arrive(hub, [image])
    archive(hub)
    before = files_of(hub)[image.SOPInstanceUID].read_bytes()
    image.PatientID = "SOMEBODY-ELSE"
    (receipt,) = arrive(hub, [image])
    assert receipt.fate is Fate.SET_ASIDE
    assert files_of(hub)[image.SOPInstanceUID].read_bytes() == before
    assert len(list(hub.layout.refused.iterdir())) == 1


def test_the_same_object_under_another_label_is_another_session(hub: Hub) -> None:
    arrive(hub, exam())
    archive(hub)
    arrive(hub, exam(), replace(BTS, session="EXAM2"))
    assert archive(hub).label == "EXAM2"


@pytest.mark.parametrize(
    ("other", "hints", "words"),
    [
        ({"seed": 9, "study_instance_uid": "1.2.3"}, BTS, "session UID"),
        ({"seed": 9, "series_number": 2}, replace(BTS, subject="SUB2"), "another Subject"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(
    hub: Hub, other: dict[str, object], hints: Hints, words: str
) -> None:
    first = exam()
    arrive(hub, first)
    archive(hub)
    images = exam(**({"study_instance_uid": first[0].StudyInstanceUID} | other))
    arrive(hub, images, hints)
    with pytest.raises(HubError, match=words) as problem:
        archive(hub, overwrite="append")
    assert problem.value.status == 409
    assert len(files_of(hub)) == len(first)
    assert len(list(hub.layout.prearchive.rglob("*.dcm"))) == len(images), "nothing is lost"


def test_without_leave_to_append_an_existing_label_is_a_conflict(hub: Hub) -> None:
    images = exam()
    arrive(hub, images[:3])
    archive(hub)
    arrive(hub, images[3:])
    with pytest.raises(HubError, match="retry with overwrite enabled"):
        archive(hub)


# crashes


def test_a_failure_while_archiving_leaves_everything_where_it_was(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    images = exam()
    arrive(hub, images)
    done: list[Path] = []

    def fail_in_the_middle(source: Path, target: Path) -> None:
        if len(done) == 3:
            raise RuntimeError("power cut")
        done.append(target)
        target.hardlink_to(source)

    monkeypatch.setattr(filing, "link", fail_in_the_middle)
    with pytest.raises(RuntimeError, match="power cut"):
        archive(hub)
    monkeypatch.undo()
    assert files_of(hub) == {}
    assert not list(hub.layout.archive.rglob("*.dcm"))
    assert len(list(hub.layout.prearchive.rglob("*.dcm"))) == len(images)
    archive(hub)
    assert len(files_of(hub)) == len(images)


def test_files_that_a_crash_left_in_the_archive_are_replaced(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    folder = hub.layout.scan("BTS", "EXAM1", "1") / "DICOM"
    folder.mkdir(parents=True)
    (folder / f"{images[0].SOPInstanceUID}.dcm").write_bytes(b"half of a copy")
    archive(hub)
    assert files_of(hub)[images[0].SOPInstanceUID].read_bytes() == file_bytes(images[0])


def test_without_hard_links_files_are_copied(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    images = exam()
    arrive(hub, images)

    def no_links(_source: Path, _target: Path) -> None:
        raise PermissionError("this file system has none")

    monkeypatch.setattr("os.link", no_links)
    archive(hub)
    assert all(path.stat().st_nlink == 1 for path in files_of(hub).values())
    assert len(files_of(hub)) == len(images)


def test_a_crash_after_the_commit_leaves_a_folder_that_the_next_start_removes(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = exam()
    arrive(hub, images)
    monkeypatch.setattr(prearchive, "remove_folder_later", lambda *_: None)
    archive(hub)
    assert len(list(hub.layout.prearchive.rglob("*.dcm"))) == len(images)
    recover(hub)
    assert not list(hub.layout.prearchive.iterdir())
    assert len(files_of(hub)) == len(images)


def test_a_file_without_a_line_is_taken_at_the_next_start(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    with hub.database.write() as db:
        db.delete(db.scalars(select(ReceivedObject)).first())
    recover(hub)
    archive(hub)
    assert len(files_of(hub)) == len(images)


def test_a_first_object_without_session_is_taken_at_the_next_start(hub: Hub) -> None:
    images = exam()[:1]
    arrive(hub, images)
    with hub.database.write() as db:
        db.delete(db.scalars(select(ReceivedObject)).one())
        db.flush()
        db.delete(db.scalars(select(PrearchiveSession)).one())
    recover(hub)
    with reading(hub) as db:
        (session,) = db.scalars(select(PrearchiveSession))
        assert (session.project, session.name, session.status) == ("BTS", "EXAM1", "RECEIVING")
        assert len(prearchive.objects_of(db, session)) == 1


def test_garbage_in_the_prearchive_is_put_aside_at_the_next_start(hub: Hub) -> None:
    arrive(hub, exam())
    (folder,) = {path.parent for path in hub.layout.prearchive.rglob("*.dcm")}
    (folder / "x.dcm").write_bytes(b"no DICOM")
    recover(hub)
    assert [path.read_bytes() for path in hub.layout.refused.iterdir()] == [b"no DICOM"]


def test_a_line_whose_file_is_gone_is_marked_and_does_not_stop_the_rest(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    next(iter(hub.layout.prearchive.rglob("*.dcm"))).unlink()
    recover(hub)
    archive(hub)
    assert len(files_of(hub)) == len(images) - 1
    with reading(hub) as db:
        assert "gone" in db.scalars(select(ReceivedObject.reason).where(ReceivedObject.state == "deleted")).one()


def test_a_move_that_a_crash_broke_off_is_undone_at_the_next_start(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    (session_folder,) = hub.layout.prearchive.glob("*/*/*")
    half_moved = hub.layout.prearchive / "OTHER" / session_folder.parent.name / session_folder.name
    shutil.copytree(session_folder, half_moved)
    recover(hub)
    assert not half_moved.exists()
    with reading(hub) as db:
        assert db.scalars(select(PrearchiveSession)).one().project == "BTS"


def test_a_session_moves_into_another_project(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    with hub.database.write() as db:
        move_session(db, hub, db.scalars(select(PrearchiveSession)).one(), project="OTHER")
    recover(hub)
    assert {path.parts[-7] for path in hub.layout.prearchive.rglob("*.dcm")} == {"OTHER"}
    assert archive(hub).project == "OTHER"


def test_an_object_is_found_by_its_uids(hub: Hub) -> None:
    images = exam()
    arrive(hub, images)
    archive(hub)
    with reading(hub) as db:
        study = images[0].StudyInstanceUID
        assert len(find_instances(db, project="BTS", study=study)) == len(images)
        assert find_instances(db, project="OTHER", study=study) == []
        (one,) = find_instances(db, project="BTS", sop=images[2].SOPInstanceUID)
        assert one.instance_number == images[2].InstanceNumber


def test_an_object_stored_in_the_archive_is_read_as_it_was(hub: Hub) -> None:
    image = exam()[0]
    arrive(hub, [image])
    archive(hub)
    stored = dcmread(files_of(hub)[image.SOPInstanceUID])
    assert stored == image
