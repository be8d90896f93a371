"""From text to a field's value, by its type. Used for query strings, forms and XML alike."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time

from overread.hub.schemas.model import FieldType, Kind

Value = str | int | float | None

_LARGEST_INTEGER = 2**31 - 1  # XNAT stores xs:integer as a 32-bit column
_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d")
_TIMES = ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what XML 1.0 can't carry


def coerce(kind: FieldType, raw: object) -> Value:
    """Return `raw` as a value of `kind`.

    Parameters
    ----------
    kind
        The field's type.
    raw
        Text, a number or a truth value. "" and ``NULL`` (XNAT's word for clearing a field) give None.

    Raises
    ------
    ValueError
        It is none; the message says what is wanted.
    """
    if raw is None or raw in ("", "NULL"):
        return None
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    text = str(raw).strip() if kind.kind != "string" else str(raw)
    value: str | int | float = _CONVERTERS[kind.kind](text)
    if isinstance(value, (int, float)):
        _check_bounds(kind, value)
    if kind.choices and str(value) not in kind.choices:
        raise ValueError(f"{text!r} is none of {', '.join(kind.choices)}")
    if isinstance(value, str) and len(value) > kind.max_length:
        raise ValueError(f"{len(value)} characters are too many: at most {kind.max_length}")
    return value


def _check_bounds(kind: FieldType, value: float) -> None:
    if kind.minimum is not None and value < kind.minimum:
        raise ValueError(f"{value} is below {kind.minimum:g}")
    if kind.maximum is not None and value > kind.maximum:
        raise ValueError(f"{value} is above {kind.maximum:g}")


def _string(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("it has control characters")
    return text


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if abs(value) > _LARGEST_INTEGER:
        raise ValueError(f"{text} is too large for a 32-bit number")
    return value


def _long(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _float(text: str) -> float | str:
    if text in {"NaN", "INF", "-INF"}:
        return text  # JSON has no such number: XNAT gives the word
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large")
    return value


def _boolean(text: str) -> int:
    word = text.lower()
    if word in {"true", "1"}:
        return 1
    if word in {"false", "0"}:
        return 0
    raise ValueError(f"{text!r} is neither true nor false")


def parse_date(text: str) -> date:
    """Return the day that `text` names: 2026-05-01, 05/01/2026 or 20260501."""
    for form in _DATES:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no date: write YYYY-MM-DD")


def _time(text: str) -> str:
    for form in _TIMES:
        try:
            moment: time = datetime.strptime(text, form).time()  # noqa: DTZ007 - a time of day has no zone
        except ValueError:
            continue
        return moment.isoformat(timespec="seconds" if moment.microsecond == 0 else "milliseconds")
    raise ValueError(f"{text!r} is no time: write HH:MM:SS")


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat(sep=" ")
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write YYYY-MM-DDTHH:MM:SS") from None


_CONVERTERS: dict[Kind, Callable[[str], str | int | float]] = {
    "string": _string,
    "integer": _integer,
    "long": _long,
    "float": _float,
    "boolean": _boolean,
    "date": lambda text: parse_date(text).isoformat(),
    "time": _time,
    "dateTime": _moment,
}
