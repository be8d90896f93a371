"""Launching: one object, many objects, and the form that asks for the inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from overread.errors import RunnerError
from overread.hub.access import Access, Right
from overread.hub.areas.commands.wrappers import BY_NAME, WRAPPER, wrapper_of
from overread.hub.errors import HubError, bad_request
from overread.hub.http import Call, Route
from overread.hub.runs.bulk import begin_bulk
from overread.hub.runs.documents import Wrapper
from overread.hub.runs.inputs import InputResolver, Node, Value, missing
from overread.hub.runs.launch import queue_launch

_QUEUED = "To be assigned"
_UI_TYPES = {"boolean": "boolean", "number": "number", "select-one": "select-one", "select-many": "select-many"}


def launch(call: Call) -> Response:
    """Queue one run. Whatever is wrong with the launch is told with status 500, as XNAT does."""
    given = _inputs(call)
    try:
        with call.db.begin_nested():
            wrapper = wrapper_of(call)
            _queue(call, wrapper, given)
    except HubError as problem:
        return JSONResponse(_failure(given, problem), status_code=500)
    return JSONResponse(_success(call, wrapper, given))


def bulk_launch(call: Call) -> Response:
    """Queue one run for each object of the list that the root input holds, as a JSON array in a text.

    How far they are is told by ``/xapi/event_tracking/<bulk-launch-id>``.
    """
    given = _inputs(call)
    wrapper = wrapper_of(call)
    root = call.params.get("root") or (wrapper.root or {}).get("name", "")
    objects = _objects(given.get(root, ""), root)
    bulk = begin_bulk(call.db, project=call.params.get("project", ""), wrapper=wrapper, user=call.caller.login)
    successes, failures = [], []
    for uri in objects:
        one = given | {root: uri}
        try:
            with call.db.begin_nested():
                _queue(call, wrapper, one, job_id=bulk.id)
        except HubError as problem:
            failures.append(_failure(one, problem))
        else:
            successes.append(_success(call, wrapper, one))
    bulk.row.total, bulk.row.refused = len(objects), len(failures)
    answer = {"bulk-launch-id": bulk.id, "pipeline-name": bulk.name, "successes": successes, "failures": failures}
    return JSONResponse(answer)


def form(call: Call) -> Response:
    """Show what a launch on this object would ask for: a tree of inputs, and a tree of the values they can have."""
    if "project" in call.params:
        call.require(call.params["project"], Right.READ)  # its defaults are shown
    wrapper = wrapper_of(call)
    values = {name: value for name, value in call.query.items() if name not in ("format", "XNAT_CSRF")}
    if call.path.endswith("/bulklaunch"):
        root = str((wrapper.root or {}).get("name", ""))
        values[root] = _objects(values.get(root, ""), root)[0]
    try:
        nodes = InputResolver(call.db, call.hub, wrapper, values, call.caller).resolve()
    except RunnerError as problem:
        raise bad_request(str(problem)) from problem
    asked = {given["name"] for given in wrapper.command["inputs"]}
    absent = [name for name in missing(nodes) if name not in asked]
    if absent:
        fields = ", ".join(absent)
        raise bad_request(f"The following required fields cannot be resolved using the provided data: {fields}")
    return JSONResponse(
        {
            "meta": _meta(wrapper),
            "container-server-config": {"swarm-constraints": []},
            "input-config": [_config_tree(node) for node in nodes],
            "input-values": [_value_tree(node) for node in nodes],
        }
    )


def _queue(call: Call, wrapper: Wrapper, given: Mapping[str, str], *, job_id: str = "") -> None:
    queue_launch(
        call.db,
        call.hub,
        wrapper=wrapper,
        project=call.params.get("project", ""),
        user=call.caller.login,
        inputs=given,
        origin="user",
        job_id=job_id,
    )


def _inputs(call: Call) -> dict[str, str]:
    """Return the launch's values: of a JSON body, a form, or the query."""
    values: dict[str, Any] = {name: value for name, value in call.query.items() if name not in ("XNAT_CSRF", "format")}
    values |= call.form
    if call.body() and not call.form:
        values |= call.json_object()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _objects(text: str, root: str) -> list[str]:
    try:
        objects = json.loads(text)
    except ValueError:
        objects = None
    if not isinstance(objects, list) or not objects or not all(isinstance(uri, str) for uri in objects):
        raise bad_request(f'"{root}" must be a JSON array of URIs, written as text.')
    return objects


def _success(call: Call, wrapper: Wrapper, given: Mapping[str, str]) -> dict[str, Any]:
    by_name = "command" in call.params
    return {
        "status": "success",
        "params": dict(given),
        "id": None,
        "command-id": wrapper.command_id if by_name else 0,
        "wrapper-id": wrapper.id,
        "workflow-id": _QUEUED,
    }


def _failure(given: Mapping[str, str], problem: HubError) -> dict[str, Any]:
    return {"status": "failure", "params": dict(given), "message": problem.reason}


def _meta(wrapper: Wrapper) -> dict[str, Any]:
    command = wrapper.command
    return {
        "command-id": wrapper.command_id,
        "command-name": command["name"],
        "command-label": command["label"],
        "command-description": command["description"],
        "command-metadata": command.get("command-metadata"),
        "wrapper-id": wrapper.id,
        "wrapper-name": wrapper.name,
        "wrapper-label": wrapper.document.get("label"),
        "wrapper-description": wrapper.document.get("description"),
        "image-name": command["image"],
        "image-type": command["type"],
    }


def _config_tree(node: Node) -> dict[str, Any]:
    given = node.given
    settable = given.get("user-settable")
    several = len(node.values) > 1
    kind = "select-one" if several else _UI_TYPES.get(given["type"], "text" if node.kind == "command" else "static")
    children = node.values[0].children if node.values else ()
    return {
        "name": node.name,
        "label": given.get("label") or node.name,
        "description": given.get("description"),
        "advanced": bool(given.get("advanced")),
        "required": bool(given["required"]),
        "user-settable": settable if settable is not None else True,
        "multiple": bool(given.get("multiple")) or given["type"] == "select-many",
        "input-type": kind,
        "derived-value-info": None,
        "derived-value-message": None,
        "select-values": given.get("select-values") or [],
        "children": [_config_tree(child) for child in children],
    }


def _value_tree(node: Node) -> dict[str, Any]:
    return {"name": node.name, "values": [_value(value) for value in node.values]}


def _value(value: Value) -> dict[str, Any]:
    return {"value": value.text, "label": value.label, "children": [_value_tree(child) for child in value.children]}


def _routes() -> list[Route]:
    found = []
    for path in (WRAPPER, "/wrapper/{wrapper:int}", BY_NAME):
        for scope, access in (("/xapi", Access.USER), ("/xapi/projects/{project}", Access.USER)):
            for way in ("", "/root/{root}"):
                found.append(Route("POST", f"{scope}{path}{way}/launch", launch, access))
                found.append(Route("POST", f"{scope}{path}{way}/bulklaunch", bulk_launch, access))
            found.append(Route("GET", f"{scope}{path}/launch", form, access))
            found.append(Route("GET", f"{scope}{path}/bulklaunch", form, access))
    return found


ROUTES = _routes()
