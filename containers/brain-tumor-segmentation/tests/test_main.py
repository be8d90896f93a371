from __future__ import annotations

import base64
import copy
import json
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pydicom import dcmread

from helpers.containers import CONTAINERS, Run, main_of, run_main
from helpers.exam_files import write_series, write_session
from helpers.segments import measurement_groups
from helpers.threshold_model import write_model
from overread.dicom.codes import VOLUME
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import decode_seg
from overread.dicom.volumes import volumes_ml
from overread.operators.result import check_result
from overread.synthetic.phantoms import make_case, make_mr_series

SHAPE, SPACING = (24, 40, 36), (2.0, 1.0, 1.25)
CASE = make_case(SHAPE, SPACING, patient_name="Doe^Jane", patient_id="SECRET77")
FILES = {"result.json", "assessor.xml", "seg.dcm", "sr.dcm", "preview.png", "context.json"}
BT = "{http://overread/xnat/braintumor}"
XNAT = "{http://nrg.wustl.edu/xnat}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = main_of("brain-tumor-segmentation")
    module.MODEL = write_model(tmp_path_factory.mktemp("model"), inference__window=[48, 48, 48])
    return module


@pytest.fixture(scope="module")
def usual(image, tmp_path_factory) -> Run:
    """A run on an exam with two lesions, for tests that only look at what it wrote."""
    folder = tmp_path_factory.mktemp("usual")
    return run_main(image.segment_exam, write_session(folder / "in", CASE.datasets), folder / "out")


@pytest.fixture
def run(image, tmp_path):
    def start(datasets, *, folder=None, **environ) -> Run:
        where = folder or write_session(tmp_path / "in", datasets)
        return run_main(image.segment_exam, where, tmp_path / "out", **environ)

    return start


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_the_lesion_is_found_where_it_is_in_any_orientation(run, orientation):
    case = make_case(SHAPE, SPACING, orientation=orientation)
    done = run(case.datasets)
    assert (done.code, done.error) == (0, "")
    assert done.files == FILES
    assert done.measured("lesion_volume_ml") == pytest.approx(case.volume_ml, rel=0.12)
    assert done.measured("lesion_count") == 2
    seg = dcmread(done.output / "seg.dcm")
    mask = decode_seg(seg).volume(1, geometry_of(case.datasets))
    assert 2 * (mask & case.mask).sum() / (mask.sum() + case.mask.sum()) > 0.92


def test_on_its_own_grid_the_mask_is_exact(run, image, tmp_path):
    image_model = image.MODEL
    image.MODEL = write_model(
        tmp_path / "exact", preprocessing__spacing_mm=list(SPACING), inference__window=[48, 48, 48]
    )
    case = make_case(SHAPE, SPACING)
    try:
        done = run(case.datasets)
    finally:
        image.MODEL = image_model
    np.testing.assert_array_equal(
        decode_seg(dcmread(done.output / "seg.dcm")).volume(1, geometry_of(case.datasets)), case.mask
    )
    assert done.measured("lesion_volume_ml") == pytest.approx(case.volume_ml, rel=1e-12)


def test_all_files_tell_the_same(usual):
    done = usual
    result = done.result
    check_result(result)
    seg, sr = dcmread(done.output / "seg.dcm"), dcmread(done.output / "sr.dcm")
    volume_ml = done.measured("lesion_volume_ml")
    assert volumes_ml(seg)[1] == volume_ml
    (group,) = measurement_groups(sr)
    (reported,) = group.get_measurements(name=VOLUME.as_code())
    assert (reported.value, reported.unit.value) == (pytest.approx(volume_ml, rel=1e-9), "mL")
    assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
    assert result["outputs"]["seg"]["sop_instance_uid"] == seg.SOPInstanceUID
    assert result["outputs"]["sr"]["sop_instance_uid"] == sr.SOPInstanceUID
    root = ET.parse(done.output / "assessor.xml").getroot()
    said = {child.tag: child.text or "" for child in root}
    assert root.tag == f"{BT}Result"
    assert (said[f"{XNAT}date"], said[f"{XNAT}time"]) == ("2024-01-15", "10:15:00")
    assert said[f"{XNAT}imageSession_ID"] == "XNAT_E00001"
    assert root.get("project") == "BTS"
    assert float(said[f"{BT}lesion_volume_ml"]) == pytest.approx(volume_ml, rel=1e-9)
    assert said[f"{BT}seg_sop_instance_uid"] == seg.SOPInstanceUID
    assert said[f"{BT}sr_sop_instance_uid"] == sr.SOPInstanceUID
    assert (said[f"{BT}status"], said[f"{BT}origin"]) == ("ok", "ai")
    digits = root.get("label", "").removeprefix("BT-")
    assert len(digits) == 12
    assert said[f"{BT}collection"] == f"AI-{digits}"
    assert json.loads((done.output / "context.json").read_text())["collection"] == f"AI-{digits}"
    with Image.open(done.output / "preview.png") as picture:
        assert picture.size[0] == 640


