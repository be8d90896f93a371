from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.studies import condition, manifest
from overread.study.rules import accepts, evaluate, evaluate_all, needed_keywords


@pytest.mark.parametrize(
    ("operator", "value", "holds"),
    [
        ({"in": ["MR", "CT"]}, "MR", True),
        ({"in": ["MR", "CT"]}, " CT ", True),
        ({"in": ["MR", "CT"]}, "mr", False),
        ({"in": ["MR"]}, ["US", "MR"], True),
        ({"equals": "MR"}, "MR\0", True),
        ({"equals": "MR"}, "MRI", False),
        ({"matches": "(?i)flair"}, "AX T2 FLAIR", True),
        ({"matches": "^flair$"}, "AX flair", False),
        ({"matches": "PRIMARY"}, ["ORIGINAL", "PRIMARY"], True),
        ({"exists": True}, "x", True),
        ({"exists": True}, "", False),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"exists": False}, "x", False),
        ({"matches": ".*"}, None, False),
    ],
)
def test_operator_on_text(operator: dict[str, object], value: object, holds: bool) -> None:
    assert evaluate(condition("SeriesDescription", **operator), {"SeriesDescription": value}).ok is holds


@pytest.mark.parametrize(
    ("operator", "value", "holds"),
    [
        ({"at_least": 1.5}, "1.5", True),
        ({"at_least": 1.5}, 1.4, False),
        ({"at_most": 2}, ["1.0", "2.0"], True),
        ({"at_most": 2}, ["1.0", "2.1"], False),
        ({"at_most": 2}, "thin", False),
        ({"at_most": 2}, "nan", False),
        ({"equals": 3}, "3.0", True),
        ({"in": [1, 3]}, 3.0, True),
    ],
)
def test_operator_on_numbers(operator: dict[str, object], value: object, holds: bool) -> None:
    assert evaluate(condition("SliceThickness", **operator), {"SliceThickness": value}).ok is holds


def test_reason_says_value_and_goal() -> None:
    decision = evaluate(condition("Modality", **{"in": ["MR", "CT"]}), {"Modality": "US"})
    assert decision.reason == "Modality 'US' is not one of MR, CT"


def test_reason_never_shows_what_identifies_a_patient() -> None:
    decision = evaluate(condition("PatientName", matches="^TEST"), {"PatientName": "Doe^Jane"})
    assert decision.reason == "PatientName does not match ^TEST"


def test_reason_is_one_printable_line() -> None:
    decision = evaluate(condition("SeriesDescription", equals="x"), {"SeriesDescription": "a\nb\x1b[31m" + "c" * 300})
    assert decision.reason.isprintable()
    assert len(decision.reason) < 120


def test_all_conditions_must_hold_and_the_first_failure_is_told() -> None:
    both = [condition("Modality", equals="MR"), condition("SeriesDescription", matches="pd")]
    assert evaluate_all(both, {"Modality": "MR", "SeriesDescription": "pd sag"}).ok
    assert evaluate_all(both, {"Modality": "CT", "SeriesDescription": "t1"}).reason == "Modality 'CT' is not MR"


def test_exam_is_accepted_when_one_series_fulfils_everything() -> None:
    both = [condition("Modality", equals="MR"), condition("StudyDescription", matches="(?i)knee")]
    split = [{"Modality": "MR", "StudyDescription": "hip"}, {"Modality": "CT", "StudyDescription": "knee"}]
    assert not accepts(both, split).ok
    assert accepts(both, [*split, {"Modality": "MR", "StudyDescription": "Knee left"}]).ok
    assert accepts(both, []).reason == "the exam has no series"


def test_needed_keywords_are_those_of_all_rules() -> None:
    assert needed_keywords(manifest()) == {"Modality", "SeriesDescription"}


hostile = st.one_of(
    st.none(), st.text(), st.binary(), st.floats(), st.integers(), st.lists(st.one_of(st.text(), st.none()))
)
operators = st.one_of(
    st.fixed_dictionaries({"in": st.lists(st.one_of(st.text(), st.integers()), min_size=1)}),
    st.fixed_dictionaries({"equals": st.text()}),
    st.fixed_dictionaries({"at_least": st.integers(-5, 5)}),
    st.fixed_dictionaries({"at_most": st.integers(-5, 5)}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.just({"matches": "(?i)^a.*b"}),
)


@given(operators, hostile)
def test_no_header_breaks_a_rule(operator: dict[str, object], value: object) -> None:
    decision = evaluate(condition("SeriesDescription", **operator), {"SeriesDescription": value})
    assert decision.reason


@given(st.text())
def test_exists_and_not_exists_are_opposites(value: str) -> None:
    header = {"SeriesDescription": value}
    there = evaluate(condition("SeriesDescription", exists=True), header)
    gone = evaluate(condition("SeriesDescription", exists=False), header)
    assert there.ok is not gone.ok
