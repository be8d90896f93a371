"""A measure followed over time: change from a baseline, and whether it is progression.

Progression needs two things: growth that reaches the study's threshold, and growth beyond what two measurements of an
unchanged lesion differ by (the repeatability coefficient). Values of different models, or versions of one, are never
compared with each other.

The review page decides the same by the same rules (``xnat-plugins/core/web/src/study/progression.ts``); the vectors in
``tests/vectors/progression.json`` hold both to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from overread.study.manifest import Progression

Verdict = Literal[
    "unmeasured",
    "before",
    "baseline",
    "other-model",
    "new",
    "progression",
    "uncertain",
    "increase",
    "decrease",
    "stable",
]
"""What a value says.

``new``: something where nothing was. ``progression``: at or above the threshold and beyond noise. ``uncertain``: at or
above the threshold, but within noise. ``increase``, ``decrease``: beyond noise, below the threshold. ``stable``: within
noise. ``other-model``: there are earlier values, but of another model or version.
"""


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
    model
        Name and version of the model; for an edited value, of the model whose result was corrected.
    """

    date: dt.date
    volume_ml: float | None
    origin: Literal["ai", "edited"] = "ai"
    study_instance_uid: str = ""
    label: str = ""
    measured_at: dt.datetime | None = None
    model: str = ""


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
    noise_ml
        Change up to which it may be measurement noise; None where nothing is compared.
    verdict
        What it says.
    reason
        In words.
    """

    point: TimePoint
    baseline: TimePoint | None
    change_ml: float | None
    change_pct: float | None
    noise_ml: float | None
    verdict: Verdict
    reason: str

    @property
    def crossed(self) -> bool:
        """It counts as progression."""
        return self.verdict in {"progression", "new"}


def followed_model(points: Iterable[TimePoint]) -> str:
    """Return the model whose line is followed: that of the latest exam's value, the latest made where it has several.

    Edited values come into question only where no model has measured anything.
    """
    known = list(points)
    made = [p for p in known if p.origin == "ai" and p.volume_ml is not None] or known
    return max(made, key=lambda p: (p.date, *_weight(p))).model if made else ""


def one_per_exam(points: Iterable[TimePoint], model: str | None = None) -> tuple[TimePoint, ...]:
    """Return the value of each exam that counts, in order of date.

    A measured one goes before one that is not, one of `model` before any other, a reader's before the AI's, and the
    latest of several.
    """
    best: dict[str, TimePoint] = {}
    for point in points:
        key = point.study_instance_uid or f"{point.date.isoformat()}/{point.label}"
        if key not in best or _rank(point, model) > _rank(best[key], model):
            best[key] = point
    return tuple(sorted(best.values(), key=_order))


def follow(
    points: Sequence[TimePoint],
    progression: Progression,
    *,
    model: str | None = None,
    chosen_baseline: str | None = None,
) -> tuple[Change, ...]:
    """Compare each value with its baseline.

    Parameters
    ----------
    points
        One for each exam (see `one_per_exam`), in any order.
    progression
        The manifest's baseline, threshold and repeatability.
    model
        Whose values are compared; by default `followed_model`. Those of others are not.
    chosen_baseline
        Study Instance UID of an exam that a reader chose as baseline, such as the first one after surgery. Exams before
        it are then not compared with anything.

    Returns
    -------
    tuple of Change
        In order of date. An exam without a value is passed over when a baseline is looked for.

    Notes
    -----
    Growth from exactly zero has no percentage; it counts as new as soon as it is beyond noise.
    """
    followed = followed_model(points) if model is None else model
    chosen = next((p for p in points if p.study_instance_uid == chosen_baseline), None)
    changes: list[Change] = []
    before: list[TimePoint] = []
    for point in sorted(points, key=_order):
        if point.volume_ml is None:
            changes.append(_uncompared(point, "unmeasured"))
            continue
        if point.model != followed or (chosen is not None and chosen.model != followed):
            changes.append(_uncompared(point, "other-model"))
            continue
        candidates, kind = before, progression.baseline
        if chosen_baseline is not None:
            candidates, kind = [p for p in before if p.study_instance_uid == chosen_baseline], "first"
        if baseline := _baseline(candidates, kind):
            changes.append(_compare(point, baseline, progression))
        else:
            is_baseline = chosen_baseline in {None, point.study_instance_uid}
            changes.append(_uncompared(point, "baseline" if is_baseline else "before"))
        before.append(point)
    return tuple(changes)


def noise_ml(baseline_ml: float, progression: Progression) -> float:
    """Return by how much two measurements of an unchanged lesion of this size differ at most, in 95 of 100 cases."""
    known = progression.repeatability
    return max(known.floor_ml, known.pct / 100.0 * baseline_ml) if known else 0.0


def _baseline(before: Sequence[TimePoint], kind: str) -> TimePoint | None:
    if not before:
        return None
    if kind == "lowest":
        return min(before, key=lambda point: point.volume_ml or 0.0)
    return before[0] if kind == "first" else before[-1]


_UNCOMPARED: Final[Mapping[Verdict, str]] = {
    "unmeasured": "not measured",
    "other-model": "measured by another model or version: not compared",
    "baseline": "baseline",
    "before": "older than the baseline",
}


def _uncompared(point: TimePoint, verdict: Verdict) -> Change:
    return Change(point, None, None, None, None, verdict, _UNCOMPARED[verdict])


def _compare(point: TimePoint, baseline: TimePoint, progression: Progression) -> Change:
    if point.volume_ml is None or baseline.volume_ml is None:
        return _uncompared(point, "unmeasured")
    change_ml = point.volume_ml - baseline.volume_ml
    noise = noise_ml(baseline.volume_ml, progression)
    since = f"since {baseline.date.isoformat()}"
    if baseline.volume_ml == 0:
        verdict: Verdict = "stable" if change_ml <= 0 else "new" if change_ml > noise else "uncertain"
        reasons = {
            "stable": f"nothing, as {since}",
            "new": f"new {since}",
            "uncertain": f"new {since}, but within noise",
        }
        return Change(point, baseline, change_ml, None, noise, verdict, reasons[verdict])
    change_pct = 100.0 * change_ml / baseline.volume_ml
    verdict = _verdict(change_ml, change_pct, noise, progression.increase_pct)
    side = "at or above" if change_pct >= progression.increase_pct else "below"
    reason = f"{change_pct:+.1f} % {since}, {side} the threshold of {progression.increase_pct:g} %"
    if verdict == "uncertain":
        reason += f", but within noise ({noise:.2f} mL)"
    return Change(point, baseline, change_ml, change_pct, noise, verdict, reason)


def _verdict(change_ml: float, change_pct: float, noise: float, increase_pct: float) -> Verdict:
    if change_pct >= increase_pct:
        return "progression" if change_ml > noise else "uncertain"
    if change_ml > noise:
        return "increase"
    return "decrease" if change_ml < -noise else "stable"


def _weight(point: TimePoint) -> tuple[float, str]:
    return (point.measured_at.timestamp() if point.measured_at else 0.0, point.label)


def _rank(point: TimePoint, model: str | None) -> tuple[bool, bool, bool, float, str]:
    return (point.volume_ml is not None, point.model == model, point.origin == "edited", *_weight(point))


def _order(point: TimePoint) -> tuple[dt.date, str, str, str]:
    return (point.date, point.study_instance_uid, point.label, point.origin)
