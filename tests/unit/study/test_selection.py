from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.studies import condition, rule, series
from overread.study.manifest import SeriesRule
from overread.study.selection import SeriesSummary, choose_series

FLAIR = rule(condition("SeriesDescription", matches="(?i)flair"), at_least=3)


def chosen(rule_: SeriesRule, *items: SeriesSummary) -> str | None:
    return choose_series({"role": rule_}, items)["role"].series_instance_uid


def test_most_instances_wins() -> None:
    assert chosen(FLAIR, series("1", "flair", instances=5), series("2", "FLAIR", instances=9), series("3", "t1")) == "2"


def test_equal_size_goes_to_the_lower_series_number_then_uid() -> None:
    assert chosen(FLAIR, series("9", "flair", SeriesNumber=2), series("1", "flair", SeriesNumber=7)) == "9"
    assert chosen(FLAIR, series("9", "flair"), series("1", "flair")) == "1"


@pytest.mark.parametrize(("choose", "expected"), [("first", "early"), ("last", "late")])
def test_first_and_last_go_by_date_and_time(choose: str, expected: str) -> None:
    by_time = rule(condition("SeriesDescription", matches="flair"), choose=choose)
    items = [
        series("late", "flair", SeriesDate="20250301", SeriesTime="101500.5", SeriesNumber=1),
        series("early", "flair", SeriesDate="20250301", SeriesTime="095959", SeriesNumber=9),
        series("undated", "flair", SeriesNumber=5),
    ]
    assert chosen(by_time, *items) == expected


@pytest.mark.parametrize(("choose", "expected"), [("first", "two"), ("last", "nine")])
def test_first_and_last_without_dates_go_by_series_number(choose: str, expected: str) -> None:
    by_time = rule(condition("SeriesDescription", matches="flair"), choose=choose)
    assert chosen(by_time, series("two", "flair", SeriesNumber=2), series("nine", "flair", SeriesNumber=9)) == expected


@pytest.mark.parametrize(
    "header",
    [
        {"Modality": "SEG"},
        {"Modality": "SR"},
        {"ImageType": ["DERIVED", "PRIMARY"]},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"},
    ],
)
def test_results_are_never_chosen(header: dict[str, Any]) -> None:
    choice = choose_series({"role": FLAIR}, [series("1", "flair", **header)])["role"]
    assert choice.series_instance_uid is None
    assert choice.reason.startswith("no series fits")


def test_photograph_is_no_secondary_capture() -> None:
    assert chosen(FLAIR, series("1", "flair", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.4")) == "1"


def test_too_few_images_is_told_with_the_numbers() -> None:
    choice = choose_series({"role": FLAIR}, [series("1", "flair", instances=2)])["role"]
    assert choice.reason == "a series fits, but has 2 of the 3 images it needs"


def test_every_role_gets_an_answer_even_without_series() -> None:
    choices = choose_series({"a": FLAIR, "b": FLAIR}, [])
    assert {role: choice.reason for role, choice in choices.items()} == {
        "a": "there are no series",
        "b": "there are no series",
    }


summaries = st.builds(
    lambda uid, description, instances, number, modality: series(
        f"1.{uid}", description, instances=instances, SeriesNumber=number, Modality=modality
    ),
    st.integers(0, 50),
    st.sampled_from(["flair", "t1", "FLAIR cor"]),
    st.integers(0, 6),
    st.one_of(st.none(), st.integers(0, 9)),
    st.sampled_from(["MR", "SEG"]),
)
exams = st.lists(summaries, max_size=8, unique_by=lambda item: item.series_instance_uid)
choices_of = st.sampled_from(["most_instances", "first", "last"])


@given(exams, choices_of, st.randoms(use_true_random=False))
def test_choice_does_not_depend_on_order(exam: list[SeriesSummary], choose: str, chance: random.Random) -> None:
    rules = {"role": rule(condition("SeriesDescription", matches="(?i)flair"), choose=choose, at_least=2)}
    shuffled = list(exam)
    chance.shuffle(shuffled)
    assert choose_series(rules, exam) == choose_series(rules, shuffled)


@given(exams)
def test_choice_is_a_candidate_that_keeps_the_rule(exam: list[SeriesSummary]) -> None:
    choice = choose_series({"role": FLAIR}, exam)["role"]
    by_uid = {item.series_instance_uid: item for item in exam}
    fitting = {
        uid
        for uid, item in by_uid.items()
        if item.instances >= 3 and item.header["Modality"] == "MR" and item.header["SeriesDescription"] != "t1"
    }
    assert set(choice.candidates) == fitting
    assert choice.series_instance_uid == (choice.candidates[0] if fitting else None)


@given(exams, exams)
def test_more_series_never_lose_a_role(exam: list[SeriesSummary], more: list[SeriesSummary]) -> None:
    known = {item.series_instance_uid for item in exam}
    together = exam + [item for item in more if item.series_instance_uid not in known]
    if chosen(FLAIR, *exam):
        assert chosen(FLAIR, *together)
