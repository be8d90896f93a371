"""Radiographs that we make, and what is said of them (SR with regions, annotated image), judged by ``dciodvfy``."""

from __future__ import annotations

import dataclasses
import subprocess

import numpy as np
import pytest

from overread.dicom.capture import secondary_capture
from overread.dicom.codes import FRACTURE, HIP, IMPLANT
from overread.dicom.region_report import RegionFinding, region_report
from overread.dicom.seg import ObjectInfo
from overread.errors import DataError
from overread.synthetic.hip_conditions import Condition
from overread.synthetic.hip_exams import PlannedHipExam, Taken

PLAN = PlannedHipExam(
    patient_id="T1",
    study_date="20250201",
    right=Condition(name="no-fracture"),
    left=Condition(name="no-fracture"),
    seed=1,
    spacing_mm=3.0,
    images=(Taken(number=1, projection="pelvis"), Taken(number=2, projection="hip", side="left")),
)


def errors_in(ds, path) -> list[str]:
    ds.save_as(path, enforce_file_format=True)
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


@pytest.fixture(scope="module")
def images():
    return PLAN.datasets()


def finding(images, **more):
    given = {
        "image_uid": images[0].SOPInstanceUID,
        "box": (10.5, 20.5, 60.5, 80.5),
        "finding": FRACTURE,
        "present": False,
        "site": HIP,
        "side": "right",
        "certainty_pct": 87.3,
        "tracking_id": "hip right",
        "tracking_uid": "2.25.7",
    }
    return RegionFinding(**{**given, **more})


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("modality", ["DX", "CR"])
@pytest.mark.parametrize("greys", ["MONOCHROME1", "MONOCHROME2"])
def test_radiographs(modality, greys, tmp_path):
    plan = dataclasses.replace(PLAN, modality=modality, photometric_interpretation=greys)
    assert [errors_in(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate(plan.datasets())] == [[], []]


@pytest.mark.needs("dciodvfy")
def test_report_and_annotated_image(images, tmp_path):
    found = [
        finding(images),
        finding(
            images,
            side="left",
            finding=IMPLANT,
            present=True,
            tracking_uid="2.25.8",
            image_uid=images[1].SOPInstanceUID,
        ),
    ]
    report = region_report(found, images, info=ObjectInfo(), device_uid="2.25.4")
    assert errors_in(report, tmp_path / "sr.dcm") == []
    picture = secondary_capture(np.zeros((20, 30, 3), np.uint8), images[0], info=ObjectInfo(), sources=images)
    assert errors_in(picture, tmp_path / "sc.dcm") == []


def test_a_report_needs_findings_and_their_images(images):
    with pytest.raises(DataError, match="0 findings"):
        region_report([], images, info=ObjectInfo(), device_uid="2.25.4")
    with pytest.raises(DataError, match="1 lacking"):
        region_report([finding(images, image_uid="1.2.3")], images, info=ObjectInfo(), device_uid="2.25.4")
