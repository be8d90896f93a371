"""What the conditions of `overread.hub.runs.jsonfilter` look at and compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from overread.study import patterns

MISSING = object()
"""Stands for a key that is not there."""


@dataclass(frozen=True)
class Regex:
    """An expression, known to be harmless."""

    pattern: re.Pattern[str]


def follow(item: Any, steps: list[str | int | None]) -> Any:
    """Return what lies at the end of a path: a list if the path has a ``*``, else one value or `MISSING`."""
    found = [item]
    for step in steps:
        found = [reached for value in found for reached in _step(value, step)]
    if None in steps:
        return found
    return found[0] if found else MISSING


def _step(value: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return list(value.values()) if isinstance(value, Mapping) else list(value) if _is_list(value) else []
    if isinstance(step, str):
        return [value[step]] if isinstance(value, Mapping) and step in value else []
    return [value[step]] if _is_list(value) and step < len(value) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _equal(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING or isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(left: Any, right: Any) -> bool:
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (left, right))
        texts = isinstance(left, str) and isinstance(right, str)
        return (numbers or texts) and compare(left, right)

    return test


def _among(left: Any, right: Any) -> bool:
    return _is_list(right) and any(_equal(left, value) for value in right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _among(right, left)


def _any_of(left: Any, right: Any) -> bool:
    return _is_list(left) and any(_among(value, right) for value in left)


def _subset(left: Any, right: Any) -> bool:
    return _is_list(left) and all(_among(value, right) for value in left)


def _sized(left: Any, right: Any) -> bool:
    return (_is_list(left) or isinstance(left, str)) and _equal(len(left), right)


def _empty(left: Any, right: Any) -> bool:
    return (_is_list(left) or isinstance(left, str)) and (len(left) == 0) is right


def _like(left: Any, right: Any) -> bool:
    if not isinstance(right, Regex) or not isinstance(left, str):
        return False
    return right.pattern.fullmatch(left[: patterns.MAX_TEXT]) is not None


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "=~": _like,
    "in": _among,
    "nin": lambda left, right: not _among(left, right),
    "contains": _contains,
    "anyof": _any_of,
    "noneof": lambda left, right: not _any_of(left, right),
    "subsetof": _subset,
    "size": _sized,
    "empty": _empty,
}
"""Each takes the left and the right value."""
