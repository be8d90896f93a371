"""The image as it ships, with the weights it ships with, on synthetic exams chosen before looking."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from helpers.containers import main_of, run_main
from overread.dicom.seg import decode_seg
from overread.operators.load import load_folder
from overread.operators.volume import read_volume
from overread.synthetic.exams import PlannedExam

pytestmark = pytest.mark.slow


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
