"""Conditions on DICOM attributes, each decided with its reason in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overread.study.keywords import IDENTIFYING
from overread.study.manifest import Condition, StudyManifest
from overread.study.patterns import find

Header = Mapping[str, Any]
_MAX_SHOWN = 64


@dataclass(frozen=True)
class Decision:
    """Yes or no, and why.

    Parameters
    ----------
    ok
        The answer.
    reason
        Words for a log and for a clinician; they hold no value that could identify a patient.
    """

    ok: bool
    reason: str


def evaluate(condition: Condition, header: Header) -> Decision:
    """Hold one condition against the attributes of a series.

    Parameters
    ----------
    condition
        ``in``, ``equals``: the value, or one of several values, is the given one; text is compared without blanks at
        its ends and with its case; a number of the manifest is compared as a number.
        ``matches``: the expression is found in the value, or in one of several.
        ``at_least``, ``at_most``: each value is a number and within the bound.
        ``exists``: the attribute has a value (``true``) or has none (``false``).
        Except for ``exists: false``, an attribute without a value fulfils nothing.
    header
        DICOM keyword -> value: text, number, or a sequence of these (PS3.5 6.4); None and empty mean no value.

    Returns
    -------
    Decision
        Never raises on a strange header: what can't be compared does not hold.
    """
    values = values_of(header.get(condition.tag))
    operator, operand = condition.operator, condition.operand
    if operator == "exists":
        has = bool(values)
        return Decision(has is operand, f"{condition.tag} has {'a' if has else 'no'} value")
    if not values:
        return Decision(ok=False, reason=f"{condition.tag} has no value")
    if operator in {"at_least", "at_most"}:
        numbers = [_number(v) for v in values]
        ok = all(n is not None and (n >= operand if operator == "at_least" else n <= operand) for n in numbers)
    elif operator == "matches":
        ok = any(find(operand, _text(v)) for v in values)
    else:
        wanted = operand if operator == "in" else (operand,)
        ok = any(_same(v, w) for v in values for w in wanted)
    return Decision(ok, _reason(condition, values, ok=ok))


def evaluate_all(conditions: Iterable[Condition], header: Header) -> Decision:
    """Hold several conditions against one header; all must hold.

    Returns
    -------
    Decision
        With the reasons of all when they hold, with the first failure when not. No conditions hold always.
    """
    reasons = []
    for condition in conditions:
        decision = evaluate(condition, header)
        if not decision.ok:
            return decision
        reasons.append(decision.reason)
    return Decision(ok=True, reason=", ".join(reasons) or "nothing is demanded")


def accepts(conditions: Sequence[Condition], headers: Iterable[Header]) -> Decision:
    """Decide whether an exam is one of the study's (``arrival.accept``).

    Parameters
    ----------
    conditions
        One and the same series must fulfil all of them.
    headers
        One header of each series of the exam.
    """
    failed: list[str] = []
    for header in headers:
        decision = evaluate_all(conditions, header)
        if decision.ok:
            return decision
        if decision.reason not in failed:
            failed.append(decision.reason)
    return Decision(ok=False, reason="; ".join(sorted(failed)) or "the exam has no series")


def needed_keywords(manifest: StudyManifest) -> frozenset[str]:
    """DICOM keywords that the arrival rules of a study look at, those of `overread.study.selection` not among them."""
    rules = [c for rule in manifest.arrival.series.values() for c in rule.where]
    return frozenset(condition.tag for condition in (*manifest.arrival.accept, *rules))


def values_of(value: object) -> tuple[Any, ...]:
    """Take a DICOM value apart into its values (PS3.5 6.4); empty ones are left out."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        items: Iterable[object] = (value,)
    else:
        items = value
    return tuple(item for item in items if item is not None and _text(item) != "")


def _text(value: object) -> str:
    """Text of a value without padding (PS3.5 6.2: trailing blank or NUL, leading blanks are not significant)."""
    return str(value).strip(" \0")


def _number(value: object) -> float | None:
    try:
        number = float(_text(value))
    except ValueError:
        return None
    return number if number == number else None  # noqa: PLR0124 - NaN is no number


def _same(value: object, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return _text(value) == wanted.strip()
    number = _number(value)
    return number is not None and number == wanted


def _reason(condition: Condition, values: Sequence[object], *, ok: bool) -> str:
    shown = "" if condition.tag in IDENTIFYING else f" {_shown(values)}"
    operand = condition.operand
    words = {
        "in": ("is one of", "is not one of"),
        "equals": ("is", "is not"),
        "matches": ("matches", "does not match"),
        "at_least": ("is at least", "is below"),
        "at_most": ("is at most", "is above"),
    }[condition.operator][0 if ok else 1]
    goal = ", ".join(map(str, operand)) if isinstance(operand, tuple) else str(operand)
    return f"{condition.tag}{shown} {words} {goal}"


def _shown(values: Sequence[object]) -> str:
    """Values between quotes, one line, printable, short: they come from a stranger and go to a log."""
    text = "\\".join(_text(v) for v in values)
    clean = "".join(c if c.isprintable() else "?" for c in text[:_MAX_SHOWN])
    return f"'{clean}{'...' if len(text) > _MAX_SHOWN else ''}'"
