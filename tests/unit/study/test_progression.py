from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.study.lesions import Found, match
from overread.study.manifest import Progression
from overread.study.progression import TimePoint, follow, followed_model, one_per_exam

VECTORS = Path(__file__).parents[2] / "vectors"


def vectors(name: str) -> list[Any]:
    """Return the cases that the review page's TypeScript must decide alike, as pytest parameters."""
    cases = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", vectors("progression"))
def test_progression_is_as_the_vectors_say(case: dict[str, Any]) -> None:
    progression = Progression.model_validate({"measure": "lesion_volume_ml", **case["rule"]})
    known = [
        TimePoint(dt.date.fromisoformat(date), volume, origin, exam, f"{exam}-{n}", model=model)
        for n, (exam, date, volume, origin, model) in enumerate(case["points"])
    ]
    assert followed_model(known) == case["model"]
    changes = follow(
        one_per_exam(known, case["model"]), progression, chosen_baseline=case.get("chosen"), model=case["model"]
    )
    said = [
        [c.point.study_instance_uid, c.baseline and c.baseline.study_instance_uid, c.verdict, c.change_pct]
        for c in changes
    ]
    assert [row[:3] for row in said] == [row[:3] for row in case["expected"]]
    for (*_, found), (*_, expected) in zip(said, case["expected"], strict=True):
        assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("case", vectors("lesions"))
def test_lesions_are_matched_as_the_vectors_say(case: dict[str, Any]) -> None:
    exams = [[Found(v, (x, y, z), uid) for v, x, y, z, uid in lesions] for lesions in case["exams"]]
    assert [list(numbers) for numbers in match(exams)] == case["expected"]


def points(*volumes_ml: float | None) -> list[TimePoint]:
    start = dt.date(2024, 1, 1)
    return [
        TimePoint(start + dt.timedelta(days=90 * i), v, study_instance_uid=f"1.{i}") for i, v in enumerate(volumes_ml)
    ]


def rule(baseline: str = "first", increase_pct: float = 40) -> Progression:
    return Progression.model_validate(
        {"measure": "lesion_volume_ml", "baseline": baseline, "increase_pct": increase_pct}
    )


def test_growth_from_the_first_exam() -> None:
    changes = follow(points(10, 12, 14, 13.9), rule())
    assert [c.change_ml for c in changes] == [None, 2, 4, pytest.approx(3.9)]
    assert [c.change_pct for c in changes] == [None, pytest.approx(20), pytest.approx(40), pytest.approx(39)]
    assert [c.crossed for c in changes] == [False, False, True, False]
    assert changes[2].reason == "+40.0 % since 2024-01-01, at or above the threshold of 40 %"


@pytest.mark.parametrize(
    ("baseline", "crossed"), [("first", [0, 0, 0, 0]), ("lowest", [0, 0, 1, 1]), ("previous", [0, 0, 1, 0])]
)
def test_baseline_decides(baseline: str, crossed: list[int]) -> None:
    assert [int(c.crossed) for c in follow(points(10, 5, 8, 9), rule(baseline))] == crossed


def test_unmeasured_exam_is_passed_over() -> None:
    changes = follow(points(None, 10, None, 20), rule())
    assert [c.reason for c in changes][:3] == ["not measured", "baseline", "not measured"]
    assert changes[3].baseline == changes[1].point
    assert changes[3].crossed


def test_growth_from_nothing_is_new_and_has_no_percentage() -> None:
    new, still_none = follow(points(0, 3), rule())[1], follow(points(0, 0), rule())[1]
    assert (new.change_pct, new.crossed, new.reason) == (None, True, "new since 2024-01-01")
    assert (still_none.change_pct, still_none.crossed) == (None, False)


def test_reader_counts_over_ai_and_the_latest_reader_over_the_earlier() -> None:
    day = dt.date(2024, 5, 1)
    ai = TimePoint(day, 10, "ai", "1.2", "BT-1", dt.datetime(2024, 5, 3, tzinfo=dt.UTC))
    first = TimePoint(day, 11, "edited", "1.2", "BT-EDIT-1", dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
    second = TimePoint(day, 12, "edited", "1.2", "BT-EDIT-2", dt.datetime(2024, 5, 2, tzinfo=dt.UTC))
    failed = TimePoint(day, None, "edited", "1.2", "BT-EDIT-3", dt.datetime(2024, 5, 4, tzinfo=dt.UTC))
    assert one_per_exam([second, ai, failed, first]) == (second,)


volumes = st.lists(st.one_of(st.none(), st.floats(0, 500)), max_size=8)
rules = st.builds(rule, st.sampled_from(["first", "lowest", "previous"]), st.floats(0.1, 200))


@given(volumes, rules, st.randoms(use_true_random=False))
def test_order_of_points_makes_no_difference(
    volumes_ml: list[float | None], progression: Progression, chance: random.Random
) -> None:
    shuffled = points(*volumes_ml)
    chance.shuffle(shuffled)
    assert follow(shuffled, progression) == follow(points(*volumes_ml), progression)


@given(st.lists(st.floats(0.01, 500), max_size=8), rules, st.floats(0.5, 8))
def test_percentages_do_not_depend_on_the_unit(
    volumes_ml: list[float], progression: Progression, factor: float
) -> None:
    plain = follow(points(*volumes_ml), progression)
    scaled = follow(points(*[v * factor for v in volumes_ml]), progression)
    for a, b in zip(plain, scaled, strict=True):
        assert (a.change_pct or 0) == pytest.approx(b.change_pct or 0, rel=1e-6, abs=1e-6)
        assert (a.change_pct is None) is (b.change_pct is None)


@given(volumes, rules)
def test_a_higher_threshold_never_crosses_more(volumes_ml: list[float | None], progression: Progression) -> None:
    stricter = progression.model_copy(update={"increase_pct": progression.increase_pct + 10})
    for loose, strict in zip(
        follow(points(*volumes_ml), progression), follow(points(*volumes_ml), stricter), strict=True
    ):
        assert loose.crossed or not strict.crossed
