"""The report of an exam with two others of the same patient, and one of another."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from helpers.containers import Run, main_of, run_main
from helpers.exam_files import write_session
from helpers.segments import measurement_groups
from helpers.threshold_model import write_model
from overread.dicom.codes import VOLUME
from overread.operators.load import load_folder
from overread.operators.report_page import ReportPage
from overread.synthetic.phantoms import Sphere, make_case

SHAPE, SPACING = (24, 72, 60), (4.0, 2.4, 2.4)
RADII_MM = (14.0, 15.0, 17.5)
DATES = ("20230110", "20240109", "20250114")
XNAT = "{http://nrg.wustl.edu/xnat}"
OBJECTS = {"report.dcm", "pdf.dcm", "sr.dcm"}


def add_exam(project: Path, image: Any, *, date: str, radius_mm: float, patient: str = "SECRET77") -> Path:
    """Put an exam and its result into a project, as XNAT keeps them."""
    case = make_case(
        SHAPE,
        SPACING,
        lesions=[Sphere(centre=(13.0, 30.0, 37.0), radius_mm=radius_mm)],
        study_date=date,
        patient_id=patient,
        patient_name="Doe^Jane",
    )
    session = write_session(project / f"S{patient}{date}", case.datasets)
    done = run_main(image.segment_exam, session, project.parent / "out" / session.name)
    label = str(ET.parse(done.output / "assessor.xml").getroot().get("label"))
    for resource, name in (("RESULT", "result.json"), ("SEG", "seg.dcm")):
        folder = session / "ASSESSORS" / label / resource
        folder.mkdir(parents=True)
        shutil.copy(done.output / name, folder)
    return session


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    image = main_of("brain-tumor-segmentation")
    image.MODEL = write_model(root / "model", preprocessing__spacing_mm=list(SPACING), inference__window=[48, 48, 48])
    for date, radius_mm in zip(DATES, RADII_MM, strict=True):
        add_exam(root / "arc001", image, date=date, radius_mm=radius_mm)
    add_exam(root / "arc001", image, date="20220101", radius_mm=22.0, patient="OTHER")
    return root / "arc001"


def report(project: Path, output: Path, *, date: str = DATES[-1], alone: bool = False) -> Run:
    image = main_of("dicom-report")

    def work(job: Any) -> None:
        job.arguments.project = None if alone else project
        image.main_report(job)

    progression = json.dumps({"measure": "lesion_volume_ml", "increase_pct": 40})
    return run_main(
        work,
        project / f"SSECRET77{date}",
        output,
        OVERREAD_STUDY_TITLE="Low-grade glioma: segmentation and progression",
        OVERREAD_PROGRESSION=base64.b64encode(progression.encode()).decode(),
    )


@pytest.fixture(scope="module")
def usual(project, tmp_path_factory) -> Run:
    done = report(project, tmp_path_factory.mktemp("report"))
    assert (done.code, done.error) == (0, "")
    return done


def test_the_objects_belong_to_the_exam(usual, project):
    image = dcmread(next((project / f"SSECRET77{DATES[-1]}").rglob("SCANS/*/DICOM/*.dcm")))
    assert {*OBJECTS, "report.png", "scan.xml", "result.json"} == usual.files
    series = set()
    for name in OBJECTS:
        ds = dcmread(usual.output / name)
        assert (ds.StudyInstanceUID, ds.PatientID, ds.PatientName) == (
            image.StudyInstanceUID, "SECRET77", "Doe^Jane",
        )  # fmt: skip
        assert "research use only" in ds.SeriesDescription
        assert (ds.ManufacturerModelName, ds.SoftwareVersions) == ("threshold", "1.2.3")
        series.add(ds.SeriesInstanceUID)
    assert len(series) == len(OBJECTS)
    assert usual.result["outputs"]["report"]["sop_instance_uid"] == dcmread(usual.output / "report.dcm").SOPInstanceUID


def test_the_capture_is_the_picture_at_1024_pixels(usual):
    capture = dcmread(usual.output / "report.dcm")
    picture = np.asarray(Image.open(usual.output / "report.png"))
    assert picture.shape == (1024, 1024, 3)
    np.testing.assert_array_equal(capture.pixel_array, picture)
    assert capture.BurnedInAnnotation == "NO"
    red = (picture[100:530, 28:458].astype(int) - [255, 64, 64]).__abs__().sum(axis=2) < 90
    assert red.sum() > 150, "the key image has its outline"


def test_the_page_says_what_the_results_say(usual, project, monkeypatch):
    image = main_of("dicom-report")
    pages: list[ReportPage] = []

    def drawn(page: ReportPage, **_: int) -> Image.Image:
        pages.append(page)
        return Image.new("RGB", (1024, 1024))

    monkeypatch.setattr("overread.operators.report.draw_page", drawn)

    def work(job: Any) -> None:
        job.arguments.project = project
        image.main_report(job)

    run_main(work, project / f"SSECRET77{DATES[-1]}", usual.output.parent / "said")
    page = pages[0]
    assert [change.point.date.strftime("%Y%m%d") for change in page.changes] == list(DATES)
    assert [change.verdict for change in page.changes][-1] == "progression"
    measured = page.changes[-1].point.volume_ml
    assert page.value == f"Lesion volume {measured:.1f} mL"
    assert all("SECRET77" not in text and "Doe" not in text for _, text in page.facts)


def test_the_report_says_the_volume_of_the_mask(usual):
    (group,) = measurement_groups(dcmread(usual.output / "sr.dcm"))
    (volume,) = group.get_measurements(name=VOLUME.as_code())
    truth_ml = 4 / 3 * np.pi * RADII_MM[-1] ** 3 / 1000
    assert volume.value == pytest.approx(truth_ml, rel=0.08)


def test_the_pdf_is_a_page_of_the_same(usual):
    ds = dcmread(usual.output / "pdf.dcm")
    pdf = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") == 1


def test_a_second_report_takes_no_ones_place(usual, project, tmp_path):
    again = report(project, tmp_path / "again")
    for name in OBJECTS:
        first, second = dcmread(usual.output / name), dcmread(again.output / name)
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert first.SeriesInstanceUID != second.SeriesInstanceUID
    scans = [ET.parse(done.output / "scan.xml").getroot() for done in (usual, again)]
    assert scans[0].get("ID") != scans[1].get("ID")
    assert scans[0].tag == f"{XNAT}SCScan"
    assert scans[0].findtext(f"{XNAT}image_session_ID") == "XNAT_E00001"


def test_without_the_project_the_exam_stands_alone(project, tmp_path):
    done = report(project, tmp_path / "alone", alone=True)
    assert done.code == 0
    assert done.files >= OBJECTS


def test_an_exam_without_a_result_does_not_apply(project, tmp_path):
    session = Path(shutil.copytree(project / f"SSECRET77{DATES[0]}", tmp_path / "arc001" / "S1"))
    shutil.rmtree(session / "ASSESSORS")
    image = main_of("dicom-report")

    def work(job: Any) -> None:
        job.arguments.project = None
        image.main_report(job)

    done = run_main(work, session, tmp_path / "out")
    assert done.code == 0
    assert done.files == {"result.json"}
    assert "no result to report" in done.result["reason"]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OVERREAD_RESULT_LABEL": "BT-NONE"}, "has no such result"),
        ({"OVERREAD_PROGRESSION": "nonsense!"}, "apply the study again"),
    ],
)
def test_a_wrong_call_is_one_line(project, tmp_path, environ, message):
    image = main_of("dicom-report")

    def work(job: Any) -> None:
        job.arguments.project = None
        image.main_report(job)

    done = run_main(work, project / f"SSECRET77{DATES[0]}", tmp_path / "out", **environ)
    assert done.code in {1, 2}
    assert message in done.error
    assert done.error.count("\n") == 1


def test_a_report_among_the_scans_is_never_an_input_and_no_cause_of_a_warning(usual, project, tmp_path):
    session = Path(shutil.copytree(project / f"SSECRET77{DATES[0]}", tmp_path / "S1"))
    for name in OBJECTS:
        folder = session / "SCANS" / "report-1" / name.upper()
        folder.mkdir(parents=True)
        shutil.copy(usual.output / name, folder)
    shutil.copy(usual.output / "report.png", session / "SCANS" / "report-1")
    assert load_folder(session).skipped == {"not DICOM": 1}


@pytest.mark.needs("dciodvfy")
def test_dciodvfy_finds_no_error(usual):
    for name in OBJECTS:
        done = subprocess.run(
            ["dciodvfy", str(usual.output / name)], capture_output=True, text=True, check=False, timeout=60
        )
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == [], name
