"""Chooses the input series by the study's rules, the same that decide whether an exam is whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from overread.errors import DataError
from overread.operators.load import Folder, FoundSeries
from overread.study.manifest import SeriesRule
from overread.study.selection import choose_series


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which series plays which role.

    Parameters
    ----------
    inputs
        Series by role that could play it, the chosen one first.
    reasons
        Why, by role, in words; for a role that nothing can play, why not.
    optional
        Roles that need not be played.
    """

    inputs: Mapping[str, tuple[FoundSeries, ...]]
    reasons: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def missing(self) -> str:
        """Why the image does not apply to this exam, in words; empty if every role is played that must be."""
        return "; ".join(
            f"{role}: {text}"
            for role, text in self.reasons.items()
            if role not in self.inputs and role not in self.optional
        )


def select_inputs(folder: Folder, rules: Mapping[str, SeriesRule], *, optional: Collection[str] = ()) -> Selection:
    """Choose the series of each role.

    Parameters
    ----------
    folder
        One exam.
    rules
        Rule by role.
    optional
        Roles that need not be played.

    Raises
    ------
    DataError
        If the folder holds several studies: nobody could say of which the result is.
    """
    studies = {series.study_instance_uid for series in folder.series}
    if len(studies) > 1:
        raise DataError(f"The input holds {len(studies)} studies: give a folder with one exam.", tag="StudyInstanceUID")
    by_uid = {series.summary.series_instance_uid: series for series in folder.series}
    choices = choose_series(rules, [series.summary for series in folder.series])
    return Selection(
        inputs={role: tuple(by_uid[uid] for uid in c.candidates) for role, c in choices.items() if c.candidates},
        reasons={role: choice.reason for role, choice in choices.items()},
        optional=frozenset(optional),
    )


def keywords_of(rules: Mapping[str, SeriesRule]) -> frozenset[str]:
    """Return the DICOM keywords that rules look at."""
    return frozenset(condition.tag for rule in rules.values() for condition in rule.where)
