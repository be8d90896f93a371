"""Reading histories, in the shape in which XNAT tells them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from overread.hub.answers import json_text
from overread.hub.errors import bad_request
from overread.hub.items.history import ADDED, MODIFIED, REMOVED
from overread.hub.models import Experiment, HistoryEvent, Project, Subject
from overread.hub.schemas import SchemaRegistry

_PATTERN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")
_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "EEE": "%a", "EEEE": "%A",
    "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S", "a": "%p", "Z": "%z", "z": "%Z",
}  # fmt: skip


def events_of(
    db: Session, item: Project | Subject | Experiment, readable: Collection[str] | None
) -> list[HistoryEvent]:
    """Return what became of `item` and of what hangs on it, in order.

    As in XNAT, a session's history holds its assessors', and a subject's its experiments': of them what lies in
    projects among `readable` (None: in all).
    """
    match item:
        case Project():
            return events_by_id(db, "project", item.id)
        case Subject():
            own, below = ("subject", item.id), HistoryEvent.subject_id == item.id
        case _:
            own, below = ("experiment", item.id), HistoryEvent.session_id == item.id
    if readable is not None:
        below = and_(below, HistoryEvent.project.in_(readable))
    kind, key = own
    mine = and_(HistoryEvent.kind == kind, HistoryEvent.object_id == key)
    return list(db.scalars(select(HistoryEvent).where(or_(mine, below)).order_by(HistoryEvent.pk)))


def events_by_id(db: Session, kind: str, object_id: str) -> list[HistoryEvent]:
    """Return what became of one object, also of one that is gone."""
    query = select(HistoryEvent).where(HistoryEvent.kind == kind, HistoryEvent.object_id == object_id)
    return list(db.scalars(query.order_by(HistoryEvent.pk)))


def as_json(
    schemas: SchemaRegistry, events: Iterable[HistoryEvent], *, details: bool, date_format: str
) -> dict[str, list[dict[str, Any]]]:
    """Return events as XNAT's JSON has them; `date_format` is Java's (``yyyy-MM-dd``), or "" for milliseconds."""
    pattern = _strftime(date_format)
    return {
        "events": [
            {
                "event_id": str(event.pk),
                "event_action": event.action or _action(schemas, event),
                "event_date": _moment(event.date, pattern),
                "event_user": event.user,
                "event_type": event.type,
                "event_reason": event.reason,
                "event_category": "PROJECT_ADMIN" if event.kind == "project" else "DATA",
                "event_status": "Complete",
                "changesets": [_changeset(schemas, event, pattern)] if details else [],
            }
            for event in events
        ]
    }


def _changeset(schemas: SchemaRegistry, event: HistoryEvent, pattern: str) -> dict[str, Any]:
    return {"date": _moment(event.date, pattern), "changes": list(_changes(schemas, event))}


def _changes(schemas: SchemaRegistry, event: HistoryEvent) -> Iterator[dict[str, Any]]:
    for change in event.changes:
        told = {
            "objectHeader": _singular(schemas, change["header"]),
            "objectLabel": change["label"],
            "action": change["action"],
        }
        if "path" in change:
            told["field"] = {
                "xsiPath": change["path"],
                "fieldLabel": change["path"].rpartition("/")[2],
                "oldValue": _text(change["old"]),
                "newValue": _text(change["new"]),
            }
        if "count" in change:
            told["count"] = change["count"]
        yield told


def _action(schemas: SchemaRegistry, event: HistoryEvent) -> str:
    """Say in XNAT's words what an event did: to the object itself, else to its files."""
    own = [change for change in event.changes if ":" in change["header"]]
    if own:
        kinds = {change["action"] for change in own[:1]}
        verb = next((verb for verb in (REMOVED, ADDED) if verb in kinds), MODIFIED)
        return f"{verb} {_singular(schemas, own[0]['header'])}"
    first = event.changes[0]
    files = {ADDED: "Uploaded File", REMOVED: "Removed File"}
    words = {
        "files": files,
        "resource": {ADDED: "Created resource", REMOVED: "Removed Resource Catalog"},
        "share": {ADDED: "Configured project sharing", REMOVED: "Configured project sharing"},
        "user": {ADDED: "Added user to project", REMOVED: "Removed user from project"},
    }
    return words[first["header"]].get(first["action"], "Configured project access")


def _singular(schemas: SchemaRegistry, header: str) -> str:
    element = schemas.elements().get(header)
    return element.singular if element is not None and element.singular else header


def _text(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)


def _moment(date: datetime, pattern: str) -> int | str:
    return date.strftime(pattern) if pattern else int(date.timestamp() * 1000)


def _strftime(pattern: str) -> str:
    """Return Java's date format as Python's."""
    parts = []
    for found in _PATTERN.finditer(pattern):
        text = found.group()
        if found.group(1) is not None:
            parts.append(found.group(1).replace("%", "%%") or "'")
        elif text[0].isalpha():
            if text not in _LETTERS:
                raise bad_request(f"dateFormat={pattern}: {text!r} is not known; write it like yyyy-MM-dd HH:mm:ss.")
            parts.append(_LETTERS[text])
        else:
            parts.append(text.replace("%", "%%"))
    return "".join(parts)
