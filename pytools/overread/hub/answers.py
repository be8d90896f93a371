"""Answers in XNAT's shapes: tables (ResultSet), items, plain text, error pages.

Tables carry strings only, `totalRecords` included; items keep numbers (xnat-rest: JSONTableRepresentation,
ItemJSONBuilder).
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from starlette.responses import JSONResponse, PlainTextResponse, Response

from overread.hub.errors import HubError

Row = Mapping[str, Any]


def cell(value: object) -> str:
    """Return `value` as a table shows it: text, "" for nothing, times as XNAT writes them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "milliseconds")
    return str(value)


def table(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    form: str = "json",
    total: int | None = None,
    extra: Row | None = None,
) -> Response:
    """Answer a list, as JSON or CSV.

    Parameters
    ----------
    rows
        One mapping per row; keys outside `columns` are left out.
    columns
        Names, in order.
    form
        Value of the query parameter ``format``.
    total
        ``totalRecords``; None leaves it out (as XNAT does when paging).
    extra
        Further keys of the ResultSet, such as ``Columns``.
    """
    # Most values are text already, and there may be a hundred thousand: they are not worth a call each.
    cells = [_cells(row, columns) for row in rows]
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in cells)
        return PlainTextResponse(buffer.getvalue(), media_type="text/csv")
    result: dict[str, Any] = dict(extra or {})
    result["Result"] = cells
    if total is not None:
        result["totalRecords"] = str(total)
    return json_of({"ResultSet": result})


def json_of(value: object) -> Response:
    """Answer JSON of any size."""
    try:
        return Response(orjson.dumps(value), media_type="application/json")
    except TypeError:  # half a character, or a number of more than 64 bits: the slower one writes them
        return JSONResponse(value)


_TEXT: Final = {str}


def _cells(row: Row, columns: Sequence[str]) -> Row:
    if list(row) == columns and set(map(type, row.values())) == _TEXT:
        return row
    return {name: value if type(value) is str else cell(value) for name in columns for value in (row.get(name),)}


def item(xsi_type: str, data_fields: Row, children: Iterable[Row] = ()) -> dict[str, Any]:
    """Return one item as XNAT's JSON has it."""
    return {
        "meta": {"isHistory": False, "xsi:type": xsi_type},
        "data_fields": {name: value for name, value in data_fields.items() if value not in (None, "")},
        "children": list(children),
    }


def child(field: str, items: Sequence[Row]) -> dict[str, Any]:
    """Return the children of one kind below an item."""
    return {"field": field, "items": list(items)}


def items(*found: Row) -> Response:
    """Answer items as JSON."""
    return JSONResponse({"items": list(found)})


def text(body: str = "", *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer plain text."""
    return PlainTextResponse(body, status_code=status, headers=dict(headers or {}))


def error(path: str, problem: HubError) -> Response:
    """Answer an error as the stack behind `path` does: an HTML status page on /data, text on /xapi.

    XNAT's page has a ``<br>`` and is no XML; pyxnat gives the page's text to its user only if it is none.
    """
    reason = " ".join(problem.reason.split()).encode("utf-8", "replace").decode()  # it may repeat half a character
    if path.startswith(("/xapi", "/viewer")):
        return PlainTextResponse(reason, status_code=problem.status, headers=problem.headers)
    page = (
        "<html>\n<head>\n   <title>Status page</title>\n</head>\n<body>\n"
        f"<h3>{html.escape(reason)}</h3>\n<p>You can get technical details in the hub's log.<br>\n</p>\n"
        "</body>\n</html>\n"
    )
    return Response(page, status_code=problem.status, media_type="text/html", headers=problem.headers)


def json_text(value: object) -> str:
    """Return `value` as compact JSON text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
