from __future__ import annotations

import datetime
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from helpers.containers import Run, main_of, run_main
from helpers.exam_files import write_session
from helpers.foreign_seg import Contour, by_dcmqi, by_highdicom, structure_set
from helpers.segments import measurement_groups
from helpers.threshold_model import write_model
from helpers.viewer_seg import binary, frames_of, labelmap
from overread.dicom.codes import VOLUME
from overread.dicom.geometry import geometry_of
from overread.dicom.normalise import empty_seg, normalise_viewer_seg
from overread.dicom.seg import SegmentInfo, decode_seg, write_seg
from overread.dicom.volumes import union_volume_ml
from overread.synthetic.phantoms import make_case, make_mr_series

SHAPE, SPACING = (24, 40, 36), (2.0, 1.0, 1.25)
VOXEL_ML = 2.0 * 1.0 * 1.25 / 1000
CASE = make_case(SHAPE, SPACING)
SAVED_AT = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)
BT = "{http://overread/xnat/braintumor}"
LABEL = "jdoe-SEG_20260504_101112_ab12"


@pytest.fixture(scope="module")
def image() -> Any:
    return main_of("volume-calculator")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A session with the result of a model's run, as XNAT keeps it, and the result's label."""
    root = tmp_path_factory.mktemp("template")
    session = write_session(root / "session", CASE.datasets)
    segmentation = main_of("brain-tumor-segmentation")
    segmentation.MODEL = write_model(root / "model", inference__window=[48, 48, 48])
    done = run_main(segmentation.segment_exam, session, root / "out")
    label = str(ET.parse(done.output / "assessor.xml").getroot().get("label"))
    for resource, name in (("RESULT", "result.json"), ("SEG", "seg.dcm")):
        folder = session / "ASSESSORS" / label / resource
        folder.mkdir(parents=True)
        shutil.copy(done.output / name, folder)
    return session, label


@pytest.fixture
def session(template, tmp_path) -> Path:
    return Path(shutil.copytree(template[0], tmp_path / "session"))


@pytest.fixture
def original(template) -> Dataset:
    return dcmread(template[0] / "ASSESSORS" / template[1] / "SEG" / "seg.dcm")


@pytest.fixture
def run(image, session, tmp_path):
    def start(seg: Dataset | None, *, label: str = LABEL) -> Run:
        collection = session / "ASSESSORS" / label
        collection.mkdir(exist_ok=True)
        if seg is not None:
            (collection / "SEG").mkdir(exist_ok=True)
            seg.save_as(collection / "SEG" / f"{label}.dcm", enforce_file_format=True)
        return run_main(
            image.measure_collection, collection, tmp_path / "out", session=session, OVERREAD_COLLECTION_LABEL=label
        )

    return start


def saved(mask: np.ndarray, original: Dataset | None, *, reader: str = "jdoe") -> Dataset:
    upload = labelmap(CASE.datasets, frames_of(mask), {1: "Lesion"})
    return normalise_viewer_seg(
        upload, original=original, source_images=CASE.datasets, reader=reader, content_datetime=SAVED_AT
    )


def edited_mask() -> np.ndarray:
    mask = CASE.mask.copy()
    mask[2, 3:9, 4:11] = True
    return mask


def fields(done: Run) -> dict[str, str]:
    root = ET.parse(done.output / "assessor.xml").getroot()
    return {"label": root.get("label", ""), **{str(c.tag).rpartition("}")[2]: c.text or "" for c in root}}


def test_the_volume_is_exactly_that_of_the_stored_voxels(run, original):
    seg = saved(edited_mask(), original)
    done = run(seg)
    assert (done.code, done.error) == (0, "")
    assert done.files == {"result.json", "assessor.xml", "sr.dcm", "preview.png", "difference.png"}
    assert done.measured("lesion_volume_ml") == int(edited_mask().sum()) * VOXEL_ML
    assert done.measured("lesion_volume_ml") == union_volume_ml(seg)
    assert float(fields(done)["lesion_volume_ml"]) == pytest.approx(union_volume_ml(seg), rel=1e-9)


def test_the_result_names_reader_collection_and_what_was_corrected(run, original, template):
    seg = saved(edited_mask(), original)
    said = fields(run(seg))
    assert said["origin"] == "edited"
    assert said["reader"] == "jdoe"
    assert said["original_label"] == template[1]
    assert said["collection"] == LABEL
    assert said["label"].startswith("BT-EDIT-")
    assert said["seg_sop_instance_uid"] == seg.SOPInstanceUID
    assert said["series_instance_uids"] == CASE.datasets[0].SeriesInstanceUID
    assert (said["model_name"], said["model_version"]) == ("threshold", "1.2.3")
    assert (said["date"], said["time"], said["imageSession_ID"]) == ("2024-01-15", "10:15:00", "XNAT_E00001")


def test_lesions_and_the_difference_from_the_models_mask_are_told(run, original):
    seg = saved(edited_mask(), original)
    done = run(seg)
    said = fields(done)
    lesions = json.loads(said["lesions"])
    assert sum(lesion["volume_ml"] for lesion in lesions) == pytest.approx(
        int(edited_mask().sum()) * VOXEL_ML, abs=1e-3
    )
    assert {lesion["tracking_uid"] for lesion in lesions} == {str(original.SegmentSequence[0].TrackingUID)}
    before = decode_seg(original).volume(1, geometry_of(CASE.datasets))
    comparison = json.loads(said["comparison"])
    assert comparison["added_voxels"] == int((edited_mask() & ~before).sum())
    assert comparison["removed_voxels"] == int((before & ~edited_mask()).sum())
    assert 0 < comparison["dice"] < 1
    assert comparison == done.result["comparison"]
    red, _, blue = np.moveaxis(np.asarray(Image.open(done.output / "difference.png").convert("RGB")).astype(int), 2, 0)
    orange, sky = red - blue > 60, blue - red > 60
    assert orange[:-40].any() == bool(comparison["added_voxels"])
    assert sky[:-40].any() == bool(comparison["removed_voxels"])
    assert orange[-40:].any()  # the legend
    assert sky[-40:].any()


def test_the_report_is_the_readers(run, original):
    done = run(saved(edited_mask(), original))
    sr = dcmread(done.output / "sr.dcm")
    (group,) = measurement_groups(sr)
    (volume,) = group.get_measurements(name=VOLUME.as_code())
    assert volume.value == pytest.approx(int(edited_mask().sum()) * VOXEL_ML)
    assert done.result["outputs"]["sr"]["sop_instance_uid"] == sr.SOPInstanceUID


def test_measured_twice_it_is_the_same_result(run, original, image, session, tmp_path):
    seg = saved(edited_mask(), original)
    first = fields(run(seg))
    assert fields(run(seg))["label"] == first["label"]
    assert fields(run(saved(edited_mask(), original)))["label"] != first["label"]


def test_a_correction_of_a_correction_leads_to_the_model(run, original, template):
    first = saved(edited_mask(), original)
    run(first, label="jdoe-SEG_1")
    second = saved(CASE.mask, first, reader="asmith")
    said = fields(run(second, label="asmith-SEG_2"))
    assert (said["original_label"], said["reader"]) == (template[1], "asmith")


def test_overlapping_segments_count_once(run, original):
    frames = [*frames_of(edited_mask(), 1), *frames_of(CASE.mask, 2)]
    upload = labelmap(CASE.datasets, frames, {1: "Lesion", 2: "Lesion 2"})
    seg = normalise_viewer_seg(
        upload, original=original, source_images=CASE.datasets, reader="jdoe", content_datetime=SAVED_AT
    )
    assert run(seg).measured("lesion_volume_ml") == int(edited_mask().sum()) * VOXEL_ML


def test_a_reader_who_finds_nothing_makes_a_result_of_zero(run, original, template):
    done = run(empty_seg(original, CASE.datasets, reader="jdoe", content_datetime=SAVED_AT))
    assert {m["value"] for m in done.result["measurements"]} == {0.0}
    assert fields(done)["original_label"] == template[1]


def test_an_unchanged_segmentation_that_a_reader_saved_is_measured(run, original):
    mask = decode_seg(original).volume(1, geometry_of(CASE.datasets))
    done = run(saved(mask, original))
    assert done.result["status"] == "ok"
    assert done.measured("lesion_volume_ml") == int(mask.sum()) * VOXEL_ML


def test_drawn_from_nothing(run):
    said = fields(run(saved(edited_mask(), None)))
    assert "original_label" not in said
    assert said["model_name"] == "volume-calculator"


def test_a_models_own_segmentation_is_left_alone(run, original):
    done = run(original, label="AI-123456789012")
    assert (done.code, done.error) == (0, "")
    assert done.files == {"result.json"}
    assert done.result["status"] == "not-applicable"
    assert "a model's own" in done.result["reason"]


def test_a_collection_whose_file_is_still_to_come_is_left_alone(run):
    done = run(None)
    assert done.code == 0
    assert done.files == {"result.json"}
    assert "has not been stored yet" in done.result["reason"]


def test_what_a_foreign_viewer_stored_is_measured_without_a_report(run):
    frames = [(1, frame) for frame in frames_of(edited_mask())]
    done = run(binary(CASE.datasets, frames, {1: "Tumour"}))
    assert done.code == 0
    assert "sr.dcm" not in done.files
    assert done.measured("lesion_volume_ml") == int(edited_mask().sum()) * VOXEL_ML
    assert done.result["warnings"] == ["The segmentation has no tracking UIDs, so there is no measurement report"]


def test_images_of_another_session_are_missed_by_name(run):
    other = make_mr_series(SHAPE, SPACING, patient_id="OTHER")
    done = run(write_seg(other, {1: CASE.mask}, [SegmentInfo(number=1, label="Lesion")]))
    assert done.code == 1
    assert "is not in this session" in done.error
    assert done.error.count("\n") == 1


def test_two_segmentations_in_a_collection_are_refused(run, original, session):
    run(saved(edited_mask(), original))
    extra = saved(CASE.mask, original)
    extra.save_as(session / "ASSESSORS" / LABEL / "SEG" / "second.dcm", enforce_file_format=True)
    done = run(None)
    assert done.code == 1
    assert "holds 2 segmentations" in done.error


def test_strange_files_among_the_results_do_no_harm(run, original, session, template):
    strange = session / "ASSESSORS" / "A-STRANGE" / "RESULT"
    strange.mkdir(parents=True)
    (strange / "result.json").write_text(json.dumps({"outputs": {"seg": None}}))
    (strange / "seg.dcm").write_bytes(b"\0" * 132)
    assert fields(run(saved(edited_mask(), original)))["original_label"] == template[1]


def outer(k: int, kind: str = "CLOSED_PLANAR") -> Contour:
    """A box of 10 x 14 voxels."""
    return "Tumour", kind, k, [(3.5, 4.5), (3.5, 18.5), (13.5, 18.5), (13.5, 4.5)]


def inner(k: int, kind: str = "CLOSED_PLANAR") -> Contour:
    """A hole of 4 x 6 voxels in it."""
    return "Tumour", kind, k, [(6.5, 8.5), (6.5, 14.5), (10.5, 14.5), (10.5, 8.5)]


KEYHOLE = [(3.5, 4.5), (3.5, 18.5), (13.5, 18.5), (13.5, 4.5), (6.5, 4.5), (6.5, 8.5), (10.5, 8.5), (10.5, 14.5),
           (6.5, 14.5), (6.5, 8.5), (6.5, 4.5)]  # fmt: skip


@pytest.mark.parametrize(
    "contours",
    [
        [one for k in (4, 5) for one in (outer(k), inner(k))],
        [one for k in (4, 5) for one in (outer(k, "CLOSEDPLANAR_XOR"), inner(k, "CLOSEDPLANAR_XOR"))],
        [("Tumour", "CLOSED_PLANAR", k, KEYHOLE) for k in (4, 5)],
    ],
    ids=["hole", "xor", "keyhole"],
)
def test_a_structure_set_is_measured_with_its_holes(run, contours):
    found = structure_set(CASE.datasets, contours)
    done = run(found)
    assert (done.code, done.error) == (0, "")
    assert done.measured("lesion_volume_ml") == pytest.approx(2 * (10 * 14 - 4 * 6) * VOXEL_ML, rel=1e-9)
    # Of the box's corners: 14 columns of 1.25 mm by 10 rows of 1 mm.
    longest = float(np.hypot(14 * 1.25, 10 * 1.0))
    assert done.measured("longest_axial_diameter_mm") == pytest.approx(longest, rel=0.1)
    across = done.measured("perpendicular_diameter_mm")
    assert done.measured("bidimensional_product_mm2") == pytest.approx(
        done.measured("longest_axial_diameter_mm") * across, rel=1e-6
    )
    said = fields(done)
    assert (said["seg_sop_instance_uid"], said["reader"]) == (found.SOPInstanceUID, "planner")
    assert "sr.dcm" not in done.files


def test_regions_of_a_structure_set_that_overlap_count_once(run):
    shifted = [(row, column + 7) for row, column in outer(4)[3]]
    done = run(structure_set(CASE.datasets, [outer(4), ("Oedema", "CLOSED_PLANAR", 4, shifted)]))
    assert done.measured("lesion_volume_ml") == pytest.approx(10 * 21 * VOXEL_ML, rel=1e-9)


@pytest.mark.parametrize(
    ("contours", "said"),
    [
        ([outer(4, "OPEN_PLANAR")], "of type OPEN_PLANAR: export closed planar contours alone"),
        ([outer(4), ("Seed", "POINT", 4, [(5.0, 5.0)])], "of type POINT: export closed planar contours alone"),
        ([], "has no regions"),
    ],
    ids=["open", "point", "nothing"],
)
def test_contours_that_enclose_nothing_are_refused_with_the_reason(run, contours, said):
    done = run(structure_set(CASE.datasets, contours))
    assert done.code == 1
    assert said in done.error
    assert done.error.count("\n") == 1
    assert "assessor.xml" not in done.files


def test_a_structure_set_of_a_program_alone_is_left_alone(run):
    done = run(structure_set(CASE.datasets, [outer(4)], algorithm="AUTOMATIC"))
    assert "a model's own" in done.result["reason"]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("drawn", ["one", "overlapping", "empty"])
def test_segmentations_of_highdicom_are_measured(run, kind, drawn):
    one, two = edited_mask(), np.zeros_like(CASE.mask)
    two[10, 10:20, 10:20] = True
    if drawn == "empty":
        one, two = np.zeros_like(one), np.zeros_like(two)
    elif drawn == "overlapping":
        one = one.copy()
        one[10, 12:15, 12:30] = True
    masks = [one] if drawn == "one" else [one, two]
    done = run(by_highdicom(CASE.datasets, masks, kind, shuffled=kind == "BINARY"))
    assert (done.code, done.error) == (0, "")
    assert done.measured("lesion_volume_ml") == pytest.approx(int(np.any(masks, axis=0).sum()) * VOXEL_ML, rel=1e-9)


def test_a_segmentation_of_dcmqi_is_measured(run, tmp_path):
    done = run(by_dcmqi(CASE.datasets, edited_mask(), tmp_path / "dcmqi"))
    assert (done.code, done.error) == (0, "")
    assert done.measured("lesion_volume_ml") == pytest.approx(int(edited_mask().sum()) * VOXEL_ML, rel=1e-9)
    assert fields(done)["reader"] == "Slicer"
