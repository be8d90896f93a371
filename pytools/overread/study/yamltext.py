"""YAML and JSON that a stranger may have written, read with the line of each value.

Stricter than YAML: no anchors, no tags, no doubled keys, no more than 256 kB and 20 levels. Each of these is either an
attack or a slip, and none is needed in a file of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import yaml

from overread.errors import SpecError
from overread.study.problems import Location, dotted

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


@dataclass(frozen=True)
class Document:
    """A parsed file.

    Parameters
    ----------
    value
        Dicts with text keys, lists, text, numbers, booleans, None.
    lines
        Line (from 1) of each location; the empty location is the file.
    """

    value: object
    lines: Mapping[Location, int]


def parse_yaml(text: str, *, source: str) -> Document:
    """Parse YAML or JSON text.

    Parameters
    ----------
    text
        The file's contents.
    source
        File name for error messages.

    Returns
    -------
    Document
        Dates stay text: a manifest says everything it means by itself.

    Raises
    ------
    SpecError
        Not YAML, or YAML of the kinds that are refused.
    """
    _refuse_size(text, source)
    try:
        # The C loader is not used: its marks are the same, but it is not built on every machine.
        _refuse_tricks(text, source)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        raise SpecError(
            f"is not YAML: {error.problem or error.context}; check indentation and quotes", source=where
        ) from None
    except yaml.YAMLError as error:
        raise SpecError(f"is not YAML: {str(error).splitlines()[0]}", source=source) from None
    if node is None:
        raise SpecError("is empty; start from the example in the documentation", source=source)
    lines: dict[Location, int] = {}
    return Document(value=_value(node, (), source, lines), lines=lines)


def parse_json(text: str, *, source: str) -> Document:
    """Parse JSON text, with the same limits.

    Returns
    -------
    Document
        With the line of each value where the text can also be read as YAML, which knows lines; else without lines.

    Raises
    ------
    SpecError
        Not JSON, a key stands twice, or it is too large or too deep.
    """
    _refuse_size(text, source)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        block: dict[str, object] = {}
        for key, item in items:
            if key in block:
                raise SpecError(f"the key '{key}' stands twice in one block; keep one", source=source)
            block[key] = item
        return block

    def refuse(word: str) -> object:
        raise SpecError(f"{word} is no JSON; leave the value out", source=source)

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"is not JSON: {error.msg}; check commas and quotes", source=f"{source}:{error.lineno}"
        ) from None
    except (RecursionError, ValueError) as error:  # too deep, or a number of thousands of digits
        raise SpecError(f"is not JSON that can be read: {error}", source=source) from None
    return Document(value, _LinesOfJson(text, source))


class _LinesOfJson(Mapping[Location, int]):
    """Lines of JSON, found when the first is asked for: only a complaint needs them."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source

    @cached_property
    def _lines(self) -> Mapping[Location, int]:
        try:
            # A tab can only stand between the values of JSON, and YAML has none there.
            return parse_yaml(self._text.replace("\t", " "), source=self._source).lines
        except SpecError:
            return {}

    def __getitem__(self, location: Location) -> int:
        return self._lines[location]

    def __iter__(self) -> Iterator[Location]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _refuse_size(text: str, source: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024} kB"
        raise SpecError(f"is larger than {limit}; split it, or check that it is the right file", source=source)


def _refuse_tricks(text: str, source: str) -> None:
    """Look at the tokens alone, which costs the same for every text, before anything is built from them."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        where = f"{source}:{token.start_mark.line + 1}"
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
            raise SpecError(
                "anchors (&), aliases (*) and tags (!) are not read; write the value out, or quote it", source=where
            )
        if isinstance(token, _OPENING):
            depth += 1
        elif isinstance(token, _CLOSING):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SpecError("is nested too deeply", source=where)


def _value(node: yaml.Node, location: Location, source: str, lines: dict[Location, int]) -> object:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, source, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*location, index), source, lines) for index, item in enumerate(node.value)]
    return _scalar(node, location, source)


def _mapping(node: yaml.MappingNode, location: Location, source: str, lines: dict[Location, int]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise SpecError("a key must be a word", source=f"{source}:{line}", path=dotted(location))
        key = str(key_node.value)
        if key in result:
            raise SpecError(
                f"the key '{key}' stands here twice; keep one", source=f"{source}:{line}", path=dotted((*location, key))
            )
        lines[(*location, key)] = line
        result[key] = _value(value_node, (*location, key), source, lines)
    return result


def _scalar(node: yaml.Node, location: Location, source: str) -> object:
    if node.tag not in _PLAIN_TAGS:  # a date, or "<<" and "=": text for us
        return str(node.value)
    try:
        value: object = yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except ValueError as error:  # a number of thousands of digits
        line = node.start_mark.line + 1
        raise SpecError(f"is no number: {error}", source=f"{source}:{line}", path=dotted(location)) from None
    return value