def test_no_file_says_who_the_patient_is_but_dicom(usual):
    done = usual
    for name in FILES - {"seg.dcm", "sr.dcm"}:
        content = (done.output / name).read_bytes()
        assert b"SECRET77" not in content
        assert b"Doe" not in content
    assert "Doe" not in done.out
    assert dcmread(done.output / "seg.dcm").PatientName == "Doe^Jane"


def test_the_same_exam_and_model_make_the_same_result(usual, image, tmp_path):
    first = usual
    again = run_main(image.segment_exam, write_series(tmp_path / "flat", CASE.datasets[::-1]), tmp_path / "again")
    assert again.result["outputs"] == first.result["outputs"]
    assert again.result["measurements"] == first.result["measurements"]
    assert again.result["inputs"] == first.result["inputs"]
    assert ET.parse(again.output / "assessor.xml").getroot().attrib == (
        ET.parse(first.output / "assessor.xml").getroot().attrib
    )
    other = copy.deepcopy(CASE.datasets)
    pixels = other[0].pixel_array.copy()
    pixels[0, 0] += 1
    other[0].PixelData = pixels.tobytes()
    changed = run_main(image.segment_exam, write_series(tmp_path / "other", other), tmp_path / "changed")
    assert changed.result["outputs"] != first.result["outputs"]


def test_no_lesion_is_a_result_with_a_segmentation_to_draw_on(run):
    done = run(make_case(SHAPE, SPACING, lesions=[]).datasets)
    assert done.code == 0
    assert done.files == FILES
    assert {m["value"] for m in done.result["measurements"]} == {0.0}
    seg = dcmread(done.output / "seg.dcm")
    assert volumes_ml(seg) == {1: 0.0}
    assert seg.NumberOfFrames == SHAPE[0]
    root = ET.parse(done.output / "assessor.xml").getroot()
    assert root.findtext(f"{BT}lesion_volume_ml") == "0"


def test_an_exam_without_flair_does_not_apply(run):
    done = run(make_mr_series(SHAPE, SPACING, series_description="T1 post contrast"))
    assert (done.code, done.error) == (0, "")
    assert done.files == {"result.json", "assessor.xml"}
    assert done.result["status"] == "not-applicable"
    assert "flair: no series fits" in done.result["reason"]
    root = ET.parse(done.output / "assessor.xml").getroot()
    assert root.findtext(f"{BT}status") == "not-applicable"
    assert root.findtext(f"{BT}reason") == done.result["reason"]
    assert root.find(f"{BT}lesion_volume_ml") is None
    assert root.findtext(f"{XNAT}date") == "2024-01-15"


def test_too_few_images_do_not_apply(run):
    done = run(make_mr_series((3, 40, 36), SPACING))
    assert done.code == 0
    assert "has 3 of the 5 images" in done.result["reason"]


def test_a_folder_with_no_dicom_does_not_apply(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("hello")
    done = run([], folder=tmp_path / "in")
    assert done.code == 0
    assert done.result["reason"] == "flair: there are no series"
    assert done.result["warnings"] == ["1 file was left out: 1 not DICOM"]


def test_late_images_make_another_result_of_an_exam_that_did_not_apply(run, image, tmp_path):
    t1 = make_mr_series(SHAPE, SPACING, series_description="T1")
    first = run(t1)
    write_series(tmp_path / "in" / "SCANS" / "2" / "DICOM", make_mr_series(
        SHAPE, SPACING, series_description="T2", series_number=2
    ))  # fmt: skip
    again = run_main(image.segment_exam, tmp_path / "in", tmp_path / "again")
    label = [ET.parse(done.output / "assessor.xml").getroot().get("label") for done in (first, again)]
    assert label[0] != label[1]


def test_garbage_beside_the_exam_is_left_out_with_a_warning(run, tmp_path):
    case = make_case(SHAPE, SPACING)
    folder = write_series(tmp_path / "in", case.datasets)
    (folder / "notes.txt").write_text("hello")
    (folder / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL")
    (folder / "empty.dcm").touch()
    done = run([], folder=folder)
    assert done.code == 0
    (warning,) = done.result["warnings"]
    assert warning.startswith("3 files were left out: ")
    assert "2 not DICOM" in warning
    assert "1 " in warning


def test_an_image_cut_off_ends_the_run_with_one_line(run, tmp_path):
    case = make_case(SHAPE, SPACING)
    folder = write_series(tmp_path / "in", case.datasets)
    victim = sorted(folder.iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:-500])
    done = run([], folder=folder)
    assert done.code == 1
    assert done.error.count("\n") == 1
    assert "cut off or damaged: send the series again" in done.error
    assert victim.name not in done.error
    assert "Traceback" not in done.error
    assert "result.json" not in done.files


def test_a_missing_slice_ends_the_run_with_one_line(run):
    datasets = make_case(SHAPE, SPACING).datasets
    del datasets[7]
    done = run(datasets)
    assert done.code == 1
    assert "1 of 24 slices are missing, first after slice 7" in done.error


def test_two_exams_at_once_are_refused(run, tmp_path):
    write_series(tmp_path / "in" / "a", make_mr_series(SHAPE, SPACING))
    write_series(tmp_path / "in" / "b", make_mr_series(SHAPE, SPACING, patient_id="B"))
    done = run([], folder=tmp_path / "in")
    assert done.code == 1
    assert "holds 2 studies: give a folder with one exam" in done.error


def test_a_folder_that_is_not_there_is_a_usage_error(run, tmp_path):
    done = run([], folder=tmp_path / "nowhere")
    assert done.code == 2
    assert "There is no such folder" in done.error


@pytest.mark.parametrize("encode", [str, lambda text: base64.b64encode(text.encode()).decode()])
def test_the_studys_rules_choose_the_series(run, tmp_path, encode):
    rules = {
        "flair": {"where": [{"tag": "SeriesDescription", "matches": "(?i)dark.?fluid"}], "at_least": 10},
        "t1": {"where": [{"tag": "SeriesDescription", "matches": "T1"}]},
    }
    write_series(tmp_path / "in" / "1", make_mr_series(SHAPE, SPACING))
    chosen = make_mr_series(SHAPE, SPACING, series_description="dark_fluid", series_number=2)
    write_series(tmp_path / "in" / "2", chosen)
    done = run([], folder=tmp_path / "in", OVERREAD_SERIES_RULES=encode(json.dumps(rules)))
    assert done.code == 0
    (used,) = done.result["inputs"]
    assert used["series_instance_uid"] == chosen[0].SeriesInstanceUID
    assert used["role"] == "flair"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("nonsense!", "neither JSON of arrival.series nor base64"),
        ('{"flair": {"where": []}}', "neither JSON of arrival.series nor base64"),
        ('{"t1": {"where": [{"tag": "Modality", "in": ["MR"]}]}}', "no rule for flair"),
    ],
)
def test_wrong_rules_are_a_usage_error(run, rules, message):
    done = run(make_mr_series(SHAPE, SPACING), OVERREAD_SERIES_RULES=rules)
    assert done.code == 2
    assert message in done.error


