"""``/xapi/custom-fields``: fields of projects, subjects, experiments, scans and assessors."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right
from overread.hub.areas.customfields import store
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.items import uris
from overread.hub.items.folders import Owner, owner_of
from overread.hub.models import Experiment, Project, Resource, Scan, Subject

_BASE = "/xapi/custom-fields"
_TOO_LARGE = 1024**2
_KINDS = ("project", "subject", "experiment", "scan", "assessor")
_SCOPES = (
    "/projects/{project}",
    "/subjects/{subject}",
    "/experiments/{experiment}",
    "/projects/{project}/subjects/{subject}",
    "/projects/{project}/experiments/{experiment}",
    "/projects/{project}/subjects/{subject}/experiments/{experiment}",
    *(
        f"{above}/experiments/{{experiment}}/{below}"
        for above in ("", "/projects/{project}", "/projects/{project}/subjects/{subject}")
        for below in ("scans/{scan}", "assessors/{assessor}")
    ),
)


def read(call: Call) -> Response:
    """Send the fields as one JSON object."""
    names = [name for name in call.query.get("fieldNames", "").split(",") if name]
    return JSONResponse(store.read(call.db, _owner(call, Right.READ), names or None))


def write(call: Call) -> Response:
    """Lay the body's keys over the fields; the answer is all of them."""
    owner = _owner(call, Right.EDIT)
    if sum(upload.size for upload in call.uploads) > _TOO_LARGE:
        raise HubError(413, f"Custom fields are at most {_TOO_LARGE} bytes at a time.")
    values = call.json_object()
    if "" in values:
        raise bad_request("A field needs a name.")
    store.write(call.db, owner, values, user=call.caller.login)
    return JSONResponse(store.read(call.db, owner))


def read_one(call: Call) -> Response:
    """Send one field: a text bare, anything else as JSON text."""
    name = call.params["name"]
    fields = store.read(call.db, _owner(call, Right.READ), [name])
    if name not in fields:
        raise not_found(f"field {name}")
    value = fields[name]
    return answers.text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def remove(call: Call) -> Response:
    """Forget one field; the answer is the rest."""
    owner = _owner(call, Right.EDIT)
    if not store.remove(call.db, owner, call.params["name"], user=call.caller.login):
        raise not_found(f"field {call.params['name']}")
    return JSONResponse(store.read(call.db, owner))


def _owner(call: Call, right: Right) -> Owner:
    """Return the item of the path, and see to it that the caller has `right` on it."""
    path = "".join(f"/{kind}s/{call.params[kind]}" for kind in _KINDS if kind in call.params)
    item = uris.resolve(call.db, call.hub, path)
    if isinstance(item, Resource):
        raise not_found(path)
    _require(call, item, right)
    return owner_of(item)


def _require(call: Call, item: Project | Subject | Experiment | Scan, right: Right) -> None:
    if isinstance(item, Scan):
        item = call.db.get_one(Experiment, item.session_id)
    if isinstance(item, Experiment):
        call.require_experiment(item, right)
    else:
        call.require(item.id if isinstance(item, Project) else item.project, right)


ROUTES = [
    route
    for scope in _SCOPES
    for route in (
        Route("GET", f"{_BASE}{scope}/fields", read, Access.USER),
        Route("PUT", f"{_BASE}{scope}/fields", write, Access.USER),
        Route("GET", f"{_BASE}{scope}/fields/{{name}}", read_one, Access.USER),
        Route("DELETE", f"{_BASE}{scope}/fields/{{name}}", remove, Access.USER),
    )
]
