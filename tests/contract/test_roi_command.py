"""`overread roi` against a hub with an exam: what is refused is told before it is sent, what was sent comes back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from helpers import arrivals
from helpers.arrivals import receiving_hub, wait_for_status
from helpers.segments import seg_of
from helpers.viewer_seg import binary, frames_of, labelmap
from hub_fixture import RunningHub
from overread.cli.main import main
from overread.synthetic.phantoms import PhantomCase, make_case
from overread.xnat.roi import compare

CASE: PhantomCase = make_case(seed=1)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running, port = receiving_hub(tmp_path_factory.mktemp("roi"))
    assert set(arrivals.send(port, CASE.datasets)) == {0}
    wait_for_status(running, "ARCHIVED")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def session(hub: RunningHub) -> str:
    with hub.client() as client:
        (row,) = client.get(f"/xapi/roi/projects/BTS/containers/{CASE.datasets[0].StudyInstanceUID}").json()
        return str(row["sessionLabel"])


def structure_set() -> Dataset:
    """Two contours on two images of the case."""
    first, second = CASE.datasets[3], CASE.datasets[4]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.StudyInstanceUID, ds.SeriesInstanceUID = "RTSTRUCT", first.StudyInstanceUID, generate_uid()
    ds.PatientID, ds.PatientName, ds.StructureSetLabel = first.PatientID, first.PatientName, "Lesion"
    ds.FrameOfReferenceUID = first.FrameOfReferenceUID
    images = [
        item(ReferencedSOPClassUID=d.SOPClassUID, ReferencedSOPInstanceUID=d.SOPInstanceUID) for d in (first, second)
    ]
    series = item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images)
    study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )  # fmt: skip
    frame = item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence = [
        item(ROINumber=1, ROIName="Lesion", ReferencedFrameOfReferenceUID=ds.FrameOfReferenceUID)
    ]
    contours = [
        item(
            ContourImageSequence=[copy.deepcopy(image)], ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=3,
            ContourData=[0.0, 0.0, float(k), 10.0, 0.0, float(k), 0.0, 10.0, float(k)],
        )
        for k, image in enumerate(images)
    ]  # fmt: skip
    ds.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=contours)]
    return ds


def item(**values: Any) -> Dataset:
    made = Dataset()
    for key, value in values.items():
        setattr(made, key, value)
    return made


def run(hub: RunningHub, *arguments: str) -> Result:
    login = ("--server", hub.url, "--user", "admin", "--project", "BTS")
    return CliRunner().invoke(main, ["roi", *arguments, *login], env={"OVERREAD_PASSWORD": hub.password})


def save(folder: Path, ds: Dataset) -> str:
    path = folder / f"{ds.Modality}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return str(path)


def drawn() -> Dataset:
    """A SEG as OHIF saves it."""
    frames = [(1, frame) for frame in frames_of(CASE.mask)]
    return binary(CASE.datasets, frames, {1: "Lesion"})


OBJECTS: dict[str, Callable[[], Dataset]] = {
    "SEG": lambda: seg_of(CASE),
    "OHIF": drawn,
    "RTSTRUCT": structure_set,
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_object_goes_there_and_back(hub: RunningHub, session: str, tmp_path: Path, kind: str) -> None:
    sent = save(tmp_path, OBJECTS[kind]())
    checked = run(hub, "check", sent, "--session", session, "--label", f"THERE-{kind}")
    assert (checked.exit_code, checked.stdout) == (0, ""), checked.output
    result = run(hub, "put", sent, "--session", session, "--label", f"THERE-{kind}")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("RoiCollection_")
    back = tmp_path / "back.dcm"
    fetched = run(hub, "get", f"THERE-{kind}", "--out", str(back), "--compare", sent)
    assert (fetched.exit_code, fetched.stdout) == (0, ""), fetched.output
    again = run(hub, "check", sent, "--session", session, "--label", f"THERE-{kind}")
    assert again.stdout == (
        f"the session has a collection THERE-{kind} already; choose another label, or say --overwrite\n"
    )
    assert run(hub, "put", sent, "--session", session, "--label", f"THERE-{kind}", "--overwrite").exit_code == 0


def with_(ds: Dataset, change: Callable[[Dataset], None]) -> Dataset:
    changed = copy.deepcopy(ds)
    change(changed)
    return changed


def other_series(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"


def other_image(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "1.2.4"


@pytest.mark.parametrize(
    "case",
    [
        (lambda ds: setattr(ds, "StudyInstanceUID", "1.2.3"), "X", "it belongs to study 1.2.3, the session to "),
        (other_series, "X", "series 1.2.3 of it is in no scan of the session; archive that series"),
        (other_image, "X", "image 1.2.4 of it is not in the session; archive the whole series"),
        (lambda _: None, "a b", "'a b' is no label of a collection; use up to 64 letters"),
    ],
)
def test_what_would_be_refused_is_told_and_not_sent(
    hub: RunningHub, session: str, tmp_path: Path, case: tuple[Callable[[Dataset], None], str, str]
) -> None:
    change, label, complaint = case
    path = save(tmp_path, with_(seg_of(CASE), change))
    result = run(hub, "put", path, "--session", session, "--label", label)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    with hub.client() as client:
        assert client.get(f"/xapi/roi/projects/BTS/exists/{label}").json() is False


def test_session_of_another_modality_is_told(hub: RunningHub, tmp_path: Path) -> None:
    with hub.client() as client:
        query = {"xsiType": "xnat:crSessionData", "modality": "CR", "UID": CASE.datasets[0].StudyInstanceUID}
        client.put("/data/projects/BTS/subjects/S/experiments/CR1", params=query)
    result = run(hub, "check", save(tmp_path, seg_of(CASE)), "--session", "CR1", "--label", "Y")
    assert (
        "the session's modality is CR, the ROI service takes MR, CT, PT, US; set the session's modality"
        in result.stdout
    )


def test_differences_are_named() -> None:
    ours = seg_of(CASE)
    theirs = copy.deepcopy(ours)
    theirs.SegmentSequence[0].SegmentLabel = "Oedema"
    pixels = bytearray(theirs.PixelData)
    pixels[len(pixels) // 2] ^= 0xFF
    theirs.PixelData = bytes(pixels)
    named = compare(ours, theirs)
    assert "segments: 1 Lesion -> 1 Oedema" in named
    assert any(line.startswith("segment 1 ") for line in named)
    moved = structure_set()
    still = copy.deepcopy(moved)
    data = moved.ROIContourSequence[0].ContourSequence[0].ContourData
    moved.ROIContourSequence[0].ContourSequence[0].ContourData = [float(np.float64(v)) + 1.0 for v in data]
    assert compare(still, moved) == ("ROI 1: its points",)


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"no DICOM", "can't be read as DICOM"), (None, "is neither SEG nor RTSTRUCT")]
)
def test_file_that_can_be_none_is_one_line(
    hub: RunningHub, session: str, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "x.dcm"
    if content is None:
        CASE.datasets[0].save_as(path, enforce_file_format=True)
        assert dcmread(path).Modality == "MR"
    else:
        path.write_bytes(content)
    result = run(hub, "put", str(path), "--session", session, "--label", "Z")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_collection_that_is_not_there_is_told(hub: RunningHub, tmp_path: Path) -> None:
    result = run(hub, "get", "NONE", "--out", str(tmp_path / "x.dcm"))
    assert result.stderr == "Error: project BTS has no ROI collection NONE; check its label or ID\n"


def test_label_map_is_told_and_can_be_compared(hub: RunningHub, session: str, tmp_path: Path) -> None:
    ds = labelmap(CASE.datasets, frames_of(CASE.mask), {1: "Lesion"})
    result = run(hub, "check", save(tmp_path, ds), "--session", session, "--label", "MAP")
    assert result.stdout.startswith("it is a label map, which XNAT's ROI plugin does not know; save it as a binary SEG")
    assert compare(ds, copy.deepcopy(ds)) == ()
