"""Properties of the allocation, whatever the study, the readers and the seed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from overread.study.allocation import Allotted, Seat, allot, deal, differing, due
from overread.study.reading import Reading

READERS = ("anna", "ben", "cleo", "dora")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def reading(**changes: Any) -> Reading:
    document: dict[str, Any] = {
        "page": "findings", "form": "f.json", "groups": {"radiologist": {"per_case": 2}},
        "arms": ["unaided", "aided"], "crossover": {"washout_days": 28}, "order": {"kind": "blocks", "block": 4},
    } | changes  # fmt: skip
    return Reading.model_validate({key: value for key, value in document.items() if value is not None})


def names(count: int) -> list[str]:
    return [f"E{number:03d}" for number in range(count)]


def seats(count: int) -> dict[str, list[Seat]]:
    return {"radiologist": [Seat(reader) for reader in READERS[:count]]}


FEW = settings(max_examples=25, deadline=None)
SOME_CASES = st.integers(0, 30).map(names)
SOME_SEATS = st.integers(2, 4).map(seats)
SEEDS = st.integers(0, 2**31 - 1)
KINDS = st.sampled_from(["fixed", "shuffled", "blocks"])
REPEATS = st.sampled_from([None, {"pct": 10, "after": 3}, {"pct": 50, "seed": 9, "after": 1}])


@FEW
@given(SOME_CASES, SOME_SEATS, SEEDS, st.integers(1, 3))
def test_each_case_gets_its_readers_and_loads_are_even(
    cases: list[str], there: dict[str, list[Seat]], seed: int, per_case: int
) -> None:
    group = there["radiologist"]
    dealt = deal(cases, group, per_case=per_case, seed=seed, name="g")
    assert Counter(one.case for one in dealt) == dict.fromkeys(cases, min(per_case, len(group)))
    assert len({(one.case, one.reader) for one in dealt}) == len(dealt), "nobody gets a case twice"
    loads = Counter({seat.reader: 0 for seat in group})
    loads.update(one.reader for one in dealt)
    assert max(loads.values()) - min(loads.values()) <= 1


@FEW
@given(SOME_CASES, SOME_SEATS, SEEDS, KINDS, REPEATS, st.integers(0, 30))
def test_a_new_case_changes_nothing_of_what_was_dealt(  # noqa: PLR0917 - drawn one by one
    cases: list[str], there: dict[str, list[Seat]], seed: int, kind: str, repeats: Any, known: int
) -> None:
    study = reading(order={"kind": kind, "seed": seed, "block": 4}, repeats=repeats)
    before = allot(study, cases[:known], there)
    after = allot(study, cases, there)
    assert set(before) <= set(after)
    assert [one for one in after if one in set(before)] == list(before), "and the order among them is the same"


@FEW
@given(SOME_CASES, SEEDS, KINDS, REPEATS)
def test_the_seed_alone_decides(cases: list[str], seed: int, kind: str, repeats: Any) -> None:
    groups = {"radiologist": {"per_case": 2}, "resident": {"per_case": 1}}
    order = {"kind": kind, "seed": seed, "block": 4}
    there = {"radiologist": [Seat("anna"), Seat("ben"), Seat("cleo")], "resident": [Seat("dora"), Seat("emil")]}
    turned = {group: list(reversed(there[group])) for group in reversed(list(there))}
    one = allot(reading(groups=groups, order=order, repeats=repeats), cases, there)
    other = allot(
        reading(groups=dict(reversed(list(groups.items()))), order=order, repeats=repeats), cases, turned
    )  # fmt: skip
    assert one == other


@FEW
@given(SEEDS)
def test_another_seed_gives_another_order(seed: int) -> None:
    def order(value: int) -> list[str]:
        study = reading(order={"kind": "shuffled", "seed": value}, crossover=None, arms=["unaided"])
        return [one.case for one in allot(study, names(40), seats(2)) if one.reader == "anna"]

    assert order(seed) == order(seed) != order((seed + 1) % 2**31)
    assert order(seed) != names(40)


@FEW
@given(st.integers(0, 40), SOME_SEATS, SEEDS, st.booleans())
def test_arms_are_balanced_for_each_reader_in_each_block(
    count: int, there: dict[str, list[Seat]], seed: int, crossing: bool
) -> None:
    changes: dict[str, Any] = {} if crossing else {"crossover": None}
    study = reading(order={"kind": "blocks", "seed": seed, "block": 4}, **changes)
    firsts: dict[str, dict[int, list[str]]] = {}
    for one in allot(study, names(count), there):
        if one.period == 1:
            firsts.setdefault(one.reader, {}).setdefault(one.turn // 4, []).append(one.arm)
    for blocks in firsts.values():
        for block in blocks.values():
            counts = Counter(block)
            assert len(block) < 4 or counts["aided"] == counts["unaided"] == 2
            assert max(counts.values()) <= 2


@FEW
@given(SOME_CASES, SEEDS)
def test_crossover_gives_each_case_in_both_arms_in_two_periods(cases: list[str], seed: int) -> None:
    found: dict[tuple[str, str], list[Allotted]] = {}
    for one in allot(reading(order={"seed": seed, "block": 4}), cases, seats(3)):
        found.setdefault((one.case, one.reader), []).append(one)
    for both in found.values():
        assert sorted(one.arm for one in both) == ["aided", "unaided"]
        assert sorted(one.period for one in both) == [1, 2]


@FEW
@given(st.integers(20, 50), SEEDS)
def test_repeats_are_the_share_that_was_asked_for_and_another_reading(count: int, seed: int) -> None:
    study = reading(repeats={"pct": 10, "seed": seed, "after": 3})
    readings = allot(study, names(count), seats(2))
    for reader in READERS[:2]:
        mine = [one for one in readings if one.reader == reader]
        again = [one for one in mine if one.repeat]
        assert len(again) in {count // 10, -(-count // 10)}
        firsts = {(one.case, one.arm): one for one in mine if not one.repeat}
        for one in again:
            assert one.parts != firsts[one.case, one.arm].parts
            assert one.period == 3


@FEW
@given(st.integers(1, 6), SEEDS, REPEATS, st.lists(st.integers(0, 20), max_size=40))
def test_no_reader_gets_a_case_twice_within_the_washout(count: int, seed: int, repeats: Any, pauses: list[int]) -> None:
    study = reading(order={"seed": seed, "block": 4}, repeats=repeats)
    readings = allot(study, names(count), seats(2))
    submitted: dict[Allotted, datetime] = {}
    now = NOW
    for pause in [*pauses, 28, 28]:
        now += timedelta(days=pause, hours=1)
        waiting = due(readings, submitted, reading=study, now=now)
        for one in [one for one, at in waiting.items() if at is not None and at <= now and one not in submitted]:
            before = [at for other, at in submitted.items() if (other.case, other.reader) == (one.case, one.reader)]
            assert all(now - at >= timedelta(days=28) for at in before)
            submitted[one] = now
    assert {one for one in readings if not one.repeat} <= set(submitted), "and in the end all is read"


def test_repeat_waits_for_other_readings() -> None:
    study = reading(arms=["unaided"], crossover=None, repeats={"pct": 50, "seed": 3, "after": 2})
    readings = [one for one in allot(study, names(6), {"radiologist": [Seat("anna")]}) if one.reader == "anna"]
    again = next(one for one in readings if one.repeat)
    first = next(one for one in readings if one.case == again.case and not one.repeat)
    others = [one for one in readings if one.case != again.case and not one.repeat]
    submitted = {first: NOW}
    for count, other in enumerate(others[:2]):
        assert due(readings, submitted, reading=study, now=NOW)[again] is None, count
        submitted[other] = NOW + timedelta(minutes=count + 1)
    assert due(readings, submitted, reading=study, now=NOW)[again] == NOW


def test_sources_stand_apart_and_each_reader_gets_each() -> None:
    sources = ["model", "expert", "novice"]
    show = {"segments": [{"number": 1, "label": "a", "color": "#00ff00"}]}
    study = reading(
        page="segmentation", arms=["unaided"], crossover=None, sources=sources, show=show,
        order={"kind": "blocks", "seed": 5, "block": 4},
    )  # fmt: skip
    mine = [one for one in allot(study, names(9), seats(2)) if one.reader == "anna"]
    assert Counter(one.source for one in mine) == dict.fromkeys(sources, 9)
    assert all(one.case != other.case for one, other in pairwise(mine) if one.turn < 8)
    firsts = [next(one for one in mine if one.case == case).source for case in names(9)]
    assert Counter(firsts) == dict.fromkeys(sources, 3), "no source is seen first more often than another"


@FEW
@given(st.integers(1, 30), st.integers(0, 30), SEEDS)
def test_who_joins_later_starts_even_and_changes_nothing_of_before(count: int, joined: int, seed: int) -> None:
    cases = names(count)
    joined = min(joined, count)
    old = [Seat("anna"), Seat("ben")]
    before = deal(cases, old, per_case=1, seed=seed, name="g")
    after = deal(cases, [*old, Seat("cleo", first=joined)], per_case=1, seed=seed, name="g")
    assert after[:joined] == before[:joined]
    since = Counter({"anna": 0, "ben": 0, "cleo": 0})
    since.update(one.reader for one in after[joined:])
    assert max(since.values()) - min(since.values()) <= 2, "no catching up: what he missed stays the others'"


@FEW
@given(st.integers(4, 30), st.data(), SEEDS)
def test_what_a_leaver_did_not_read_goes_to_the_others(count: int, data: st.DataObject, seed: int) -> None:
    cases = names(count)
    left = data.draw(st.integers(0, count))
    group = [Seat("anna"), Seat("ben"), Seat("cleo")]
    before = deal(cases[:left], group, per_case=2, seed=seed, name="g")
    his = [one.case for one in before if one.reader == "cleo"]
    unread = tuple(his[len(his) // 2 :])
    group[2] = Seat("cleo", last=left, returned=unread)
    after = deal(cases, group, per_case=2, seed=seed, name="g")
    assert Counter(one.case for one in after) == dict.fromkeys(cases, 2)
    assert [one.case for one in after if one.reader == "cleo"] == his[: len(his) // 2]
    kept = [one for one in before if one.reader != "cleo"]
    assert [one for one in after if one in set(kept)] == kept


def test_readers_who_differ_are_found_once_all_have_read() -> None:
    study = reading(
        arms=["unaided"], crossover=None, adjudicate={"group": "senior", "differ": ["right_class", "left_class"]}
    )
    one, two, *rest = allot(study, ["E1", "E2"], seats(2))
    said = {"right_class": "fracture", "left_class": "none", "why": "x"}
    pair = sorted((a for a in (one, two, *rest) if a.case == "E1"), key=lambda a: a.reader)
    assert differing(study, {pair[0]: said, pair[1]: None}) == ()
    assert differing(study, {pair[0]: said, pair[1]: said | {"why": "y"}}) == ()
    assert differing(study, {pair[0]: said, pair[1]: said | {"left_class": "fracture"}}) == ("E1",)


def test_gate_and_adjudicator_have_one_reading_each() -> None:
    study = reading(
        gate={"group": "technologist", "form": "g.json", "pass": [{"answer": "relevant", "equals": "yes"}]},
        adjudicate={"group": "senior", "differ": ["a"]},
    )
    there = seats(2) | {"technologist": [Seat("tess")], "senior": [Seat("sara")]}
    found = allot(study, ["E2"], there, arrived=["E1", "E2"], disputed=["E2"])
    assert [(one.role, one.case) for one in found if one.role != "reader"] == [
        ("adjudicator", "E2"), ("gate", "E1"), ("gate", "E2"),
    ]  # fmt: skip
    assert {one.case for one in found if one.role == "reader"} == {"E2"}
