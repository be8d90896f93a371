"""Which records a QIDO-RS query matches (PS3.4 C.2.2.2, PS3.18 8.3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_dict

from overread.hub.areas.dicomweb.metadata import Json
from overread.hub.errors import bad_request

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_NO_ATTRIBUTES: Final = frozenset(
    {"limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching", "accept", "format", "XNAT_CSRF"}
)
_RANGES: Final = frozenset({"DA", "DT", "TM"})
MAX_LIMIT: Final = 10_000


@dataclass(frozen=True)
class Query:
    """A QIDO-RS query.

    Parameters
    ----------
    filters
        Tag (eight hex digits) and the text that its value must match; an empty text matches everything.
    include
        Tags that are to be told as well.
    include_all
        Whether all attributes are to be told.
    limit, offset
        How many records are told, after how many.
    """

    filters: tuple[tuple[str, str], ...]
    include: frozenset[str]
    include_all: bool
    limit: int
    offset: int


def parse_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read the parameters of a query.

    Raises
    ------
    HubError
        400: a parameter is unknown, or no number where one must be.
    """
    filters: list[tuple[str, str]] = []
    include: set[str] = set()
    include_all = False
    numbers = {"limit": MAX_LIMIT, "offset": 0}
    for name, value in pairs:
        if name == "includefield":
            fields = [field.strip() for field in value.split(",") if field.strip()]
            include_all |= "all" in fields
            include.update(tag for field in fields if (tag := tag_of(field)) is not None)
        elif name in numbers:
            if not value.isdecimal():
                raise bad_request(f"{name} must be a number, not {value!r}.")
            numbers[name] = int(value)
        elif name not in _NO_ATTRIBUTES:
            tag = tag_of(name)
            if tag is None:
                raise bad_request(f"{name!r} is no attribute that can be asked for: use a keyword or a tag.")
            filters.append((tag, value.strip()))
    limit = min(numbers["limit"], MAX_LIMIT)
    return Query(tuple(filters), frozenset(include), include_all, limit, numbers["offset"])


def tag_of(name: str) -> str | None:
    """Return the tag of a keyword, or of eight hex digits, in upper case."""
    if _TAG.fullmatch(name):
        return name.upper()
    number = keyword_dict.get(name)
    return None if number is None else f"{number:08X}"


def matches(record: Json, query: Query) -> bool:
    """Whether a record fulfils all filters of a query."""
    return all(_matches(record.get(tag), tag, wanted) for tag, wanted in query.filters)


def page(records: Sequence[Json], query: Query) -> Sequence[Json]:
    """Return the part of the records that the query asks for."""
    return records[query.offset : query.offset + query.limit]


def _matches(element: Json | None, tag: str, wanted: str) -> bool:
    if wanted in {"", "*"}:
        return True
    if element is None:
        return False
    texts = [_text(value) for value in element.get("Value", ())]
    vr = element.get("vr") or _vr(tag)
    if vr == "UI":
        return not set(re.split(r"[,\\]", wanted)).isdisjoint(texts)
    if vr in _RANGES and "-" in wanted:
        low, _, high = wanted.partition("-")
        return any(text and (not low or text >= low) and (not high or text[: len(high)] <= high) for text in texts)
    pattern = _pattern(wanted, vr == "PN")
    return any(pattern.fullmatch(text) for text in texts)


def _text(value: Any) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value)


def _vr(tag: str) -> str:
    try:
        return dictionary_VR(int(tag, 16))
    except KeyError:
        return ""


@lru_cache(maxsize=256)
def _pattern(wanted: str, is_name: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache key
    """Return a wildcard text as an expression: ``*`` for any text, ``?`` for one character."""
    collapsed = re.sub(r"\*+", "*", wanted)[:256]
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in collapsed)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if is_name else 0))
