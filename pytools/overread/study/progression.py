"""A measure followed over time: change from a baseline, and whether it crosses the study's threshold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from overread.study.manifest import Progression


@dataclass(frozen=True)
class TimePoint:
    """One measured value of one exam.

    Parameters
    ----------
    date
        Study date.
    volume_ml
        The measure, in mL; None when the exam could not be measured.
    origin
        ``ai``, or ``edited`` by a reader.
    study_instance_uid
        The exam; values of one exam have it in common.
    label
        Label of the result, which makes the order of equal dates certain.
    measured_at
        When the value was made; of several edited values of one exam the latest counts.
    """

    date: dt.date
    volume_ml: float | None
    origin: Literal["ai", "edited"] = "ai"
    study_instance_uid: str = ""
    label: str = ""
    measured_at: dt.datetime | None = None


@dataclass(frozen=True)
class Change:
    """A time point compared with its baseline.

    Parameters
    ----------
    point, baseline
        ``baseline`` is None for the baseline itself and where there is none yet.
    change_ml
        Value minus baseline, in mL.
    change_pct
        The same in percent of the baseline; None where the baseline is zero.
    crossed
        At or above the threshold.
    reason
        In words.
    """

    point: TimePoint
    baseline: TimePoint | None
    change_ml: float | None
    change_pct: float | None
    crossed: bool
    reason: str


def one_per_exam(points: Iterable[TimePoint]) -> tuple[TimePoint, ...]:
    """Keep the value of each exam that counts: a reader's over the AI's, the latest of several, in order of date."""
    best: dict[str, TimePoint] = {}
    for point in points:
        key = point.study_instance_uid or f"{point.date.isoformat()}/{point.label}"
        if key not in best or _weight(point) > _weight(best[key]):
            best[key] = point
    return tuple(sorted(best.values(), key=_order))


def follow(points: Sequence[TimePoint], progression: Progression) -> tuple[Change, ...]:
    """Compare each value with its baseline.

    Parameters
    ----------
    points
        One for each exam (see `one_per_exam`), in any order.
    progression
        The manifest's baseline and threshold.

    Returns
    -------
    tuple of Change
        In order of date. An exam without a value is passed over when a baseline is looked for.

    Notes
    -----
    Growth from exactly zero has no percentage; it counts as crossed, since something is there that was not.
    """
    changes: list[Change] = []
    before: list[TimePoint] = []
    for point in sorted(points, key=_order):
        changes.append(_compare(point, _baseline(before, progression.baseline), progression.increase_pct))
        if point.volume_ml is not None:
            before.append(point)
    return tuple(changes)


def _baseline(before: Sequence[TimePoint], kind: str) -> TimePoint | None:
    if not before:
        return None
    if kind == "lowest":
        return min(before, key=lambda point: point.volume_ml or 0.0)
    return before[0] if kind == "first" else before[-1]


def _compare(point: TimePoint, baseline: TimePoint | None, increase_pct: float) -> Change:
    if point.volume_ml is None:
        return Change(point, baseline, None, None, crossed=False, reason="not measured")
    if baseline is None or baseline.volume_ml is None:
        return Change(point, None, None, None, crossed=False, reason="baseline")
    change_ml = point.volume_ml - baseline.volume_ml
    since = f"since {baseline.date.isoformat()}"
    if baseline.volume_ml == 0:
        crossed = change_ml > 0
        reason = f"new {since}" if crossed else f"nothing, as {since}"
        return Change(point, baseline, change_ml, None, crossed=crossed, reason=reason)
    change_pct = 100.0 * change_ml / baseline.volume_ml
    crossed = change_pct >= increase_pct
    side = "at or above" if crossed else "below"
    return Change(
        point, baseline, change_ml, change_pct, crossed=crossed,
        reason=f"{change_pct:+.1f} % {since}, {side} the threshold of {increase_pct:g} %",
    )  # fmt: skip


def _weight(point: TimePoint) -> tuple[bool, bool, float, str]:
    made = point.measured_at.timestamp() if point.measured_at else 0.0
    return (point.volume_ml is not None, point.origin == "edited", made, point.label)


def _order(point: TimePoint) -> tuple[dt.date, str, str, str]:
    return (point.date, point.study_instance_uid, point.label, point.origin)
