"""``<project, subject or experiment>/history`` and ``/data/services/audit``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from starlette.responses import JSONResponse, Response

from overread.hub.access import Right, may, readable_projects
from overread.hub.areas.history.store import as_json, events_by_id, events_of
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Experiment, HistoryEvent, Project, Subject
from overread.hub.rest.locate import item_of, require_subject

_MODELS: tuple[tuple[str, type[Project | Subject | Experiment]], ...] = (
    ("xnat:projectData", Project),
    ("xnat:subjectData", Subject),
    ("xnat:experimentData", Experiment),
)
_PLACES = (
    "/data/projects/{project}",
    "/data/subjects/{subject}",
    "/data/projects/{project}/subjects/{subject}",
    "/data/experiments/{experiment}",
    "/data/projects/{project}/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
)


def show(call: Call) -> Response:
    """Answer an item's history; with ``includeDetails=true`` each field that was changed."""
    item = cast("Project | Subject | Experiment", item_of(call))  # no route here names a scan
    events = events_of(call.db, item, readable_projects(call.db, call.caller))
    if isinstance(item, Project) and not may(call.db, call.caller, item.id, Right.OWN):
        events = [event for event in events if not _is_about_users(event)]
    return _answer(call, events)


def _is_about_users(event: HistoryEvent) -> bool:
    """Whether an event is about a project's members: they are their owners' business."""
    return all(change["header"] == "user" for change in event.changes)


def audit(call: Call) -> Response:
    """Answer the history of an object by its datatype and ID, also of one that was taken away."""
    xsi_type, key = call.hub.schemas.spelled(call.params["type"]), call.params["id"]
    model = next((model for base, model in _MODELS if xsi_type and call.hub.schemas.is_a(xsi_type, base)), None)
    if model is None:
        raise bad_request(f"{call.params['type']!r} is no data type of projects, subjects or experiments.")
    readable = readable_projects(call.db, call.caller)
    found = cast("Project | Subject | Experiment | None", call.db.get(model, key))
    if found is None or (isinstance(found, Project) and found.deleted):
        kind = model.__name__.lower()
        events = [event for event in events_by_id(call.db, kind, key) if _may_see(call, event, readable)]
        if not events:
            raise not_found(f"{xsi_type} {key}")
        return _answer(call, events)
    match found:
        case Project():
            if found.id not in readable:
                raise not_found(f"{xsi_type} {key}")
        case Subject():
            require_subject(call, found, Right.READ)
        case _:
            call.require_experiment(found, Right.READ)
    return _answer(call, events_of(call.db, found, readable))


def _may_see(call: Call, event: HistoryEvent, readable: Iterable[str]) -> bool:
    return call.caller.is_admin or event.project in readable


def incomplete(_call: Call) -> Response:
    """Refuse a call that names no object."""
    raise bad_request("Name the object: /data/services/audit/{xsiType}/{ID}.")


def _answer(call: Call, events: Iterable[HistoryEvent]) -> Response:
    date_format = call.query.get("dateFormat", "")
    return JSONResponse(as_json(call.hub.schemas, events, details=call.flag("includeDetails"), date_format=date_format))


ROUTES = [
    *(Route("GET", f"{place}/history", show) for place in _PLACES),
    Route("GET", "/data/services/audit", incomplete),
    Route("GET", "/data/services/audit/{type}/{id}", audit),
]
