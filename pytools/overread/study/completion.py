"""When an arriving exam is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from overread.study.manifest import Complete, SeriesRule
from overread.study.selection import SeriesSummary, choose_series


@dataclass(frozen=True)
class Completion:
    """What to do with an exam now.

    Parameters
    ----------
    state
        ``wait``: ask again; ``whole``: all that is needed is there; ``gave-up``: it is not, but the patience is over.
    reason
        Why.
    wait_s
        With ``wait``: seconds after which to ask again if nothing arrives before. Else None.
    """

    state: Literal["wait", "whole", "gave-up"]
    reason: str
    wait_s: float | None = None


def decide(
    complete: Complete,
    rules: Mapping[str, SeriesRule],
    series: Sequence[SeriesSummary],
    *,
    now: float,
    first_object_at: float,
    last_object_at: float,
) -> Completion:
    """Decide whether an exam is archived now.

    Parameters
    ----------
    complete
        The manifest's ``arrival.complete``.
    rules
        The manifest's ``arrival.series``.
    series
        What has arrived so far.
    now, first_object_at, last_object_at
        Seconds on one clock. A clock that was set back counts as no time passed.

    Returns
    -------
    Completion
        The give-up time ends the waiting even while objects still arrive; those that come later are late images.
    """
    choices = choose_series({role: rules[role] for role in complete.needs}, series)
    missing = [choice for choice in choices.values() if choice.series_instance_uid is None]
    quiet_for = max(0.0, now - last_object_at)
    patience = complete.give_up_s - max(0.0, now - first_object_at)
    if missing:
        why = "; ".join(f"{choice.role}: {choice.reason}" for choice in missing)
        if patience <= 0:
            return Completion("gave-up", f"after {complete.give_up_s:g} s still missing {why}")
        return Completion("wait", f"missing {why}", patience)
    roles = ", ".join(complete.needs)
    if quiet_for >= complete.quiet_s:
        return Completion("whole", f"{roles} there, nothing arrived for {complete.quiet_s:g} s")
    if patience <= 0:
        return Completion("whole", f"{roles} there, more still arrived after {complete.give_up_s:g} s")
    return Completion("wait", f"{roles} there, still arriving", min(complete.quiet_s - quiet_for, patience))
