"""The image as it ships, through its own entry, on exams as a scanner sends them."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from helpers.containers import CONTAINERS, Run, main_of, run_main
from helpers.exam_files import write_series, write_session
from helpers.segments import measurement_groups
from overread.dicom.codes import VOLUME
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import decode_seg
from overread.dicom.volumes import volumes_ml
from overread.study.manifest import load_manifest
from overread.synthetic import awkward
from overread.synthetic.abdomen_exams import PlannedAbdomen

pytestmark = pytest.mark.slow

MANIFEST = CONTAINERS.parent / "xnat-plugins/liver-transplant/study.yaml"
LT = "{http://overread/xnat/livertransplant}"
EXAM = PlannedAbdomen(patient_id="SECRET77", study_date="20240115", seed=4711, matrix=200, slice_mm=4.0)
FILES = {"result.json", "assessor.xml", "seg.dcm", "sr.dcm", "preview.png", "context.json"}


@pytest.fixture(scope="module")
def image() -> Any:
    return main_of("liver-segmentation")


@pytest.fixture(scope="module")
def images() -> list[Any]:
    return EXAM.datasets()


@pytest.fixture(scope="module")
def usual(image, images, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("usual")
    return run_main(image.segment_exam, write_session(folder / "in", images), folder / "out")


def series(images: list[Any], word: str) -> list[Any]:
    return [ds for ds in images if word in ds.SeriesDescription]


def test_volumes_are_about_the_true_ones(usual):
    assert (usual.code, usual.error) == (0, "")
    assert usual.files == FILES
    assert usual.result["warnings"] == []
    for name, share in (("left_lobe_ml", 0.12), ("right_lobe_ml", 0.12), ("total_ml", 0.08), ("vessels_ml", 0.4)):
        assert usual.measured(name) == pytest.approx(EXAM.truth[name], rel=share), name
    assert usual.measured("remnant_pct") == pytest.approx(EXAM.truth["remnant_pct"], abs=4.0)


def test_lobes_lie_where_they_are_and_do_not_overlap(usual, images):
    _, labels = EXAM.portal
    seg = decode_seg(dcmread(usual.output / "seg.dcm"))
    geometry = geometry_of(series(images, "Liver portal"))
    masks = [seg.volume(number, geometry) for number in (1, 2, 3)]
    assert np.sum(list(masks), axis=0).max() == 1
    for number, least in ((1, 0.88), (2, 0.92), (3, 0.6)):
        truth, mask = labels == number, masks[number - 1]
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > least, number


def test_the_portal_venous_series_is_taken_not_its_projection(usual, images):
    (used,) = usual.result["inputs"]
    (expected,) = {ds.SeriesInstanceUID for ds in series(images, "Liver portal")}
    assert used["series_instance_uid"] == expected
    assert used["role"] == "portal"
    assert usual.result["texts"] == {"remnant_lobe": "left", "phase": "portal"}


def test_all_files_tell_the_same(usual):
    seg, sr = dcmread(usual.output / "seg.dcm"), dcmread(usual.output / "sr.dcm")
    stored = volumes_ml(seg)
    names = ("left_lobe_ml", "right_lobe_ml", "vessels_ml")
    assert [stored[n] for n in (1, 2, 3)] == pytest.approx([usual.measured(name) for name in names], rel=1e-9)
    groups = measurement_groups(sr)
    reported = [group.get_measurements(name=VOLUME.as_code())[0].value for group in groups]
    assert reported == pytest.approx([stored[n] for n in (1, 2, 3)], rel=1e-9)
    said = {child.tag: child.text for child in ET.parse(usual.output / "assessor.xml").getroot()}
    for name in (*names, "total_ml", "remnant_pct"):
        assert float(said[f"{LT}{name}"] or "") == pytest.approx(usual.measured(name), rel=1e-9)
    assert (said[f"{LT}remnant_lobe"], said[f"{LT}phase"], said[f"{LT}status"]) == ("left", "portal", "ok")
    items = [item.SegmentedPropertyTypeCodeSequence[0] for item in seg.SegmentSequence]
    assert [item.CodeMeaning for item in items] == ["Liver", "Liver", "Blood Vessel"]
    sides = [item.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning for item in items[:2]]
    assert sides == ["Left", "Right"]
    assert b"SECRET77" not in b"".join(
        (usual.output / name).read_bytes() for name in ("result.json", "assessor.xml", "preview.png", "context.json")
    )
    with Image.open(usual.output / "preview.png") as preview:
        assert preview.size[0] >= 640


@pytest.mark.needs("dciodvfy")
def test_dciodvfy_finds_no_error(usual, images, tmp_path):
    paths = [usual.output / "seg.dcm", usual.output / "sr.dcm"]
    for ds in {ds.SeriesInstanceUID: ds for ds in images}.values():
        paths.append(tmp_path / f"{ds.SeriesNumber}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    assert len(paths) == 8
    for path in paths:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
        assert "Error" not in said, (path.name, said)


def test_the_other_lobe_may_remain(image, images, usual, tmp_path):
    folder = write_series(tmp_path / "in", series(images, "Liver portal"))
    done = run_main(image.segment_exam, folder, tmp_path / "out", OVERREAD_REMNANT="right")
    assert done.measured("remnant_pct") == pytest.approx(100.0 - usual.measured("remnant_pct"), abs=1e-6)
    assert done.result["texts"]["remnant_lobe"] == "right"


def test_two_portal_series_the_thinner_is_taken_a_hole_gives_way(image, images, tmp_path):
    thin = series(images, "Liver portal")
    thick = awkward.as_series(thin[::2], "Liver portal venous 8.0", number=50)
    for ds in thick:
        ds.SliceThickness = ds.SpacingBetweenSlices = "8"
    broken = awkward.without(thin, 20)
    done = run_main(image.segment_exam, write_series(tmp_path / "in", [*broken, *thick]), tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    (used,) = done.result["inputs"]
    assert used["series_instance_uid"] == thick[0].SeriesInstanceUID
    assert "another was taken" in " ".join(done.result["warnings"])


def test_no_portal_venous_phase_is_said_not_failed(image, images, tmp_path):
    others = [ds for ds in images if "portal" not in ds.SeriesDescription]
    done = run_main(image.segment_exam, write_series(tmp_path / "in", others), tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    assert done.result["status"] == "not-applicable"
    assert done.result["reason"].startswith("portal: ")
    assert done.files == {"result.json", "assessor.xml"}


def test_a_projection_alone_is_no_input_by_the_studys_rules(image, images, tmp_path):
    rules = load_manifest(MANIFEST.read_text("utf-8"), source="study.yaml").arrival.series["portal"]
    projections = series(images, "MIP") + awkward.as_series(series(images, "MIP"), "MIP portal venous", number=101)
    text = json.dumps({"portal": {**rules.model_dump(mode="json"), "at_least": 1}})
    done = run_main(
        image.segment_exam, write_series(tmp_path / "in", projections), tmp_path / "out", OVERREAD_SERIES_RULES=text
    )
    assert (done.code, done.error) == (0, "")
    assert done.result["status"] == "not-applicable"


def test_a_scan_that_ends_in_the_liver_carries_a_doubt(image, images, tmp_path):
    upper = awkward.without(series(images, "Liver portal"), *range(28))
    done = run_main(image.segment_exam, write_series(tmp_path / "in", upper), tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    assert any("first or last slice" in warning for warning in done.result["warnings"])
