"""``#key#`` replacement and the values that stand on a command line, as the Container Service makes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ILLEGAL = (";", "&&", "||", "`", "(")
"""Texts that no input's value may hold (they would mean something to the shell)."""


def illegal_text(value: str) -> str | None:
    """Return the first forbidden text in `value`, or None."""
    return next((text for text in ILLEGAL if text in value), None)


def fill(template: str | None, values: Mapping[str, str]) -> str:
    """Return `template` with every key of `values` replaced, all in one pass: values are not replaced again."""
    if not template:
        return ""
    keys = sorted((key for key in values if key), key=len, reverse=True)
    if not keys:
        return template
    return re.sub("|".join(map(re.escape, keys)), lambda found: values[found[0]], template)


def command_line_value(given: Mapping[str, Any], value: str) -> str:
    """Return what stands on the command line for one value of a command input: flag, separator, value."""
    if not value.strip():
        return ""
    if given.get("type") == "select-many":
        several = _json_list(value)
        if several is not None:
            return command_line_values(given, several)
    flag = given.get("command-line-flag")
    if not flag:
        return value
    return f"{flag}{_separator(given)}{value}"


def command_line_values(given: Mapping[str, Any], values: Sequence[str]) -> str:
    """Return what stands on the command line for several values of a command input."""
    if not values:
        return ""
    flag = given.get("command-line-flag") or ""
    prefix = f"{flag}{_separator(given)}" if flag else ""
    match given.get("multiple-delimiter") or "quoted-space":
        case "space":
            return prefix + " ".join(values)
        case "comma":
            return prefix + ",".join(values)
        case "flag":
            return " ".join(prefix + value for value in values)
        case _:
            return f"{prefix}'{' '.join(values)}'"


def boolean_value(given: Mapping[str, Any], value: str) -> str:
    """Return what a boolean input stands for: its ``true-value`` or ``false-value`` where it has one."""
    replaced = given.get("true-value" if value.lower() == "true" else "false-value")
    return value if replaced is None else str(replaced)


def _separator(given: Mapping[str, Any]) -> str:
    separator = given.get("command-line-separator")
    return " " if separator is None else str(separator)


def _json_list(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return [str(item) for item in value] if isinstance(value, list) else None
