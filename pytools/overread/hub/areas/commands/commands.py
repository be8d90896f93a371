"""Command documents: ``/xapi/commands``."""

from __future__ import annotations

import copy
from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right, readable_projects
from overread.hub.areas.commands.wrappers import WRAPPER, require_manager
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Command
from overread.hub.runs.documents import (
    delete_command,
    find_wrapper,
    forget_wrapper,
    get_command,
    is_enabled,
    save_command,
)
from overread.hub.runs.orchestrations import disable_those_with


def listed(call: Call) -> Response:
    """List commands."""
    name, version, image = (call.query.get(key) for key in ("name", "version", "image"))
    if version and not name:
        raise bad_request("If version is specified, name must be specified as well.")
    rows = select(Command).order_by(Command.id)
    for column, value in ((Command.name, name), (Command.version, version), (Command.image, image)):
        if value:
            rows = rows.where(column == value)
    documents = [command.document for command in call.db.scalars(rows)]
    if call.flag("restrictToEnabledForSite"):
        documents = [document for document in documents if _any_enabled(call, document)]
    return JSONResponse(documents)


def show(call: Call) -> Response:
    """Show one command."""
    return JSONResponse(get_command(call.db, call.params["command"]).document)


def create(call: Call) -> Response:
    """Add a command; the answer is its number."""
    require_manager(call)
    document = call.json_object()
    if call.query.get("image") and not document.get("image"):
        document["image"] = call.query["image"]
    return JSONResponse(save_command(call.db, document).id, status_code=201)


def change(call: Call) -> Response:
    """Replace a command. Wrappers that keep their names keep their ids."""
    require_manager(call)
    save_command(call.db, call.json_object(), command=get_command(call.db, call.params["command"]))
    return answers.text()


def delete(call: Call) -> Response:
    """Forget a command."""
    require_manager(call)
    command = get_command(call.db, call.params["command"])
    for wrapper in command.document["xnat"]:
        disable_those_with(call.db, wrapper["id"])
    delete_command(call.db, command)
    return answers.text(status=204)


def set_visibility(call: Call) -> Response:
    """Set who may see a command."""
    require_manager(call)
    command = get_command(call.db, call.params["command"])
    save_command(call.db, command.document | {"visibility": call.params["visibility"]}, command=command)
    return answers.text()


def create_wrapper(call: Call) -> Response:
    """Add a wrapper to a command; the answer is its number."""
    require_manager(call)
    command = get_command(call.db, call.params["command"])
    document = copy.deepcopy(command.document)
    wrapper = call.json_object()
    document["xnat"].append(wrapper)
    saved = save_command(call.db, document, command=command).document
    return JSONResponse(saved["xnat"][-1]["id"], status_code=201)


def change_wrapper(call: Call) -> Response:
    """Replace a wrapper. It keeps its id, also under another name."""
    require_manager(call)
    command = get_command(call.db, call.params["command"])
    document = copy.deepcopy(command.document)
    place = _place(document, call.params["wrapper"])
    old = document["xnat"][place]
    new = call.json_object()
    document["xnat"][place] = new | {"name": new.get("name") or old["name"], "id": old["id"]}
    save_command(call.db, document, command=command)
    return answers.text()


def delete_wrapper(call: Call) -> Response:
    """Take a wrapper from its command."""
    require_manager(call)
    wrapper = find_wrapper(call.db, call.params["wrapper"])
    command = get_command(call.db, wrapper.command_id)
    document = copy.deepcopy(command.document)
    disable_those_with(call.db, wrapper.id)
    del document["xnat"][_place(document, wrapper.id)]
    command.document = document
    forget_wrapper(call.db, wrapper.id)
    return answers.text(status=204)


def available(call: Call) -> Response:
    """List the wrappers that can be launched in a project on objects of a type."""
    project = call.params.get("project") or call.query.get("project", "")
    if not project:
        raise bad_request("Name the project.")
    call.require(project, Right.READ)
    return JSONResponse([row for row in _available(call, [project]) if row["enabled"]])


def available_on_site(call: Call) -> Response:
    """List the wrappers that can be launched on the site, or in all of some projects."""
    asked = [name for name in call.query.get("projects", "").split(",") if name]
    readable = readable_projects(call.db, call.caller)
    return JSONResponse([row for row in _available(call, [p for p in asked if p in readable]) if row["enabled"]])


def _available(call: Call, projects: list[str]) -> list[dict[str, Any]]:
    wanted = call.query.get("xsiType", "")
    rows = []
    for command in call.db.scalars(select(Command).order_by(Command.id)):
        for wrapper in command.document["xnat"]:
            contexts = wrapper["contexts"]
            fits = not wanted or any(
                context == wanted or call.hub.schemas.is_a(wanted, context) for context in contexts
            )
            if fits:
                rows.append(_summary(call, command, wrapper, projects))
    return rows


def _summary(call: Call, command: Command, wrapper: dict[str, Any], projects: list[str]) -> dict[str, Any]:
    document = command.document
    external = wrapper["external-inputs"]
    return {
        "command-id": command.id,
        "command-name": command.name,
        "command-label": document["label"],
        "command-description": document["description"],
        "wrapper-id": wrapper["id"],
        "wrapper-name": wrapper["name"],
        "wrapper-label": wrapper.get("label"),
        "wrapper-description": wrapper.get("description"),
        "wrapper-contexts": wrapper["contexts"],
        "image-name": command.image,
        "image-type": document["type"],
        "enabled": all(is_enabled(call.db, wrapper["id"], place) for place in ("", *projects)),
        "root-element-name": external[0]["name"] if external else None,
    }


def _any_enabled(call: Call, document: dict[str, Any]) -> bool:
    return any(is_enabled(call.db, wrapper["id"], "") for wrapper in document["xnat"])


def _place(document: dict[str, Any], wrapper_id: int) -> int:
    for place, wrapper in enumerate(document["xnat"]):
        if wrapper.get("id") == wrapper_id:
            return place
    raise not_found(f"wrapper {wrapper_id}")


ROUTES = [
    Route("GET", "/xapi/commands", listed),
    Route("POST", "/xapi/commands", create),
    Route("GET", "/xapi/commands/available", available),
    Route("GET", "/xapi/commands/available/site", available_on_site),
    Route("GET", "/xapi/projects/{project}/commands/available", available, Access.READ),
    Route("GET", "/xapi/commands/{command:int}", show),
    Route("POST", "/xapi/commands/{command:int}", change),
    Route("DELETE", "/xapi/commands/{command:int}", delete),
    Route("POST", "/xapi/command/{command:int}/visibility/{visibility}", set_visibility),
    Route("POST", "/xapi/commands/{command:int}/wrappers", create_wrapper),
    Route("POST", "/xapi/commands/{command:int}/wrappers/{wrapper:int}", change_wrapper),
    Route("DELETE", f"/xapi{WRAPPER}", delete_wrapper),
]
