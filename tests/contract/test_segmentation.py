"""`overread segmentation` against a hub: people's masks come in as SEG, RTSTRUCT, NIfTI or from OHIF."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage

from helpers import arrivals
from helpers.arrivals import receiving_hub, wait_for_status
from helpers.study_folder import write_study
from helpers.viewer_seg import binary, frames_of, labelmap
from hub_fixture import RunningHub
from overread.cli.main import main
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import decode_seg
from overread.synthetic.phantoms import PhantomCase, make_case

pytestmark = pytest.mark.slow

CASE: PhantomCase = make_case((6, 24, 24), (3.0, 1.0, 1.25), seed=3)
GEOMETRY = geometry_of(CASE.datasets)
VESSELS = np.zeros_like(CASE.mask)
VESSELS[3, 2:5, 2:9] = True
READING = """
reading:
  page: segmentation
  form: knee-form.json
  groups: {radiologist: {per_case: 1}}
  sources: [model, expert, novice]
  show: {segments: [{number: 1, label: Left lobe, color: "#ff0000"}, {number: 2, label: Vessels, color: "#00ff00"}]}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running, port = receiving_hub(tmp_path_factory.mktemp("segmentation"))
    assert set(arrivals.send(port, CASE.datasets)) == {0}
    wait_for_status(running, "ARCHIVED")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def exam(hub: RunningHub) -> str:
    with hub.client() as client:
        (row,) = client.get(f"/xapi/roi/projects/BTS/containers/{CASE.datasets[0].StudyInstanceUID}").json()
        return str(row["sessionLabel"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_study(tmp_path_factory.mktemp("study"))
    path.write_text(path.read_text("utf-8").replace("project: KNEE", "project: BTS") + READING, "utf-8")
    return path


def run(hub: RunningHub, command: str, *arguments: str) -> Result:
    login = ("--url", hub.url, "--user", "admin")
    return CliRunner().invoke(
        main, ["segmentation", command, *arguments, *login], env={"OVERREAD_PASSWORD": hub.password}
    )


def seg(folder: Path) -> Path:
    frames = [*[(1, f) for f in frames_of(CASE.mask)], *[(2, f) for f in frames_of(VESSELS)]]
    return save(folder / "seg.dcm", binary(CASE.datasets, frames, {1: "Left lobe", 2: "vessels"}))


def label_map(folder: Path) -> Path:
    frames = [*frames_of(CASE.mask, 1), *frames_of(VESSELS, 2)]
    return save(folder / "labelmap.dcm", labelmap(CASE.datasets, frames, {1: "Left lobe", 2: "Vessels"}, rle=True))


def nifti(folder: Path) -> Path:
    """As ITK-SNAP writes it: columns first, mirrored."""
    values = np.transpose(CASE.mask * 1 + (VESSELS & ~CASE.mask) * 7, (2, 1, 0)).astype(np.uint8)
    to_index = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GEOMETRY.affine_lps @ to_index
    image = nib.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    nib.save(image, folder / "drawn.nii.gz")
    return folder / "drawn.nii.gz"


def rtstruct(folder: Path) -> Path:
    """The outline of each run of voxels in a row: four corners around their centres."""
    first = CASE.datasets[0]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID("2.25.77")
    ds.Modality, ds.StudyInstanceUID = "RTSTRUCT", first.StudyInstanceUID
    ds.SeriesInstanceUID = UID("2.25.78")
    series = item(SeriesInstanceUID=first.SeriesInstanceUID)
    referenced = item(ReferencedSOPInstanceUID=first.StudyInstanceUID, RTReferencedSeriesSequence=[series])
    frame = item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[referenced])
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence = [item(ROINumber=1, ROIName="Lobus sin."), item(ROINumber=2, ROIName="Vessels")]
    ds.ROIContourSequence = [
        item(ReferencedROINumber=number, ContourSequence=[around(*run) for run in runs(mask)])
        for number, mask in ((1, CASE.mask), (2, VESSELS))
    ]
    return save(folder / "rtstruct.dcm", ds)


def runs(mask: np.ndarray[Any, Any]) -> Iterator[tuple[int, int, int, int]]:
    for k, j in np.argwhere(mask.any(axis=2)):
        edges = np.flatnonzero(np.diff(np.pad(mask[k, j].astype(int), 1)))
        yield from ((int(k), int(j), int(a), int(b)) for a, b in edges.reshape(-1, 2))


def around(k: int, j: int, start: int, stop: int) -> Dataset:
    corners = ((j - 0.4, start - 0.4), (j - 0.4, stop - 0.6), (j + 0.4, stop - 0.6), (j + 0.4, start - 0.4))
    points = [round(float(v), 4) for row, column in corners for v in GEOMETRY.position_mm((k, row, column))]
    return item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=4, ContourData=points)


def item(**values: Any) -> Dataset:
    made = Dataset()
    for key, value in values.items():
        setattr(made, key, value)
    return made


def save(path: Path, ds: Dataset) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


