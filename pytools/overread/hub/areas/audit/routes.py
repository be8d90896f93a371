"""Reading the audit trail: administrators all of it, owners that of their projects. Nobody changes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Select, func, select
from starlette.responses import Response, StreamingResponse

from overread.hub.areas.admin import scope
from overread.hub.audit import ACTIONS, OUTCOMES
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import AuditEvent

COLUMNS: Final = (
    "time", "user", "action", "outcome", "status", "method", "route", "project", "item", "address", "detail",
)  # fmt: skip
_WORDS: Final = {"action": ACTIONS, "outcome": OUTCOMES}
_BATCH: Final = 2000
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")


def listed(call: Call) -> Response:
    """List acts, the newest first: ``page`` and ``size``, or all of them with ``format=csv``.

    ``user``, ``action``, ``outcome``, ``project`` and ``item`` filter, ``from`` and ``to`` are moments (ISO 8601, UTC
    unless they say otherwise), ``to`` itself left out.
    """
    call.hub.audit.move()  # what was noted a moment ago shows, too
    call.about.item = "audit trail"
    wanted = _filtered(call)
    if call.format == "csv":
        headers = {"content-disposition": 'attachment; filename="audit.csv"'}
        return StreamingResponse(_csv(call, wanted), media_type="text/csv", headers=headers)
    page = scope.page_of(call)
    total = call.db.scalar(select(func.count()).select_from(wanted.subquery())) or 0
    newest = wanted.order_by(AuditEvent.time.desc(), AuditEvent.pk.desc())
    rows = call.db.scalars(newest.offset(page.offset).limit(page.size))
    return scope.answer(page, [_row(row) for row in rows], total, actions=ACTIONS, outcomes=OUTCOMES)


def _filtered(call: Call) -> Select[AuditEvent]:
    query = select(AuditEvent)
    projects = scope.wanted_projects(call)
    if projects is not None:
        query = query.where(AuditEvent.project.in_(projects))
    for name in ("user", "action", "outcome", "item"):
        value = call.query.get(name, "")
        if value:
            if value not in _WORDS.get(name, (value,)):
                raise bad_request(f"{name} must be one of {', '.join(_WORDS[name])}.")
            query = query.where(getattr(AuditEvent, name) == value)
    begin, end = _moment(call, "from"), _moment(call, "to")
    if begin is not None:
        query = query.where(AuditEvent.time >= begin)
    return query if end is None else query.where(AuditEvent.time < end)


def _moment(call: Call, name: str) -> datetime | None:
    text = call.query.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_request(f"{name} must be a moment such as 2026-05-31 or 2026-05-31T14:00:00Z.") from None


def _row(event: AuditEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in COLUMNS} | {"id": event.pk, "time": scope.moment(event.time)}


def _csv(call: Call, query: Select[AuditEvent]) -> Iterator[str]:
    """Give the rows piece by piece, each read in a transaction of its own: the call's has ended by then."""
    last = (call.db.scalar(select(func.max(AuditEvent.pk))) or 0) + 1
    newest = query.order_by(AuditEvent.pk.desc()).limit(_BATCH)

    def pieces() -> Iterator[str]:
        nonlocal last
        yield _lines([COLUMNS])
        while True:
            with call.hub.database.read() as db:
                events = db.scalars(newest.where(AuditEvent.pk < last)).all()
                rows = [_row(event) for event in events]
            if not rows:
                return
            yield _lines([[_harmless(row[name]) for name in COLUMNS] for row in rows])
            last = rows[-1]["id"]

    return pieces()


def _lines(rows: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _harmless(value: object) -> object:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value


ROUTES = [Route("GET", "/xapi/overread/audit", listed)]
