"""``/xapi/custom-fields``: fields of projects, subjects, experiments, scans and assessors."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right, may
from overread.hub.areas.config.study import applied_study, is_blinded
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
    owner = _owner(call, Right.READ)
    return JSONResponse(_shown(call, owner, store.read(call.db, owner, names or None)))


def write(call: Call) -> Response:
    """Lay the body's keys over the fields; the answer is all of them."""
    owner = _owner(call, Right.EDIT)
    if sum(upload.size for upload in call.uploads) > _TOO_LARGE:
        raise HubError(413, f"Custom fields are at most {_TOO_LARGE} bytes at a time.")
    values = call.json_object()
    if "" in values:
        raise bad_request("A field needs a name.")
    store.write(call.db, owner, values, user=call.caller.login)
    return JSONResponse(_shown(call, owner, store.read(call.db, owner)))


def read_one(call: Call) -> Response:
    """Send one field: a text bare, anything else as JSON text."""
    name = call.params["name"]
    owner = _owner(call, Right.READ)
    fields = _shown(call, owner, store.read(call.db, owner, [name]))
    if name not in fields:
        raise not_found(f"field {name}")
    value = fields[name]
    return answers.text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def remove(call: Call) -> Response:
    """Forget one field; the answer is the rest."""
    owner = _owner(call, Right.EDIT)
    if not store.remove(call.db, owner, call.params["name"], user=call.caller.login):
        raise not_found(f"field {call.params['name']}")
    return JSONResponse(_shown(call, owner, store.read(call.db, owner)))


def _shown(call: Call, owner: Owner, fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a study hides: others' answers until the caller has answered, and others' drafts for good.

    Owners of the project see all: somebody must look after the study.
    """
    login = call.caller.login
    others = [name for name in fields if store.reader_of(name) not in {None, login}]
    result = call.db.get(Experiment, owner.id) if others and owner.kind == "experiment" else None
    if result is None or may(call.db, call.caller, result.project, Right.OWN):
        return fields
    if not is_blinded(applied_study(call.db, result.project)):
        return fields
    hidden = {name for name in others if name.startswith(store.DRAFT)}
    for name in others:
        form = name.partition(":")[2].rpartition(":")[0]
        if not store.read(call.db, owner, [f"{store.ANSWER}{form}:{login}"]):
            hidden.add(name)
    return {name: value for name, value in fields.items() if name not in hidden}


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
