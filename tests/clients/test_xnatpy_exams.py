"""xnatpy with whole exams: import, prearchive, archive, headers, custom variables, sharing, download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xnat
from pydicom import dcmread

from helpers.exam_files import write_series
from hub_fixture import RunningHub, start_hub
from overread.synthetic.phantoms import make_mr_series


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub"))
    with running.client() as client:
        for project in ("P", "OTHER"):
            assert client.put(f"/data/projects/{project}").status_code == 200
    yield running
    running.stop()


@pytest.fixture(scope="module")
def connection(served: RunningHub) -> Iterator[Any]:
    with xnat.connect(served.url, user="admin", password=served.password) as connected:
        yield connected


@pytest.fixture
def exam(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """A folder with an exam of two series, and a label that no other test has."""
    number = sum(map(ord, request.node.name))
    study = f"2.25.{number}"
    for series in (1, 2):
        images = make_mr_series(
            (3, 16, 20), series_number=series, study_instance_uid=study, series_instance_uid=f"{study}.{series}",
            series_description=f"Series {series}",
        )  # fmt: skip
        write_series(tmp_path / "exam" / str(series), images)
    return tmp_path / "exam", f"E{number}"


def imported(connection: Any, exam: tuple[Path, str], **options: str) -> Any:
    folder, label = exam
    return connection.services.import_dir(
        str(folder), project="P", subject=f"S_{label}", experiment=label, import_handler="DICOM-zip", **options
    )


def content(folder: Path) -> set[str]:
    """Digests of all objects below a folder."""
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.dcm")}


def test_an_exam_goes_up_and_comes_down_as_it_was(connection: Any, exam: tuple[Path, str], tmp_path: Path) -> None:
    session = imported(connection, exam, destination="/archive")
    assert (session.label, session.subject.label) == (exam[1], f"S_{exam[1]}")
    assert {scan.series_description for scan in session.scans.values()} == {"Series 1", "Series 2"}
    (tmp_path / "down").mkdir()
    session.download_dir(str(tmp_path / "down"), verbose=False)
    assert content(tmp_path / "down") == content(exam[0])
    assert len(content(exam[0])) == 6


def test_an_exam_waits_in_the_prearchive_until_it_is_archived(
    connection: Any, exam: tuple[Path, str], tmp_path: Path
) -> None:
    waiting = imported(connection, exam, destination="/prearchive")
    assert (waiting.status, waiting.label, waiting.subject) == ("READY", exam[1], f"S_{exam[1]}")
    assert waiting.uri in {one.uri for one in connection.prearchive.sessions(project="P")}
    assert len(waiting.scans) == 2
    assert sum(len(scan.files) for scan in waiting.scans) == 6
    assert waiting.scans[0].dicom_dump(fields=["Modality"])[0]["value"] == "MR"
    waiting.download(str(tmp_path / "waiting.zip"))
    moved = waiting.move("OTHER", asynchronous=False)
    assert moved.status_code == 200
    (elsewhere,) = connection.prearchive.sessions(project="OTHER")
    elsewhere.move("P", asynchronous=False)
    (back,) = (one for one in connection.prearchive.sessions(project="P") if one.label == exam[1])
    session = back.archive()
    assert session.label == exam[1]
    assert exam[1] not in {one.label for one in connection.prearchive.sessions(project="P")}


def test_what_waits_is_deleted(connection: Any, exam: tuple[Path, str]) -> None:
    waiting = imported(connection, exam, destination="/prearchive")
    assert waiting.rebuild(asynchronous=False).status_code == 200
    assert waiting.delete(asynchronous=False).status_code == 200
    assert exam[1] not in {one.label for one in connection.prearchive.sessions(project="P")}


def test_headers_are_read(connection: Any, exam: tuple[Path, str]) -> None:
    scan = imported(connection, exam, destination="/archive").scans["1"]
    told = {row["tag1"]: row["value"] for row in scan.dicom_dump(fields=["PatientID", "00080060"])}
    assert told == {"(0010,0020)": "PHANTOM-1", "(0008,0060)": "MR"}
    header = scan.read_dicom()
    assert header.SeriesDescription == "Series 1"
    assert header.PatientID == dcmread(next(exam[0].rglob("*.dcm")), stop_before_pixels=True).PatientID


def test_custom_variables_of_a_session(connection: Any, exam: tuple[Path, str]) -> None:
    session = imported(connection, exam, destination="/archive")
    session.fields["reader"] = "A"
    session.fields["reader"] = "B"
    subject = session.subject
    subject.fields["arm"] = "control"
    session.clearcache()
    subject.clearcache()
    assert dict(session.fields) == {"reader": "B"}
    assert dict(subject.fields) == {"arm": "control"}


def test_a_subject_and_its_session_are_shared_under_other_labels(connection: Any, exam: tuple[Path, str]) -> None:
    session = imported(connection, exam, destination="/archive")
    session.subject.share("OTHER", label=f"T_{exam[1]}")
    session.share("OTHER", label=f"F_{exam[1]}")
    other = connection.projects["OTHER"]
    for listing in (other.subjects, other.experiments):
        listing.clearcache()
    assert other.subjects[f"T_{exam[1]}"].id == session.subject.id
    assert other.experiments[f"F_{exam[1]}"].id == session.id
    assert session.label == exam[1]


def test_a_session_lists_what_it_does_not_have(connection: Any, exam: tuple[Path, str]) -> None:
    session = imported(connection, exam, destination="/archive")
    assert len(session.assessors) == 0
    assert isinstance(connection.scanners, list)
