"""Functions of scripts. A value that is absent (None) stays absent, unless a function can't do without it."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote_plus

Text = str | None

MAX_MATCHED: Final = 1024
"""Longer values are not matched: a careless pattern would run for ever on them."""
_JAVA_FORMAT: Final = re.compile(r"\{(\d+)\}")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Function:
    """A function: what it does, and how it is called.

    Parameters
    ----------
    apply
        From the arguments' values to its own. It raises ValueError when it can't do it.
    usage
        As an example.
    least, most
        How many arguments it takes.
    is_condition
        Whether it answers yes or no ("true" or "false").
    wants_attributes
        Whether its arguments must be attributes.
    pattern_at
        Which argument is a regular expression.
    """

    apply: Callable[[Sequence[Text]], Text]
    usage: str
    least: int
    most: int
    is_condition: bool = False
    wants_attributes: bool = False
    pattern_at: int | None = None


def hash_uid(value: str) -> str:
    """Return the UID that DicomEdit makes of a text: the version-5 UUID of its SHA-1 alone, below 2.25."""
    digest = hashlib.sha1(value.encode(), usedforsecurity=False).digest()[:16]
    return f"2.25.{uuid.UUID(bytes=digest, version=5).int}"


def check_pattern(pattern: str) -> str:
    """Say why a regular expression is not used here, "" if it is.

    It must be one, and it must end: a repeated group that repeats or chooses within itself can take for ever.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as problem:
        return str(problem)
    return "a repeated group holds a repetition or a choice, which can take for ever" if _explodes(pattern) else ""


def matches(value: Text, pattern: str) -> bool:
    """Whether all of a value matches a regular expression; an absent value matches nothing.

    Raises
    ------
    ValueError
        The value is longer than `MAX_MATCHED`.
    """
    if value is None:
        return False
    if len(value) > MAX_MATCHED:
        raise ValueError(f"a value of {len(value)} characters is too long for a pattern")
    return re.fullmatch(pattern, value) is not None


def _explodes(pattern: str) -> bool:
    """Look for ``(...*...)*`` and ``(...|...)*`` in the text of a pattern."""
    plain = re.sub(r"\\.", "_", pattern, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "_", plain)
    risky: list[bool] = [False]
    for at, sign in enumerate(plain):
        if sign == "(":
            risky.append(False)
        elif sign == ")" and len(risky) > 1:
            inner = risky.pop()
            if inner and re.match(r"[*+]|\{\d*,?\d*\}", plain[at + 1 :]):
                return True
            risky[-1] = risky[-1] or inner
        elif sign in "*+|" or (sign == "{" and re.match(r"\{\d*,\d*\}", plain[at:])):
            risky[-1] = True
    return False


def _each(change: Callable[[str], str]) -> Callable[[Sequence[Text]], Text]:
    return lambda values: None if values[0] is None else change(values[0])


def _needed(values: Sequence[Text]) -> list[str]:
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        raise ValueError("one of its attributes is absent")
    return found


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{value[:20]!r} is no whole number") from None


def _substring(values: Sequence[Text]) -> Text:
    if values[0] is None:
        return None
    text, begin, end = _needed(values)
    first, last = _number(begin), _number(end)
    if not 0 <= first <= last <= len(text):
        raise ValueError(f"the value has {len(text)} characters, {first} to {last} were asked for")
    return text[first:last]


def _replace(values: Sequence[Text]) -> Text:
    if values[0] is None:
        return None
    text, target, replacement = _needed(values)
    return text.replace(target, replacement)


def _format(values: Sequence[Text]) -> Text:
    pattern, *rest = _needed(values)

    def part(found: re.Match[str]) -> str:
        if int(found[1]) >= len(rest):
            raise ValueError(f"there is no value for {found[0]}")
        return rest[int(found[1])]

    return _JAVA_FORMAT.sub(part, pattern.replace("''", "'"))


