from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from overread.synthetic.exams import PlannedExam, demo_exams
from overread.synthetic.mr import Orientation


def coarse_exam(**changes: object) -> PlannedExam:
    plan = PlannedExam(
        patient_id="P1",
        study_date="20240229",
        lesion_ml=7.92,
        seed=3,
        accession_number="A1",
        slice_spacing_mm=5.0,
        pixel_spacing_mm=6.0,
    )
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study() -> list[Dataset]:
    return coarse_exam().datasets()


def test_study_has_localiser_t1_and_flair(study: list[Dataset]) -> None:
    numbers = {(int(ds.SeriesNumber), str(ds.SeriesDescription)) for ds in study}

    assert numbers == {(1, "LOCALIZER"), (2, "AXI T1"), (3, "AXI FLAIR")}
    assert sum(ds.SeriesNumber == 1 for ds in study) == 3


def test_uids_are_unique_and_shared_where_they_must_be(study: list[Dataset]) -> None:
    assert len({ds.SOPInstanceUID for ds in study}) == len(study)
    assert len({ds.SeriesInstanceUID for ds in study}) == 3
    assert len({ds.StudyInstanceUID for ds in study}) == 1
    assert len({ds.FrameOfReferenceUID for ds in study}) == 1
    assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in study)


def test_uid_follows_from_patient_date_and_seed_unless_given() -> None:
    plan = coarse_exam()

    assert plan.uid == coarse_exam().uid
    assert len({plan.uid, coarse_exam(seed=4).uid, coarse_exam(study_date="20240301").uid}) == 3
    assert coarse_exam(study_instance_uid="1.2.3").uid == "1.2.3"


def test_truth_is_that_of_the_voxels() -> None:
    plan = coarse_exam(lesion_ml=7.9)

    assert plan.flair().volume_ml == pytest.approx(plan.truth_ml)
    assert plan.truth_ml == pytest.approx(44 * 0.18)


def test_files_hold_what_was_planned(tmp_path: Path) -> None:
    plan = coarse_exam(patient_name="Made^Up")
    paths = plan.write(tmp_path)
    flair = [ds for ds in map(dcmread, paths) if ds.SeriesDescription == "AXI FLAIR"]

    assert len(flair) == plan.grid.shape[0] >= 20
    assert {str(ds.PatientName) for ds in flair} == {"Made^Up"}
    assert (flair[0].StudyDate, flair[0].AccessionNumber, plan.date) == ("20240229", "A1", "2024-02-29")
    assert np.array_equal(np.stack([ds.pixel_array for ds in flair]), np.rint(plan.flair().flair).astype(np.uint16))


@pytest.mark.parametrize("orientation", ["sagittal", "coronal", "oblique"])
def test_slices_are_cut_in_the_wanted_plane(orientation: Orientation) -> None:
    plan = coarse_exam(orientation=orientation, lesion_ml=0.0)
    flair = [ds for ds in plan.datasets() if "FLAIR" in ds.SeriesDescription]

    first, last = (np.array(ds.ImagePositionPatient, dtype=float) for ds in (flair[0], flair[-1]))
    assert last - first == pytest.approx(plan.grid.normal * 5.0 * (len(flair) - 1), abs=1e-3)


def test_demo_follows_one_patient_past_the_threshold_and_has_a_healthy_one() -> None:
    exams = demo_exams()
    followed = [exam for exam in exams if exam.patient_id == exams[0].patient_id]
    healthy = [exam for exam in exams if exam.truth_ml == 0.0]
    change = [exam.truth_ml / followed[0].truth_ml - 1.0 for exam in followed]

    assert (len(followed), len(healthy), len(exams)) == (5, 1, 6)
    assert [exam.date for exam in followed] == sorted(exam.date for exam in followed)
    assert change == sorted(change)
    assert [c >= 0.40 for c in change] == [False, False, False, False, True]
    assert len({exam.uid for exam in exams}) == len({exam.accession_number for exam in exams}) == 6
    assert all(exam.grid.shape[0] <= 100 for exam in exams)


@pytest.mark.needs("dciodvfy")
def test_study_is_valid_dicom(tmp_path: Path) -> None:
    by_series = {path.parent: path for path in coarse_exam().write(tmp_path)}
    for path in by_series.values():
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
        assert "Error" not in said, said
