"""Lint of anybody's ``command.json``, offline.

`lint_text` is for files and what a user pastes; `lint` for a command that has been read. The rules are in the modules
``rules_*``, taken from what the Container Service checks when a command is saved, what it does when one is launched,
and what engines refuse. It checks much of that itself, but only once the document is sent, or the patient is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from overread.commands import rules_parts, rules_run, rules_wrappers
from overread.commands.findings import CHECKS, SHAPE, Finding, Rule
from overread.commands.model import Command
from overread.errors import SpecError
from overread.study.problems import Location, line_of, words_of
from overread.study.yamltext import parse_json

__all__ = ["Finding", "lint", "lint_text", "rules"]

_MODULES = (rules_parts, rules_wrappers, rules_run)  # importing them registers their rules
_NO_IMAGE = "none:0"
_MAX_COMMANDS = 100


def rules() -> tuple[Rule, ...]:
    """Return all rules: those of the document's shape first, then in the order in which they are looked at."""
    return (*SHAPE.values(), *(found for found, _ in CHECKS.values()))


def lint(command: Command) -> tuple[Finding, ...]:
    """Find everything in a command that XNAT refuses, that can't work, or that works here and now only.

    Parameters
    ----------
    command
        A command whose single fields are right.

    Returns
    -------
    tuple of Finding
        Empty for a good command; without lines.
    """
    return tuple(
        Finding(found, location, message, mend)
        for found, check in CHECKS.values()
        if command.type == "docker" or found.special
        for location, message, mend in check(command)
    )


def lint_text(text: str, *, source: str = "command.json") -> tuple[Finding, ...]:
    """Lint a command document, or a list of them as it stands in an image's label.

    Parameters
    ----------
    text
        JSON of one command, or of a list.
    source
        File name for messages about JSON that can't be read.

    Returns
    -------
    tuple of Finding
        In order of their lines; a document whose shape is wrong in some places is looked at as far as it can be read.
    """
    try:
        document = parse_json(text, source=source)
    except SpecError as error:
        line = error.source.rpartition(":")[2]
        number = int(line) if line.isdecimal() else 0
        return (Finding(SHAPE["not-json"], (), error.message, "mend the JSON", number),)
    value = document.value
    found: Iterable[Finding]
    if isinstance(value, list):
        found = [
            replace(item, location=(index, *item.location))
            for index, one in enumerate(value[:_MAX_COMMANDS])
            for item in _lint_value(one)
        ]
    else:
        found = _lint_value(value)
    placed = [replace(item, line=line_of(item.location, document.lines)) for item in found]
    return tuple(sorted(placed, key=lambda item: (item.line, item.path, item.rule.id, item.message)))


def _lint_value(value: Any) -> Iterator[Finding]:
    """Lint one document. What its shape forbids is told, and taken out, so that the rest can be looked at."""
    if isinstance(value, Mapping) and not value.get("image"):
        yield Finding(SHAPE["image-missing"], ("image",), "is missing", "write name:tag")
        value = {**value, "image": _NO_IMAGE}
    try:
        command = Command.model_validate(value)
    except ValidationError as error:
        unknown: list[Location] = []
        others = False
        for location, kind, message, mend in words_of(error, model=Command):
            name = {"extra_forbidden": "unknown-key", "missing": "missing-key"}.get(kind, "wrong-value")
            yield Finding(SHAPE[name], location, message, mend)
            unknown += [location] if name == "unknown-key" else []
            others = others or name != "unknown-key"
        if others:
            return
        try:
            command = Command.model_validate(_without(value, unknown))
        except ValidationError:
            return
    yield from lint(command)


def _without(value: Any, locations: Iterable[Location]) -> Any:
    copy = json.loads(json.dumps(value))
    for *above, key in locations:
        here = copy
        for part in above:
            here = here[part]
        here.pop(key, None)
    return copy