KINDS = {
    "SEG": (seg, "SEG", ()),
    "LABELMAP": (label_map, "SEG", ()),
    "NIFTI": (nifti, "NIFTI", ("--name", "7=Vessels")),
    "RTSTRUCT": (rtstruct, "RTSTRUCT", ("--name", "lobus SIN.=Left lobe")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_drawing_comes_in_in_each_form(hub, study, exam, tmp_path, kind):
    make, said, options = KINDS[kind]
    reader = f"expert_{kind}"
    result = run(
        hub, "add", str(study), exam, str(make(tmp_path)), "--source", "expert", "--reader", reader, "--json", *options
    )
    assert result.exit_code == 0, result.output
    kept = json.loads(result.stdout)
    assert kept["label"].startswith("EXPERT-")
    assert kept["from"] == said
    with hub.client() as client:
        answer = client.get(f"/xapi/roi/projects/BTS/collections/{kept['label']}")
    (tmp_path / "back.dcm").write_bytes(answer.content)
    back = dcmread(tmp_path / "back.dcm")
    decoded = decode_seg(back)
    assert [(s.number, s.label, s.algorithm_type) for s in decoded.segments] == [
        (1, "Left lobe", "MANUAL"), (2, "Vessels", "MANUAL"),
    ]  # fmt: skip
    assert back.ContentCreatorName == reader
    overlap = VESSELS & CASE.mask
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY) | overlap, CASE.mask)
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY) | overlap, VESSELS)
    listed = json.loads(run(hub, "list", str(study), exam, "--json").stdout)
    assert listed[kept["label"]]["source"] == "expert"
    assert (listed[kept["label"]]["reader"], listed[kept["label"]]["from"]) == (reader, said)


def test_one_drawn_in_ohif_is_marked_with_its_source(hub, study, exam, tmp_path):
    path = seg(tmp_path)
    with hub.client() as client:
        (row,) = client.get(f"/xapi/roi/projects/BTS/containers/{CASE.datasets[0].StudyInstanceUID}").json()
        answer = client.put(
            f"/xapi/roi/projects/BTS/sessions/{row['sessionId']}/collections/SEG_20260504_101112",
            params={"type": "SEG"}, content=path.read_bytes(), headers={"content-type": "application/octet-stream"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
    arguments = ("add", str(study), exam, "--collection", "SEG_20260504_101112", "--source", "novice", "--reader", "n1")
    result = run(hub, *arguments)
    assert result.exit_code == 0, result.output
    assert "novice segmentation by n1, from OHIF" in result.stdout
    again = run(hub, *arguments)
    assert (again.exit_code, "--overwrite" in again.stderr) == (1, True)
    assert run(hub, *arguments, "--overwrite").exit_code == 0
    listed = json.loads(run(hub, "list", str(study), exam, "--json").stdout)
    (act,) = [act for act in listed.values() if act["source"] == "novice"]
    assert act["collection"] == "SEG_20260504_101112"


def other_exam(folder: Path) -> Path:
    case = make_case((6, 24, 24), seed=9)
    return save(folder / "other.dcm", binary(case.datasets, [(1, f) for f in frames_of(case.mask)], {1: "Left lobe"}))


def other_series(folder: Path) -> Path:
    images = copy.deepcopy(CASE.datasets)
    for ds in images:
        ds.SeriesInstanceUID = "2.25.99"
    return save(folder / "series.dcm", binary(images, [(1, f) for f in frames_of(CASE.mask)], {1: "Left lobe"}))


def strange_name(folder: Path) -> Path:
    return save(folder / "n.dcm", binary(CASE.datasets, [(1, f) for f in frames_of(CASE.mask)], {1: "Spleen"}))


def coarse(folder: Path) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GEOMETRY.affine_lps @ np.diag([1, 2.0, 2.0, 1])
    image = nib.Nifti1Image(CASE.mask[:, ::2, ::2].astype(np.uint8), affine)
    nib.save(image, folder / "coarse.nii")
    return folder / "coarse.nii"


def unknown_number(folder: Path) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GEOMETRY.affine_lps
    nib.save(nib.Nifti1Image(CASE.mask.astype(np.uint8) * 9, affine), folder / "nine.nii")
    return folder / "nine.nii"


def nothing(folder: Path) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GEOMETRY.affine_lps
    nib.save(nib.Nifti1Image(np.zeros(CASE.mask.shape, np.uint8), affine), folder / "zero.nii")
    return folder / "zero.nii"


def no_image(folder: Path) -> Path:
    (folder / "text.nii").write_text("no image")
    return folder / "text.nii"


REFUSED = {
    "other exam": (other_exam, "take the object that was drawn on this exam"),
    "other series": (other_series, "it refers to series 2.25.99"),
    "strange name": (strange_name, "it holds 'Spleen', which is none of the study's (Left lobe, Vessels)"),
    "coarse": (coarse, "made of another series, or resampled"),
    "unknown number": (unknown_number, "--name 9=LABEL"),
    "nothing": (nothing, "nothing is drawn in it"),
    "no image": (no_image, "can't be read as NIfTI"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_refused_in_words(hub, study, exam, tmp_path, kind):
    make, words = REFUSED[kind]
    result = run(hub, "add", str(study), exam, str(make(tmp_path)), "--source", "expert", "--reader", "refused")
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.output
    listed = json.loads(run(hub, "list", str(study), exam, "--json").stdout)
    assert "refused" not in {act["reader"] for act in listed.values()}


def test_the_model_is_no_person(hub, study, exam, tmp_path):
    result = run(hub, "add", str(study), exam, str(seg(tmp_path)), "--source", "model", "--reader", "x")
    assert result.exit_code == 1
    assert "expert, novice" in result.stderr