def _match(values: Sequence[Text]) -> Text:
    if values[0] is None:
        return None
    text, pattern, group = _needed(values)
    if len(text) > MAX_MATCHED:
        raise ValueError(f"a value of {len(text)} characters is too long for a pattern")
    found = re.search(pattern, text)
    try:
        return None if found is None else found.group(_number(group))
    except IndexError:
        raise ValueError(f"the pattern has no group {group}") from None


def _shift_date(values: Sequence[Text]) -> Text:
    if not values[0]:
        return values[0]
    date, days, *units = _needed(values)
    if units and units[0] != "days":
        raise ValueError(f"dates are shifted by days, not {units[0]}")
    try:
        moved = datetime.strptime(date, "%Y%m%d") + timedelta(days=_number(days))  # noqa: DTZ007 - DA has no zone
    except OverflowError:
        raise ValueError("the shift leads out of the calendar") from None
    except ValueError:
        raise ValueError("the value is no date") from None
    return f"{moved:%Y%m%d}".rjust(8, "0")


def _normalize(values: Sequence[Text]) -> Text:
    if values[0] is None:
        return None
    text, *rest = _needed(values)
    return _NOT_ASCII.sub(lambda _: rest[0] if rest else "_", text)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "hashUID": Function(_each(hash_uid), "hashUID[(0020,000D)]", 1, 1),
    "lowercase": Function(_each(str.lower), "lowercase[(0010,0020)]", 1, 1),
    "uppercase": Function(_each(str.upper), "uppercase[(0010,0020)]", 1, 1),
    "substring": Function(_substring, "substring[(0010,0030), 0, 4]", 3, 3),
    "replace": Function(_replace, 'replace[(0010,0020), "-", "_"]', 3, 3),
    "concatenate": Function(lambda values: "".join(_needed(values)), 'concatenate[project, "_", subject]', 1, 100),
    "format": Function(_format, 'format["{0}_{1}", project, subject]', 1, 100),
    "match": Function(_match, 'match[(0010,0020), "([0-9]+).*", 1]', 3, 3, pattern_at=1),
    "ismatch": Function(
        lambda values: str(matches(values[0], values[1] or "")).lower(),
        'ismatch[(0008,0060), "MR|CT"]', 2, 2, is_condition=True, pattern_at=1,
    ),
    "isPresent": Function(
        lambda values: str(all(value is not None for value in values)).lower(),
        "isPresent[(0010,0040)]", 1, 100, is_condition=True, wants_attributes=True,
    ),
    "normalizeString": Function(_normalize, 'normalizeString[(0010,0020), "_"]', 1, 2),
    "shiftDateByIncrement": Function(_shift_date, "shiftDateByIncrement[(0008,0020), 14]", 2, 3),
    "urlEncode": Function(_each(quote_plus), "urlEncode[(0010,0020)]", 1, 1),
}  # fmt: skip

REFUSED: Final[Mapping[str, str]] = {
    "alterPixels": "pixels are kept as they came",
    "blankValues": "what it would change can't be seen from the script",
    "collectValues": "what it would change can't be seen from the script",
    "delete": 'attributes are deleted by "- (gggg,eeee)"',
    "getURL": "an exam must not depend on another server",
    "hash": "DicomEdit's own does nothing",
    "lookup": "there are no lookup tables",
    "mapReferencedUIDs": "its UIDs are made up anew each time; hashUIDList gives the same every time",
    "mapUID": "its UIDs are made up anew each time; hashUID gives the same every time",
    "newUID": "its UIDs are made up anew each time; hashUID gives the same every time",
    "reject": "an object that came is never dropped silently; leave it to the arrival rules what is accepted",
    "retainPrivateTags": 'delete private attributes by "- (gggg,{CREATOR}ee)", or all by removeAllPrivateTags',
    "set": 'attributes are set by "(gggg,eeee) := value"',
    "shiftDateTimeByIncrement": "only dates are shifted, by shiftDateByIncrement",
    "shiftDateTimeListByIncrement": "only dates are shifted, by shiftDateByIncrement",
    "shiftDateTimeSequenceByIncrement": "only dates are shifted, by shiftDateByIncrement",
}
"""Functions of DicomEdit that are not run here, and why."""
