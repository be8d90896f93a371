"""What is stored over DICOMweb: readers' segmentations become conformant collections, images arrive like all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from sqlalchemy import select

from helpers import arrivals, viewer_seg
from helpers.archive import add_user
from helpers.arrivals import file_bytes, receiving_hub, wait_for_status, wait_until
from helpers.dicomweb import ROOT, parts_of, stow, value
from helpers.segments import seg_of
from hub_fixture import RunningHub
from overread.dicom import normalise
from overread.dicom.seg import decode_seg, predecessor_of
from overread.hub import events
from overread.hub.events import Event
from overread.hub.models import Experiment, Resource
from overread.hub.roi.store import save_collection
from overread.synthetic.phantoms import PhantomCase, make_case, make_mr_series

COLLECTION = "icr:roiCollectionData"


@dataclass
class Review:
    """A hub with an exam, the model's mask on it, and what the hub published since."""

    hub: RunningHub
    case: PhantomCase
    seg: Dataset
    session_id: str
    heard: list[Event]

    def collections(self) -> list[Experiment]:
        with self.hub.hub.database.read() as db:
            query = select(Experiment).where(Experiment.xsi_type == COLLECTION, Experiment.label != "AI-1")
            return list(db.scalars(query.order_by(Experiment.insert_date)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    running, port = receiving_hub(tmp_path_factory.mktemp("review"))
    case = make_case(seed=1)
    assert set(arrivals.send(port, case.datasets)) == {0}
    (row,) = wait_for_status(running, "ARCHIVED")
    assert row.session_id is not None
    seg = seg_of(case)
    with running.hub.database.write() as db:
        session = db.get_one(Experiment, row.session_id)
        save_collection(db, running.hub, session, seg, label="AI-1", collection_type="SEG", name="AI", user="admin")
    add_user(running.hub, "mary", role="member", project="BTS")
    add_user(running.hub, "rita", role="collaborator", project="BTS")
    heard: list[Event] = []

    def hear(_db: object, event: Event) -> None:
        if event.type == events.IMAGE_ASSESSOR and event.payload:  # described now, within the transaction
            heard.append(event)

    running.hub.events.listen(hear)
    yield Review(running, case, seg, row.session_id, heard)
    running.stop()


@pytest.fixture
def review(shared: Review) -> Iterator[Review]:
    shared.heard.clear()
    yield shared
    with shared.hub.client() as client:
        for one in shared.collections():
            assert client.delete(f"/xapi/roi/projects/BTS/collections/{one.id}").status_code == 200


@pytest.fixture
def mary(shared: Review) -> Iterator[httpx.Client]:
    with shared.hub.client("mary", "secret") as client:
        yield client


def painted(review: Review, *, predecessor: bool = True) -> tuple[Dataset, int]:
    """The model's mask with one more voxel, as OHIF stores it, and how many voxels it has."""
    mask = review.case.mask.copy()
    k, j, i = np.argwhere(~mask)[0]
    mask[k, j, i] = True
    upload = viewer_seg.labelmap(review.case.datasets, viewer_seg.frames_of(mask), {1: "Lesion"})
    if predecessor:
        instance, series, study = Dataset(), Dataset(), Dataset()
        instance.ReferencedSOPClassUID = review.seg.SOPClassUID
        instance.ReferencedSOPInstanceUID = review.seg.SOPInstanceUID
        series.SeriesInstanceUID, series.ReferencedSOPSequence = review.seg.SeriesInstanceUID, [instance]
        study.StudyInstanceUID, study.ReferencedSeriesSequence = review.seg.StudyInstanceUID, [series]
        upload.PredecessorDocumentsSequence = [study]
    return upload, int(mask.sum())


@pytest.mark.parametrize("predecessor", [True, False], ids=["names what it corrects", "names nothing"])
def test_a_readers_mask_becomes_a_conformant_collection(
    review: Review, mary: httpx.Client, *, predecessor: bool
) -> None:
    upload, voxels = painted(review, predecessor=predecessor)
    answer = stow(mary, upload)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    reference = value(answer.json(), "00081199")
    assert value(reference, "00081155") == upload.SOPInstanceUID
    assert value(reference, "00081150") == "1.2.840.10008.5.1.4.1.1.66.4", "a BINARY segmentation is kept"
    (part,) = parts_of(mary.get(value(reference, "00081190")))
    kept = dcmread(BytesIO(part[1]))
    (segment,) = decode_seg(kept).segments
    assert (segment.label, segment.type.value, segment.algorithm_type) == ("Lesion", "108369006", "SEMIAUTOMATIC")
    assert segment.tracking_uid == "2.25.1234567890"
    assert kept.ContentCreatorName == "mary"
    assert predecessor_of(kept) == review.seg.SOPInstanceUID
    assert int(kept.pixel_array.sum()) == voxels
    (collection,) = review.collections()
    assert collection.label.startswith("mary-SEG_20")
    assert collection.session_id == review.session_id
    assert collection.fields["collectionType"] == "SEG"
    assert collection.uid == upload.SOPInstanceUID
    assert collection.children["references/seriesUID"] == [{"seriesUID": review.case.datasets[0].SeriesInstanceUID}]
    assert [(event.status, event.xsi_type) for event in review.heard] == [
        ("CREATED", COLLECTION),
        ("UPDATED", COLLECTION),
    ]
    assert [one["label"] for one in review.heard[-1].payload["resources"]] == ["SEG", "RAW"]


def test_what_the_viewer_sent_is_kept_beside_it(review: Review, mary: httpx.Client) -> None:
    upload, _ = painted(review)
    sent = file_bytes(upload)
    assert stow(mary, sent).status_code == 200
    (collection,) = review.collections()
    files = mary.get(f"/data/experiments/{collection.id}/resources/RAW/files?format=json").json()
    (row,) = files["ResultSet"]["Result"]
    assert mary.get(row["URI"]).content == sent


def test_the_models_mask_stays_as_it_was(review: Review, mary: httpx.Client) -> None:
    assert stow(mary, painted(review)[0]).status_code == 200
    assert mary.get("/xapi/roi/projects/BTS/collections/AI-1").content == file_bytes(review.seg)


def test_the_same_request_twice_makes_one_collection(review: Review, mary: httpx.Client) -> None:
    sent = file_bytes(painted(review)[0])
    first, second = stow(mary, sent), stow(mary, sent)
    assert (first.status_code, second.status_code) == (200, 200)
    assert value(first.json(), "00081199") == value(second.json(), "00081199")
    assert len(review.collections()) == 1


def test_the_same_request_while_the_first_is_at_work_makes_one_collection(
    review: Review, mary: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that lost patience sends it again: the second ends first."""
    sent, answers = file_bytes(painted(review)[0]), []
    compare = normalise.normalise_viewer_seg

    def slow(*given: Any, **more: Any) -> Dataset:
        monkeypatch.setattr(normalise, "normalise_viewer_seg", compare)
        answers.append(stow(mary, sent))
        return compare(*given, **more)

    monkeypatch.setattr(normalise, "normalise_viewer_seg", slow)
    with review.hub.client("mary", "secret") as other:
        answers.append(stow(other, sent))
    assert [one.status_code for one in answers] == [200, 200]
    assert value(answers[0].json(), "00081199") == value(answers[1].json(), "00081199")
    assert len(review.collections()) == 1


def compressed(review: Review, syntax: str) -> Dataset:
    """A mask in RLE that says it is in `syntax`."""
    upload, _ = painted(review)
    upload.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom", generate_instance_uid=False)
    upload.file_meta.TransferSyntaxUID = UID(syntax)
    return upload


def test_a_mask_in_rle_is_taken(review: Review, mary: httpx.Client) -> None:
    assert stow(mary, compressed(review, "1.2.840.10008.1.2.5")).status_code == 200
    assert len(review.collections()) == 1


def refused_uploads(review: Review) -> dict[str, tuple[Dataset, str]]:
    def changed(**values: str) -> Dataset:
        upload, _ = painted(review)
        for keyword, one in values.items():
            setattr(upload, keyword, one)
        return upload

    stranger = make_mr_series(review.case.mask.shape, seed=8)
    other_series = painted(review)[0]
    other_series.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    lost = painted(review)[0]
    (study,) = lost.PredecessorDocumentsSequence
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    empty = viewer_seg.labelmap(
        review.case.datasets, [(0, np.zeros(review.case.mask.shape[1:], np.uint8))], {1: "Lesion"}
    )
    broken = compressed(review, "1.2.840.10008.1.2.5")
    broken.PixelData = broken.PixelData.replace(broken.PixelData[-40:], b"\xff" * 40)
    return {
        "broken frames": (broken, "can't be"),
        "JPEG 2000": (compressed(review, "1.2.840.10008.1.2.4.90"), "JPEG 2000"),
        "another study": (viewer_seg.labelmap(stranger, viewer_seg.frames_of(review.case.mask), {1: "L"}), "no exam"),
        "another series": (other_series, "not in the archive"),
        "unknown predecessor": (lost, "that it corrects"),
        "nothing drawn": (empty, "Nothing is drawn"),
        "another patient": (changed(PatientID="SOMEBODY"), "another patient"),
        "the model's own UID": (changed(SOPInstanceUID=review.seg.SOPInstanceUID), "save it anew"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "another study",
        "another series",
        "unknown predecessor",
        "nothing drawn",
        "another patient",
        "the model's own UID",
    ],
)
def test_a_mask_that_does_not_belong_here_is_refused_with_the_reason(
    review: Review, mary: httpx.Client, kind: str
) -> None:
    upload, words = refused_uploads(review)[kind]
    upload.file_meta.MediaStorageSOPInstanceUID = upload.SOPInstanceUID
    answer = stow(mary, upload)
    assert answer.status_code == 409
    assert answer.headers["content-type"].startswith("text/plain")
    assert words in answer.text
    assert "SOMEBODY" not in answer.text
    assert review.collections() == []
    assert review.heard == []
    in_json = stow(mary, upload, accept="application/dicom+json")
    assert in_json.status_code == 409
    assert value(value(in_json.json(), "00081198"), "00081197") is not None


def test_two_shown_and_one_refused_are_told_apart(review: Review, mary: httpx.Client) -> None:
    good, bad = painted(review)[0], b"no DICOM at all"
    answer = stow(mary, good, bad)
    assert answer.status_code == 202
    assert len(answer.json()["00081199"]["Value"]) == 1
    assert len(answer.json()["00081198"]["Value"]) == 1
    assert "no DICOM file" in answer.headers["warning"]


def test_who_may_only_read_stores_nothing(review: Review) -> None:
    with review.hub.client("rita", "secret") as client:
        assert stow(client, painted(review)[0]).status_code == 403
    assert review.collections() == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x", "application/dicom", 415),
        (b"x", 'multipart/related; type="application/dicom"', 400),
        (b"--b\r\nContent-Type: application/dicom\r\n\r\nabc", "multipart/related; boundary=b", 400),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nabc\r\n--b--", "multipart/related; boundary=b", 415),
        (b"", "multipart/related; boundary=b", 415),
    ],
)
def test_a_body_that_is_none_is_refused(
    review: Review, mary: httpx.Client, body: bytes, kind: str, status: int
) -> None:
    answer = mary.post(f"{ROOT}/studies", content=body, headers={"content-type": kind})
    assert answer.status_code == status


def test_images_arrive_like_all_others(review: Review, mary: httpx.Client) -> None:
    images = make_mr_series((5, 16, 20), seed=5, patient_id="NEW")
    answer = stow(mary, *images, study=images[0].StudyInstanceUID)
    assert answer.status_code == 200
    assert len(answer.json()["00081199"]["Value"]) == len(images)
    study = images[0].StudyInstanceUID
    wait_until(lambda: study in {row.study_instance_uid for row in wait_for_status(review.hub, "ARCHIVED")})
    wrong = stow(mary, images[0], study="1.2.3")
    assert wrong.status_code == 409
    assert "another study" in wrong.text


def test_nothing_is_left_in_the_temporary_folder(review: Review, mary: httpx.Client) -> None:
    stow(mary, painted(review)[0])
    stow(mary, b"no DICOM")
    left: list[Path] = [p for p in review.hub.hub.layout.tmp.iterdir() if p.suffix == ".dcm"]
    assert left == []


def test_the_collections_resources_are_those_that_the_calculator_expects(review: Review, mary: httpx.Client) -> None:
    stow(mary, painted(review)[0])
    (collection,) = review.collections()
    with review.hub.hub.database.read() as db:
        labels = db.scalars(select(Resource.label).where(Resource.owner_id == collection.id)).all()
    assert sorted(labels) == ["RAW", "SEG"]
    folder = review.hub.hub.layout.assessor(
        "BTS", review.case.datasets[0].StudyInstanceUID.replace(".", "_"), collection.label
    )
    assert [path.name for path in folder.rglob("*.dcm")] == [f"{collection.label}.dcm"]
