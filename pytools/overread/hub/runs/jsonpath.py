"""Values in carets: a text may hold a path to a value of its command or wrapper.

``^$.mounts[?(@.name=="in")].path^`` stands for something in the command, ``^wrapper:$.name^`` for something in its
wrapper. Understood are ``.name``, ``['name']``, ``[0]``, ``[*]``, ``.*``, ``..name`` and ``[?(condition)]`` with the
conditions of `overread.hub.runs.jsonfilter`. As in the Container Service, a text holds one such path, from the first
caret to the last; one that finds nothing stays as it is, one that finds several values is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from overread.errors import PermanentRunnerError
from overread.hub.runs.jsonfilter import MAX_LENGTH, Filter, FilterError

_CARETS = re.compile(r"\^(wrapper:)?(.+)\^", re.DOTALL)
_STEP = re.compile(
    r"""(?P<deep>\.\.)(?P<below>[A-Za-z_][\w-]*|\*)
    | \.(?P<name>[A-Za-z_][\w-]*|\*)
    | \[\s*(?P<index>\d{1,6}|\*)\s*\]
    | \[\s*'(?P<single>(?:\\.|[^'\\])*)'\s*\]
    | \[\s*"(?P<double>(?:\\.|[^"\\])*)"\s*\]
    | \[\s*\?\s*\((?P<condition>(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^'"])*?)\)\s*\]
    """,
    re.VERBOSE,
)
_MAX_FOUND = 10_000

Step = Callable[[Any], Iterator[Any]]


class JsonPathError(ValueError):
    """A path that can't be read; the message says why."""


def find(document: Any, path: str) -> list[Any]:
    """Return all that `path` (from ``$``) leads to.

    Raises
    ------
    JsonPathError
        It can't be read, or leads to too much.
    """
    found = [document]
    for step in _steps(path):
        found = [reached for value in found for reached in step(value)]
        if len(found) > _MAX_FOUND:
            raise JsonPathError(f"The path {path} leads to more than {_MAX_FOUND} values.")
    return found


class Carets:
    """Resolves the values in carets of one command and its wrapper."""

    def __init__(self, command: Mapping[str, Any], wrapper: Mapping[str, Any]) -> None:
        self._command, self._wrapper = command, wrapper

    def resolve(self, text: str) -> str:
        """Return `text` with its path replaced by the value that it leads to.

        Raises
        ------
        PermanentRunnerError
            It leads to several values.
        """
        marked = _CARETS.search(text)
        if marked is None:
            return text
        try:
            found = find(self._wrapper if marked[1] else self._command, marked[2].strip())
        except JsonPathError:
            return text  # a caret in a text that is no path, such as 10^3 and 10^4
        if not found or found[0] is None:
            return text
        if len(found) > 1:
            raise PermanentRunnerError(f"The path {marked[0]} leads to {len(found)} values; one is needed.")
        value = found[0] if isinstance(found[0], str) else json.dumps(found[0])
        return text.replace(marked[0], value)


def is_path(text: str) -> bool:
    """Whether a text holds a path in carets that can be read."""
    marked = _CARETS.search(text)
    if marked is None:
        return False
    try:
        _steps(marked[2].strip())
    except JsonPathError:
        return False
    return True


def _steps(path: str) -> list[Step]:
    if len(path) > MAX_LENGTH:
        raise JsonPathError(f"The path has {len(path)} characters, at most {MAX_LENGTH} are read.")
    if not path.startswith("$"):
        raise JsonPathError("A path begins with $.")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        matched = _STEP.match(path, at)
        if matched is None:
            raise JsonPathError(f"The path can't be read at character {at + 1}: {path[at : at + 20]!r}.")
        steps.append(_step(matched))
        at = matched.end()
    return steps


def _step(matched: re.Match[str]) -> Step:
    if matched["deep"]:
        name = matched["below"]
        return lambda value: (reached for part in _all(value) for reached in _member(part, name))
    if matched["condition"] is not None:
        try:
            wanted = Filter(matched["condition"])
        except FilterError as problem:
            raise JsonPathError(str(problem)) from problem
        return lambda value: (part for part in _parts(value) if wanted.matches(part))
    quoted = matched["single"] if matched["single"] is not None else matched["double"]
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted)
        return lambda value: iter([value[key]] if isinstance(value, dict) and key in value else [])
    if matched["index"] not in (None, "*"):
        place = int(matched["index"])
        return lambda value: iter(value[place : place + 1] if isinstance(value, list) else [])
    name = matched["name"] or "*"
    return lambda value: _member(value, name)


def _member(value: Any, name: str) -> Iterator[Any]:
    if name == "*":
        yield from _parts(value)
    elif isinstance(value, dict) and name in value:
        yield value[name]


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _all(value: Any) -> Iterator[Any]:
    """Yield a value and all below it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += reversed(list(_parts(part)))