def test_a_key_that_was_not_replaced_says_nothing(run):
    done = run(make_case(SHAPE, SPACING).datasets, OVERREAD_SERIES_RULES="#series-rules#", OVERREAD_IMAGE_DIGEST="#d#")
    assert done.code == 0
    assert ET.parse(done.output / "assessor.xml").getroot().find(f"{BT}image_digest") is None


def test_other_weights_than_the_cards_are_refused(run, image):
    weights = image.MODEL / "weights.pt"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept + b"\0")
        done = run(make_case(SHAPE, SPACING).datasets)
    finally:
        weights.write_bytes(kept)
    assert done.code == 1
    assert "have SHA-256" in done.error


def test_progress_goes_up_to_one(usual):
    lines = [line.split() for line in usual.out.splitlines()]
    steps = [(float(words[1]), words[2]) for words in lines if words[0] == "progress"]
    assert steps == sorted(steps, key=lambda step: step[0])
    assert [name for _, name in steps] == [
        "load", "select", "read", "network", "predict", "measure", "write", "done",
    ]  # fmt: skip
    assert steps[-1][0] == 1.0


def test_without_a_server_nothing_is_made_up(image, tmp_path):
    folder = write_series(tmp_path / "in", make_case(SHAPE, SPACING).datasets)
    environ: dict[str, Any] = dict.fromkeys(
        ("OVERREAD_PROJECT", "OVERREAD_SESSION_ID", "OVERREAD_SESSION_LABEL", "OVERREAD_SUBJECT_ID"), ""
    )
    done = run_main(image.segment_exam, folder, tmp_path / "out", **environ)
    root = ET.parse(done.output / "assessor.xml").getroot()
    assert set(root.attrib) == {"label"}
    assert root.find(f"{XNAT}imageSession_ID") is None


def test_the_preview_shows_the_outline(usual):
    with Image.open(usual.output / "preview.png") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    red = (picture[..., 0] > 200) & (picture[..., 1] < 120)
    assert red.sum() > 100


def test_the_assessor_is_as_the_datatype_says(usual, image):
    """Order, names and lengths of the elements are the schema's: XNAT refuses a document that differs."""
    schemas = CONTAINERS.parent / "schemas"
    own = yaml.safe_load((schemas / "brain-tumor.yaml").read_text("utf-8"))
    common = yaml.safe_load((schemas / "common" / "result.yaml").read_text("utf-8"))
    fields = [*common["fields"], *own["fields"]]
    order = [field["name"] for field in fields]
    root = ET.parse(usual.output / "assessor.xml").getroot()
    said = {str(e.tag).removeprefix(BT): e.text or "" for e in root if str(e.tag).startswith(BT)}
    assert list(said) == [name for name in order if name in said]
    assert {"status", "origin", "model_name", "seg_sop_instance_uid", "timings", "lesion_volume_ml"} <= set(said)
    for field in fields:
        assert len(said.get(field["name"], "")) <= field.get("max_length", 255)
        assert said.get(field["name"], "") in field.get("values", [said.get(field["name"], "")])
    assert (image.RESULT.prefix, image.RESULT.element) == (own["prefix"], own["element"])
    assert tuple(field["name"] for field in own["fields"]) == image.RESULT.measures
