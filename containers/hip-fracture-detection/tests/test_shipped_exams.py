"""The image as it is run, on exams as departments send them: what it finds, what it refuses, and in which words.

TensorFlow is no part of the base install; where it lacks, these are skipped, but never in CI.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from overread.operators.job import image_arguments, run_image
from overread.synthetic.hip_conditions import Condition
from overread.synthetic.hip_exams import FIVE, PlannedHipExam, radiograph_dataset
from overread.synthetic.other_radiographs import other_radiograph

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None and os.environ.get("CI") != "true",
        reason="TensorFlow is not installed: pip install -e '.[tensorflow]'",
    ),
    pytest.mark.filterwarnings("default"),  # what TensorFlow's own modules warn of is not ours
]

MAIN = Path(__file__).parents[1] / "main.py"
RIGHT = Condition(name="hardware", kind="prosthesis", seed=13)
LEFT = Condition(name="no-fracture")


@pytest.fixture(scope="module")
def image():
    spec = importlib.util.spec_from_file_location("hip_fracture_main", MAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exam():
    plan = PlannedHipExam(
        patient_id="T1", study_date="20250201", right=RIGHT, left=LEFT, seed=4_100_001, spacing_mm=0.8, images=FIVE
    )
    return plan.datasets()


@pytest.fixture
def run(image, tmp_path):
    def start(datasets, name="run"):
        given, output = tmp_path / f"{name}-in", tmp_path / f"{name}-out"
        given.mkdir()
        for number, ds in enumerate(datasets):
            ds.save_as(given / f"{number}.dcm", enforce_file_format=True)
        code = run_image(
            image.detect_in_exam,
            image_arguments(""),
            arguments=["--input", str(given), "--output", str(output)],
            environ={},
        )
        assert code == 0
        return json.loads((output / "result.json").read_text()), output

    return start


def changed(ds, pixels, **attributes):
    found = copy.deepcopy(ds)
    found.Rows, found.Columns = pixels.shape
    found.PixelData = np.ascontiguousarray(pixels).tobytes()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def sides(result):
    return {f["side"]: f["class"] for f in result["findings"]}


def boxes(result):
    return {f["side"]: f["box"] for f in result["findings"]}


def test_five_images_one_result(run, exam):
    result, output = run(exam)
    assert result["status"] == "ok"
    assert sides(result).keys() == {"right", "left"}
    assert sides(result)["right"] == "hardware"
    said = "\n".join(result["warnings"])
    assert "image 1 of series 4: it is a lateral view" in said
    assert "image 1 of series 5: the same pixels as image 1 of series 1" in said
    assert {i["instances"] for i in result["inputs"]} == {1}
    assert len(result["inputs"]) == 3
    used = {ds.SOPInstanceUID: ds for ds in exam[:3]}
    for finding in result["findings"]:
        assert 1 / 3 <= finding["confidence"] <= 1
        ds, box = used[finding["box"]["sop_instance_uid"]], finding["box"]
        assert 0 <= box["x"] < box["x"] + box["width"] < ds.Columns
        assert 0 <= box["y"] < box["y"] + box["height"] < ds.Rows
    fields = {element.tag.rpartition("}")[2]: element.text for element in ET.parse(output / "assessor.xml").getroot()}
    assert fields["right_class"] == "hardware"
    assert 0 < float(fields["left_confidence"] or 0) <= 1
    assert (output / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_has_a_region_for_each_side(run, exam):
    result, output = run(exam[:1])
    report = dcmread(output / "sr.dcm")
    capture = dcmread(output / "annotated.dcm")
    assert str(report.SOPInstanceUID) == result["outputs"]["sr"]["sop_instance_uid"]
    assert str(capture.SOPInstanceUID) == result["outputs"]["annotated"]["sop_instance_uid"]
    assert capture.PhotometricInterpretation == "RGB"
    regions, laterality, algorithms = [], [], []

    def visit(item):
        name = item.get("ConceptNameCodeSequence", [None])[0]
        if item.get("ValueType") == "SCOORD":
            regions.append(np.reshape(item.GraphicData, (-1, 2)))
        if name is not None and name.CodeMeaning == "Laterality":
            laterality.append(item.ConceptCodeSequence[0].CodeMeaning)
        if name is not None and name.CodeMeaning == "Algorithm Name":
            algorithms.append(item.TextValue)
        for child in item.get("ContentSequence", []):
            visit(child)

    visit(report)
    assert laterality == ["Right", "Left"]
    assert set(algorithms) == {"hip-fracture-detection"}
    for region, finding in zip(regions, result["findings"], strict=True):
        box = finding["box"]
        assert region.min(axis=0) == pytest.approx((box["x"] + 0.5, box["y"] + 0.5), abs=0.01)
        assert (region.max(axis=0) - region.min(axis=0)) == pytest.approx((box["width"], box["height"]), abs=0.01)


def test_the_same_exam_gives_the_same_result(run, exam):
    first, one = run(exam[:1], "one")
    again, two = run(exam[:1], "two")
    for key in ("findings", "inputs", "outputs", "model"):
        assert first[key] == again[key]
    assert (one / "preview.png").read_bytes() == (two / "preview.png").read_bytes()


def test_photometric_interpretation_makes_no_difference(run, exam):
    straight, _ = run(exam[:1], "straight")
    inverted = changed(exam[0], 4095 - exam[0].pixel_array, PhotometricInterpretation="MONOCHROME1")
    other, _ = run([inverted], "inverted")
    assert other["findings"] == straight["findings"]


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (["R", "F"], lambda p: p[:, ::-1]),
        (["R", "H"], lambda p: p[::-1, ::-1]),
        (["L", "H"], lambda p: p[::-1]),
        (["F", "L"], lambda p: p.T),
        (["H", "L"], lambda p: np.rot90(p, -1)),
    ],
)
def test_what_the_header_says_of_the_orientation_is_heeded(run, exam, orientation, turn):
    straight, _ = run(exam[:1], "straight")
    turned, _ = run([changed(exam[0], turn(exam[0].pixel_array), PatientOrientation=orientation)], "turned")
    assert sides(turned) == sides(straight)
    marked = np.zeros(exam[0].pixel_array.shape, dtype=bool)
    for side, box in boxes(straight).items():
        marked[:] = False
        x, y, w, h = (round(box[k]) for k in ("x", "y", "width", "height"))
        marked[y : y + h + 1, x : x + w + 1] = True
        rows, columns = np.nonzero(turn(marked))
        found = boxes(turned)[side]
        assert found["x"] == pytest.approx(columns.min(), abs=2)
        assert found["y"] == pytest.approx(rows.min(), abs=2)


def test_an_image_that_lies_otherwise_than_its_header_says_is_turned_with_a_warning(run, exam):
    straight, _ = run(exam[:1], "straight")
    upside_down, _ = run([changed(exam[0], exam[0].pixel_array[::-1, ::-1])], "turned")
    assert sides(upside_down) == sides(straight)
    assert "turned by 180 degrees" in "\n".join(upside_down["warnings"])


def test_one_hip_is_one_finding_and_the_other_is_said_to_lack(run, exam):
    result, output = run([exam[1]])
    assert sides(result) == {"right": "hardware"}
    assert "The left hip is on none of the images" in result["warnings"]
    assert b"left_class" not in (output / "assessor.xml").read_bytes()


def test_a_mirrored_image_of_one_hip_is_refused(run, exam):
    result, _ = run([changed(exam[1], exam[1].pixel_array[:, ::-1])])
    assert result["status"] == "not-applicable"
    assert "says right but looks like the other side" in result["reason"]


def test_a_lateral_view_alone_does_not_apply(run, exam):
    result, output = run([exam[3]])
    assert result["status"] == "not-applicable"
    assert "lateral view" in result["reason"]
    assert not (output / "sr.dcm").exists()
    assert b"not-applicable" in (output / "assessor.xml").read_bytes()


def test_a_lateral_view_that_does_not_say_so_is_seen_to_be_one(run, exam):
    hidden = changed(exam[3], exam[3].pixel_array, ViewPosition="", PatientOrientation=None)
    result, _ = run([hidden])
    assert result["status"] == "not-applicable"
    assert "lateral view" in result["reason"]


def test_other_parts_of_the_body_are_refused_by_sight(run, exam):
    knee = radiograph_dataset(other_radiograph(3, kind="chest"), spacing_mm=1.0)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime"):
        setattr(knee, keyword, exam[0][keyword].value)
    knee.SeriesNumber = knee.InstanceNumber = 1
    result, _ = run([knee], "sight")
    assert result["status"] == "not-applicable"
    assert "shows no hip from the front" in result["reason"]


def test_a_blank_image_and_one_without_size_or_orientation(run, exam):
    blank = changed(exam[2], np.zeros_like(exam[2].pixel_array))
    plain = changed(exam[0], exam[0].pixel_array, PatientOrientation=None)
    del plain.ImagerPixelSpacing
    result, _ = run([blank, plain])
    assert sides(result)["right"] == "hardware"
    said = "\n".join(result["warnings"])
    assert "it is blank" in said
    assert "PatientOrientation" in said
    assert "pixels have no size" in said


def test_an_image_compressed_with_loss_is_looked_at_with_a_warning(run, exam):
    result, _ = run([changed(exam[0], exam[0].pixel_array, LossyImageCompression="01")])
    assert sides(result)["right"] == "hardware"
    assert "series 1: it was compressed with loss: a fine fracture line may be lost" in result["warnings"]
