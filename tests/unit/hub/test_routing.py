"""Routing expressions, and where an object belongs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from sqlalchemy.orm import Session

from overread.hub.arrival.assignment import Hints, Rules, assign
from overread.hub.arrival.routing import first_match, parse_expressions
from overread.hub.database import Database
from overread.hub.errors import HubError
from overread.hub.models import Project


def exam(**values: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.StudyInstanceUID = "1.2.3"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("(0008,0050):^(STUDY1).*:1", {"AccessionNumber": "STUDY1-77"}, "STUDY1"),
        ("(0008,0050):^(STUDY1).*", {"AccessionNumber": "STUDY1-77"}, "STUDY1"),
        ("(0008,0050):^(STUDY1).*:0", {"AccessionNumber": "STUDY1-77"}, "STUDY1-77"),
        ("(0008,0050):.*", {"AccessionNumber": "A"}, "A"),
        ("(0008,0016):^(.+)$ t:^.+$ r:BTS", {}, "BTS"),
        (r"(0010,0020):^(.+)$ t:(\d+)-(\d+) r:$2_$1", {"PatientID": "12-34"}, "34_12"),
        ("(0010,0020):^(.+)$ t:[ .] r:_", {"PatientID": "a b.c"}, "a_b_c"),
        ("(0008,103E):(?i)^.*(flair).*$", {"SeriesDescription": "Ax FLAIR"}, "FLAIR"),
        ("(0008,0008):(.*)", {"ImageType": "ORIGINAL\\PRIMARY"}, "ORIGINAL"),
        ("(0008,0050):^(STUDY1)$", {"AccessionNumber": "STUDY1-77"}, ""),
        ("(0008,0050):^(.+)$", {}, ""),
        ("(0010,0010):(\\w+)\\^.*", {"PatientName": "Doe^Jane"}, "Doe"),
    ],
)
def test_an_expression_takes_what_it_says(expression: str, values: dict[str, str], expected: str) -> None:
    assert first_match(parse_expressions(expression), exam(**values)) == expected


def test_the_first_line_that_matches_counts() -> None:
    expressions = parse_expressions("# by accession number\n(0008,0050):^(X.*)$\n\n(0010,0020):^(.+)$\n")
    assert len(expressions) == 2
    assert first_match(expressions, exam(AccessionNumber="Y1", PatientID="P1")) == "P1"
    assert first_match(expressions, exam(AccessionNumber="X1", PatientID="P1")) == "X1"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0008,0050:^(.*)$", "can't be read"),
        ("(0008,0050)", "can't be read"),
        ("(0008,0050):^(.*$", "missing )"),
        ("(0008,0050):^(.*)$:2", "1 groups"),
        ("(0008,0050):^(.*)$ t:(a) r:$7", "invalid group reference"),
        ("(0008,0050):^(.*)$ t:[ r:x", "unterminated"),
    ],
)
def test_a_wrong_line_is_refused_with_what_is_wrong(line: str, words: str) -> None:
    with pytest.raises(HubError) as problem:
        parse_expressions(line)
    assert problem.value.status == 400
    assert words in problem.value.reason


@pytest.mark.parametrize(
    ("replacement", "made"), [(r"$1", "4711"), (r"a\.b", "a.b"), (r"\$1", "$1"), (r"a\\b", r"a\b"), (r"\1", "1")]
)
def test_replacements_mean_what_they_mean_in_java(replacement: str, made: str) -> None:
    dataset = Dataset()
    dataset.AccessionNumber = "A-4711"
    (expression,) = parse_expressions(rf"(0008,0050):^(.*)$ t:^A-(\d+)$ r:{replacement}")
    assert expression.extract(dataset) == made


@given(st.text(max_size=80))
def test_no_line_makes_the_reader_fail_otherwise(line: str) -> None:
    with suppress(HubError):
        parse_expressions(line)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=64))
def test_labels_hold_nothing_but_what_labels_may(value: str) -> None:
    dataset = Dataset()
    dataset.PatientID = value
    database = Database("sqlite://")
    with database.read() as db:
        found = assign(db, dataset)
    database.close()
    assert found.session.replace("_", "").replace("-", "").isalnum()
    assert found.session.isascii()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    with database.write() as session:
        session.add(Project(id="P1", aliases=["alias-1"]))
        session.add(Project(id="P2"))
        session.add(Project(id="GONE", deleted=True))
    with database.read() as session:
        yield session
    database.close()


BY_TITLE = Rules(project=parse_expressions("(0008,0016):^(.+)$ t:^.+$ r:P2"))


@pytest.mark.parametrize(
    ("values", "rules", "hints", "project"),
    [
        ({}, None, None, "Unassigned"),
        ({"StudyDescription": "P1"}, None, None, "P1"),
        ({"StudyDescription": "P1 brain"}, None, None, "Unassigned"),
        ({"AccessionNumber": "P2"}, None, None, "P2"),
        ({"AccessionNumber": "alias-1"}, None, None, "P1"),
        ({"StudyDescription": "GONE"}, None, None, "Unassigned"),
        ({"StudyDescription": "P1"}, BY_TITLE, None, "P2"),
        ({"StudyDescription": "P1"}, BY_TITLE, Hints(project="P1"), "P1"),
        ({"PatientComments": "Project:P1 Subject:S Session:E"}, None, None, "P1"),
        ({"StudyComments": "project:P2; subject:S"}, None, None, "P2"),
        ({"AdditionalPatientHistory": "Project:P1"}, None, None, "P1"),
        ({"StudyDescription": "P1", "AccessionNumber": "P2"}, None, Hints(projects=frozenset({"P2"})), "P2"),
    ],
)
def test_the_first_that_names_a_project_counts(
    db: Session, values: dict[str, str], rules: Rules | None, hints: Hints | None, project: str
) -> None:
    assert assign(db, exam(**values), rules=rules, hints=hints).project == project


def test_comments_name_subject_session_and_whether_to_archive(db: Session) -> None:
    found = assign(db, exam(PatientComments="Project:P1,Subject:S 1;Session:E/1 AA:true", PatientName="Doe^Jane"))
    assert (found.subject, found.session, found.auto_archive) == ("S", "E_1", True)


def test_without_anything_names_are_those_of_xnat(db: Session) -> None:
    found = assign(db, exam(PatientName="Doe^Jane", PatientID="77"))
    assert (found.subject, found.session) == ("Doe_Jane", "77")
    nothing = assign(db, exam())
    assert (nothing.subject, nothing.session, nothing.auto_archive) == ("", "dicom_upload", None)


def test_an_expression_that_gives_nothing_leaves_it_to_the_default(db: Session) -> None:
    rules = Rules(subject=parse_expressions("(0010,0020):^(.+)$"), session=parse_expressions("(0020,0010):^(.+)$"))
    found = assign(db, exam(PatientName="Doe^Jane", PatientID=""), rules=rules)
    assert (found.subject, found.session) == ("Doe_Jane", "dicom_upload")
