"""Tables: which columns, which rows, in which order, and in which shape they are given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_
from starlette.responses import Response

from overread.hub import answers
from overread.hub.errors import bad_request
from overread.hub.http import Call
from overread.hub.rest.columns import Column, Expression, Source
from overread.hub.rest.names import parse_xpath
from overread.hub.schemas.values import parse_date
from overread.hub.sql import matches

_NUMBERS = {"integer", "long", "float", "boolean"}
_DEFAULT_LIMIT = 100


def wanted_columns(call: Call, source: Source, default: Iterable[str], *, always: Iterable[str] = ()) -> list[Column]:
    """Return the columns that a call asks for, and those it always gets; unknown names are left out, as XNAT does."""
    given = call.query.get("columns", "")
    names = [name.strip() for name in given.split(",") if name.strip()] or ["DEFAULT"]
    found: dict[str, Column] = {}
    for name in [*names, *always]:
        for one in default if name == "DEFAULT" else (name,):
            column = source.column(one)
            if column is not None:
                found.setdefault(column.key, column)
    return list(found.values())


def filters(call: Call, source: Source) -> tuple[list[ColumnElement[bool]], frozenset[str]]:
    """Return the conditions that a call's parameters state, and the tables they need.

    Parameters that name no field are left alone: they mean something else. An XML path that names no field is refused,
    because a list without the filter that was asked for shows too much.
    """
    conditions = []
    needs: frozenset[str] = frozenset()
    for name, value in call.query.items():
        if name == "xsiType":
            continue
        column = source.column(name)
        if column is None:
            _refuse_unknown_path(call, source, name)
            continue
        needs |= column.needs
        conditions.append(_condition(column, name, value))
    return conditions, needs


def _refuse_unknown_path(call: Call, source: Source, name: str) -> None:
    xpath = parse_xpath(call.hub.schemas, name)
    if xpath is None:
        return
    kind = call.hub.schemas.type(xpath.xsi_type)
    near = difflib.get_close_matches(xpath.path, list((kind or source.kind).fields), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise bad_request(f"A list of {source.root} can't be filtered by {name!r}.{hint}")


def _condition(column: Column, name: str, value: str) -> ColumnElement[bool]:
    if column.kind in _NUMBERS:
        return or_(*(_number(column, name, part) for part in value.split(",")))
    if column.kind == "date":
        return or_(*(_date(column, name, part) for part in value.split(",")))
    return _texts(column.comparable, value.split(","))


def _texts(expression: Expression, values: list[str]) -> ColumnElement[bool]:
    exact = [value for value in values if not _is_pattern(value) and value != "NULL"]
    conditions: list[ColumnElement[bool]] = [
        matches(expression, _pattern(value)) for value in values if _is_pattern(value)
    ]
    if exact:
        conditions.append(expression.in_(exact))
    if "NULL" in values:
        conditions.append(or_(expression.is_(None), expression == ""))
    return or_(*conditions)


def _is_pattern(value: str) -> bool:
    return "*" in value or "%" in value


def _pattern(value: str) -> str:
    return value.replace("\\", "\\\\").replace("_", "\\_").replace("*", "%")


def _number(column: Column, name: str, text: str) -> ColumnElement[bool]:
    if text == "NULL":
        return column.comparable.is_(None)
    dash = text.find("-", 1)
    if dash > 0 and text[dash - 1] not in "eE":
        low, high = _float(name, text[:dash]), _float(name, text[dash + 1 :])
        return and_(column.comparable >= low, column.comparable <= high)
    return column.comparable == _float(name, text)


def _float(name: str, text: str) -> float:
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        raise bad_request(f"{name}={text}: no number, and no range such as 1-5.") from None


def _date(column: Column, name: str, text: str) -> ColumnElement[bool]:
    if text == "NULL":
        return column.comparable == ""
    # XNAT cuts a date at its first dash, as a range: 2026-05-01 is no single day here.
    first, dash, last = text.partition("-")
    try:
        low = parse_date(first).isoformat()
        high = parse_date(last).isoformat() if dash else low
    except ValueError:
        raise bad_request(
            f"{name}={text}: in filters write days as MM/DD/YYYY, ranges as MM/DD/YYYY-MM/DD/YYYY."
        ) from None
    return and_(column.comparable >= low, column.comparable <= high)


def ordered(call: Call, source: Source, query: Select[Any], default: Expression) -> tuple[Select[Any], list[Column]]:
    """Sort `query` as the call asks; also return the columns it is sorted by."""
    descending = call.query.get("sortOrder", "").upper() == "DESC"
    columns = []
    for name in filter(None, call.query.get("sortBy", "").split(",")):
        column = source.column(name.strip())
        if column is None:
            raise bad_request(f"The list can't be sorted by {name!r}.")
        columns.append(column)
        query = query.order_by(column.comparable.desc() if descending else column.comparable.asc())
    return query.order_by(default), columns


def page(call: Call) -> tuple[int | None, int] | None:
    """Return limit and offset of a call, None if it does not page."""
    if "limit" not in call.query and "offset" not in call.query:
        return None
    limit, offset = call.query.get("limit", str(_DEFAULT_LIMIT)), call.query.get("offset", "0")
    return _count("limit", limit), _count("offset", offset) or 0


def _count(name: str, text: str) -> int | None:
    if text == "*":
        return None
    if not text.isdecimal():
        raise bad_request(f"{name}={text}: write a number, or * for none.")
    return int(text)


def answer(
    call: Call,
    source: Source,
    columns: list[Column],
    *,
    where: Iterable[ColumnElement[bool]],
    order: Expression,
    uri_prefix: str,
    uri_key: Expression,
    filtered: bool = True,
) -> Response:
    """Answer a list.

    Parameters
    ----------
    call, source, columns
        The call, the list's table, the columns to show.
    where
        Conditions of the route: what may be seen.
    order
        What rows are sorted by when all else is equal.
    uri_prefix, uri_key
        What the column ``URI`` is made of.
    filtered
        Whether the call's parameters filter. (XNAT drops them on some lists.)
    """
    conditions, needs = filters(call, source) if filtered else ([], frozenset())
    shown = [*columns, Column("URI", literal(uri_prefix).concat(uri_key))]
    query = source.rows(shown)
    query, sorted_by = ordered(call, source, query, order)
    for column in (*columns, *sorted_by):
        needs |= column.needs
    query = source.joined(query, needs).where(*where, *conditions)
    paging = page(call)
    if paging is not None:
        limit, offset = paging
        query = query.limit(limit).offset(offset)
    keys = [column.key for column in shown]
    # There may be a hundred thousand rows: each is touched once.
    rows = [dict(zip(keys, found, strict=True)) for found in call.db.connection().execute(query).all()]
    return answers.table(rows, keys, form=call.format, total=len(rows) if paging is None else None)
