"""The image as it ships, with the weights it ships with, on synthetic exams chosen before looking."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydicom import dcmread

from helpers.containers import main_of, run_main
from overread.dicom.seg import decode_seg
from overread.operators.load import load_folder
from overread.operators.volume import read_volume
from overread.study.manifest import load_manifest
from overread.synthetic.exams import PlannedExam

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[1]
MANIFEST = FOLDER.parents[1] / "xnat-plugins/brain-tumor/study.yaml"


@pytest.mark.parametrize(
    ("orientation", "lesion_ml"), [("axial", 9.0), ("sagittal", 22.0), ("coronal", 15.0), ("oblique", 12.0)]
)
def test_the_lesion_is_found_in_any_orientation(tmp_path, orientation, lesion_ml):
    exam = PlannedExam(
        patient_id="TEST-1", study_date="20240115", lesion_ml=lesion_ml, seed=4711, orientation=orientation
    )
    exam.write(tmp_path / "in")
    done = run_main(main_of("brain-tumor-segmentation").segment_exam, tmp_path / "in", tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    truth = exam.flair().mask
    seg = decode_seg(dcmread(done.output / "seg.dcm"))
    (used,) = (item["series_instance_uid"] for item in done.result["inputs"])
    (series,) = (s for s in load_folder(tmp_path / "in").series if s.summary.series_instance_uid == used)
    found = seg.volume(1, read_volume(series).geometry)
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice >= 0.85, (dice, done.measured("lesion_volume_ml"), exam.truth_ml)


def test_a_healthy_head_has_next_to_nothing(tmp_path):
    exam = PlannedExam(patient_id="TEST-2", study_date="20240115", lesion_ml=0.0, seed=4712)
    exam.write(tmp_path / "in")
    done = run_main(main_of("brain-tumor-segmentation").segment_exam, tmp_path / "in", tmp_path / "out")
    assert done.code == 0
    assert done.measured("lesion_volume_ml") <= 0.1


def test_the_studys_noise_is_what_was_measured():
    measured = json.loads((FOLDER / "model" / "repeatability.json").read_text("utf-8"))
    manifest = load_manifest(MANIFEST.read_text("utf-8"), source=str(MANIFEST))
    assert manifest.progression is not None
    told = manifest.progression.repeatability
    assert told is not None
    assert (told.pct, told.floor_ml) == (measured["pct"], measured["floor_ml"])
    # The figures follow from the pairs that stand beside them.
    large = [pair for pair in measured["pairs"] if pair["truth_ml"] >= measured["small_below_ml"]]
    relative = [200 * (p["retest_ml"] - p["test_ml"]) / (p["retest_ml"] + p["test_ml"]) for p in large]
    within = math.sqrt(sum(each**2 for each in relative) / len(relative) / 2)
    assert measured["pct"] == pytest.approx(1.96 * math.sqrt(2) * within, abs=0.06)
