"""What a run waits for, and who goes first: priority, slot and wall-clock limit, as commands and launches say them.

A command says its priority and limit in ``container-labels``, which XNAT's Container Service passes on unread; a launch
(or a subscription's attributes) may say others as the values ``overread-priority`` and ``overread-time-limit-s``, and
as ``overread-attempts`` how often it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from overread.hub.errors import bad_request

PRIORITIES = {"low": 0, "normal": 1, "high": 2, "urgent": 3}
"""By name: the higher number goes first."""

PRIORITY_LABEL, LIMIT_LABEL = "overread.priority", "overread.time-limit-s"
PRIORITY_VALUE, LIMIT_VALUE, ATTEMPTS_VALUE = "overread-priority", "overread-time-limit-s", "overread-attempts"

MOST_ATTEMPTS = 20

CPU, GPU = "cpu", "gpu"

_NORMAL = "normal"


def priority_of(command: Mapping[str, Any], values: Mapping[str, str]) -> int:
    """Return the priority of a launch: what it says itself, else its command's, else normal.

    Raises
    ------
    HubError
        400: it says something else than the known words.
    """
    word = values.get(PRIORITY_VALUE) or (command.get("container-labels") or {}).get(PRIORITY_LABEL) or _NORMAL
    if word not in PRIORITIES:
        raise bad_request(f"{PRIORITY_VALUE} is one of {', '.join(PRIORITIES)}, not {str(word)[:40]!r}.")
    return PRIORITIES[word]


def word_of(priority: int) -> str:
    """Return the name of a priority."""
    return next((word for word, number in PRIORITIES.items() if number == priority), _NORMAL)


def slot_of(command: Mapping[str, Any]) -> str:
    """Return the kind of slot that a command needs: ``gpu`` when it asks for one in any of the ways it can."""
    named = any("gpu" in str(name).lower() for name in command.get("generic-resources") or {})
    return GPU if named or str(command.get("gpus") or "").strip() or command.get("runtime") == "nvidia" else CPU


def check_values(values: Mapping[str, str]) -> None:
    """Refuse a launch (400) whose limit or number of attempts is none."""
    for name in (LIMIT_VALUE, ATTEMPTS_VALUE):
        if name in values and not is_limit(values[name]):
            raise bad_request(f"{name} is a whole number above 0, not {values[name][:40]!r}.")


def attempts_of(values: Mapping[str, str], *, usual: int) -> int:
    """Return how often a run is tried in all: as its launch says, else as the site does."""
    told = values.get(ATTEMPTS_VALUE, "")
    return min(int(told), MOST_ATTEMPTS) if is_limit(told) else usual


def limit_of(resolved: Mapping[str, Any], *, at_most_s: float) -> float:
    """Return the wall-clock limit of a run, seconds: its launch's, else its command's, never more than the site's."""
    given = (
        row["value"] for row in resolved.get("inputs") or () if row["type"] == "raw" and row["name"] == LIMIT_VALUE
    )
    told = next(given, None) or (resolved.get("container-labels") or {}).get(LIMIT_LABEL)
    return min(at_most_s, float(told)) if told and is_limit(str(told)) else at_most_s


def is_limit(text: str) -> bool:
    """Whether a text is a limit in whole seconds."""
    return text.isascii() and text.isdecimal() and int(text[:10]) > 0 and len(text) <= 9  # noqa: PLR2004 - 30 years


def label_problems(command: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with these labels of a command."""
    labels = command.get("container-labels") or {}
    if labels.get(PRIORITY_LABEL) not in (None, *PRIORITIES):
        yield f'container-labels: "{PRIORITY_LABEL}" is one of {", ".join(PRIORITIES)}.'
    limit = labels.get(LIMIT_LABEL)
    if limit is not None and not is_limit(str(limit)):
        yield f'container-labels: "{LIMIT_LABEL}" is a whole number of seconds.'
