"""Receivers' routing expressions: ``(gggg,eeee):REGEX[:GROUP] [t:PATTERN r:REPLACEMENT]``.

One a line; the first that gives something counts. The regular expression must match the whole first value of the
attribute; the group's text (the first group's, unless a number says otherwise) is taken, and ``t:``/``r:`` replace
every hit of a pattern in it. Java's ``$1`` in replacements is understood (xnat-rest: DicomSCPInstance).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from overread.hub.arrival.objects import json_value
from overread.hub.errors import bad_request

_EXPRESSION: Final = re.compile(
    r"\((?P<tag>[0-9A-Fa-f]{4},[0-9A-Fa-f]{4})\):(?P<regex>.+?)(?::(?P<group>\d{1,2}))?"
    r"(?:\s+t:(?P<target>.+?)\s+r:(?P<replacement>.*))?"
)
_JAVA_GROUP: Final = re.compile(r"\$(\d)|\\(.)")
_MAX_VALUE: Final = 1024
"""Longer values are cut: an expression that an administrator wrote carelessly must not run for ever."""


@dataclass(frozen=True)
class RoutingExpression:
    """One line of a receiver's routing expressions.

    Parameters
    ----------
    tag
        Attribute that is looked at.
    pattern
        Must match its whole value.
    group
        Which group's text is taken; 0 is all.
    target, replacement
        What is replaced in it, and by what (in Python's notation); None replaces nothing.
    """

    tag: int
    pattern: re.Pattern[str]
    group: int
    target: re.Pattern[str] | None = None
    replacement: str = ""

    def extract(self, dataset: Dataset) -> str:
        """Return what the expression makes of an object, "" if it does not match."""
        value = value_of(dataset, self.tag)
        found = self.pattern.fullmatch(value) if value else None
        taken = (found.group(self.group) or "") if found else ""
        if taken and self.target is not None:
            taken = self.target.sub(self.replacement, taken)
        return taken.strip()


def value_of(dataset: Dataset, tag: int) -> str:
    """Return the first value of an attribute as text, "" if it is absent or unreadable."""
    keyword = keyword_for_tag(tag)
    if not keyword:  # private, or of a newer edition
        element = dataset.get_item(tag)
        raw = getattr(element, "value", None)
        return raw.decode("ascii", "replace").strip(" \0")[:_MAX_VALUE] if isinstance(raw, bytes) else ""
    value = json_value(dataset, keyword)
    first = value[0] if isinstance(value, list) else value
    return "" if first is None else str(first).strip(" \0")[:_MAX_VALUE]


def parse_expressions(lines: str | None) -> tuple[RoutingExpression, ...]:
    """Read routing expressions, one a line; empty lines and lines that begin with ``#`` say nothing.

    Raises
    ------
    HubError
        400, with the line and what is wrong with it.
    """
    stripped = (line.strip() for line in (lines or "").splitlines())
    return tuple(_parse(line) for line in stripped if line and not line.startswith("#"))


def first_match(expressions: Sequence[RoutingExpression], dataset: Dataset) -> str:
    """Return what the first expression that matches makes of an object, "" if none does."""
    return next((value for expression in expressions if (value := expression.extract(dataset))), "")


def _parse(line: str) -> RoutingExpression:
    parts = _EXPRESSION.fullmatch(line)
    if parts is None:
        raise bad_request(
            f"Routing expression {line!r} can't be read: write (gggg,eeee):REGEX[:GROUP] [t:PATTERN r:REPLACEMENT]."
        )
    try:
        pattern = re.compile(parts["regex"])
        target = re.compile(parts["target"]) if parts["target"] else None
        replacement = _JAVA_GROUP.sub(_python_group, parts["replacement"] or "")
        if target is not None:
            target.sub(replacement, "")  # names of groups that there are not are found here, not when an exam comes
    except re.error as problem:
        raise bad_request(f"Routing expression {line!r}: {problem}.") from problem
    group = int(parts["group"]) if parts["group"] else min(1, pattern.groups)
    if group > pattern.groups:
        raise bad_request(f"Routing expression {line!r} has {pattern.groups} groups, but asks for group {group}.")
    tag = int(parts["tag"].replace(",", ""), 16)
    return RoutingExpression(tag, pattern, group, target, replacement)


def _python_group(found: re.Match[str]) -> str:
    return f"\\g<{found[1]}>" if found[1] else found[2].replace("\\", r"\\")
