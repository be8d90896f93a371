from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from helpers.studies import complete, condition, rule, series
from overread.study.completion import Completion, decide
from overread.study.selection import SeriesSummary

RULES = {"pd": rule(condition("SeriesDescription", matches="(?i)pd"), at_least=3)}
THERE = [series("1", "pd", instances=3)]
MISSING = [series("1", "pd", instances=2)]


def at(now: float, items: list[SeriesSummary], *, first: float = 0, last: float = 0) -> Completion:
    return decide(complete(), RULES, items, now=now, first_object_at=first, last_object_at=last)


def test_whole_once_quiet() -> None:
    assert at(4, THERE) == Completion("wait", "pd there, still arriving", 6)
    assert at(10, THERE) == Completion("whole", "pd there, nothing arrived for 10 s")


def test_missing_series_is_waited_for_and_then_given_up() -> None:
    waiting = at(40, MISSING)
    assert (waiting.state, waiting.wait_s) == ("wait", 60)
    assert waiting.reason == "missing pd: a series fits, but has 2 of the 3 images it needs"
    given_up = at(100, MISSING)
    assert given_up.state == "gave-up"
    assert given_up.reason.startswith("after 100 s still missing pd")


def test_patience_ends_even_while_objects_arrive() -> None:
    assert at(100, THERE, last=99.5).state == "whole"
    assert at(99, THERE, last=98.5) == Completion("wait", "pd there, still arriving", 1)


def test_clock_set_back_counts_as_no_time() -> None:
    assert at(-500, THERE) == Completion("wait", "pd there, still arriving", 10)


times = st.floats(0, 300, allow_nan=False)
exams = st.sampled_from([[], MISSING, THERE])


@given(exams, times, times, times)
def test_after_the_wait_it_is_decided(items: list[SeriesSummary], first: float, gap: float, wait: float) -> None:
    last = first + gap
    before = at(last + wait, items, first=first, last=last)
    assume(before.wait_s is not None)
    assert before.wait_s is not None
    assert before.wait_s > 0
    # One millisecond for the rounding of sums of seconds.
    assert at(last + wait + before.wait_s + 0.001, items, first=first, last=last).state != "wait"


@given(exams, times, times, times)
def test_a_decision_stays(items: list[SeriesSummary], first: float, gap: float, later: float) -> None:
    last = first + gap
    for now in (last, last + 10, last + 100):
        earlier = at(now, items, first=first, last=last)
        if earlier.state != "wait":
            assert at(now + later, items, first=first, last=last).state == earlier.state
