"""Where wrappers are enabled, and their defaults, for the site and in projects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, readable_projects
from overread.hub.areas.commands.wrappers import BY_NAME, WRAPPER, require_manager, wrapper_of
from overread.hub.database import after_commit
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import Enablement
from overread.hub.runs.documents import Wrapper, config_of, is_enabled, set_config, set_enabled
from overread.hub.runs.orchestrations import disable_those_with
from overread.hub.runs.shapes import item_problems

_INPUT_KEYS = ("description", "type", "default-value", "matcher", "user-settable", "advanced", "required")
_OUTPUT_KEYS = ("type", "label")


def enabled(call: Call) -> Response:
    """Say whether a wrapper is enabled: ``true`` or ``false`` for the site, a report in a project."""
    wrapper = wrapper_of(call)
    site = is_enabled(call.db, wrapper.id, "")
    project = call.params.get("project")
    if project is None:
        return JSONResponse(site)
    here = is_enabled(call.db, wrapper.id, project)
    return JSONResponse({"enabled-for-site": site, "enabled-for-project": here, "project": project})


def switch(call: Call) -> Response:
    """Enable or disable a wrapper for the site or in a project."""
    if "project" not in call.params:
        require_manager(call)
    on, wrapper = call.path.endswith("/enabled"), wrapper_of(call)
    set_enabled(call.db, wrapper.id, call.params.get("project", ""), enabled=on)
    if not on and "project" not in call.params:
        disable_those_with(call.db, wrapper.id)
    after_commit(call.db, call.hub.warm_up.wake)
    return answers.text()


def projects(call: Call) -> Response:
    """List the projects, of those the caller may read, in which a wrapper is enabled."""
    wrapper = wrapper_of(call)
    rows = call.db.scalars(
        select(Enablement.project).where(
            Enablement.wrapper_id == wrapper.id, Enablement.enabled, Enablement.project != ""
        )
    )
    return JSONResponse(sorted(set(rows) & readable_projects(call.db, call.caller)))


def show_config(call: Call) -> Response:
    """Show a wrapper's inputs and outputs with the defaults that count: its own, the site's, the project's."""
    if "project" not in call.params:
        require_manager(call)
    wrapper = wrapper_of(call)
    inputs = {given["name"]: {key: given.get(key) for key in _INPUT_KEYS} for given in _settable(wrapper)}
    handlers = wrapper.document["output-handlers"]
    outputs = {handler["name"]: {key: handler.get(key) for key in _OUTPUT_KEYS} for handler in handlers}
    return JSONResponse({"inputs": inputs, "outputs": outputs})


def save_config(call: Call) -> Response:
    """Set defaults for the site or a project. What is sent replaces what was set there."""
    if "project" not in call.params:
        require_manager(call)
    wrapper = wrapper_of(call)
    document = call.json_object()
    known = {"inputs": {given["name"] for given in _settable(wrapper)}}
    known["outputs"] = {handler["name"] for handler in wrapper.document["output-handlers"]}
    config: dict[str, Any] = {}
    for section, names in known.items():
        given = document.get(section) or {}
        if not isinstance(given, dict) or not all(isinstance(values, dict) for values in given.values()):
            raise bad_request(f"{section} must be objects by name.")
        unknown = sorted(set(given) - names)
        if unknown:
            raise bad_request(f"Wrapper {wrapper.name} has no {section} named {', '.join(unknown)}.")
        faults = [fault for name, values in given.items() for fault in item_problems(values, f"{section}.{name}.")]
        if faults:
            raise bad_request(" ".join(faults))
        allowed = _INPUT_KEYS if section == "inputs" else _OUTPUT_KEYS
        config[section] = {
            name: {key: values[key] for key in allowed if key in values} for name, values in given.items()
        }
    set_config(call.db, wrapper.id, call.params.get("project", ""), config)
    return answers.text(status=201)


def delete_config(call: Call) -> Response:
    """Forget the defaults set for the site or a project."""
    if "project" not in call.params:
        require_manager(call)
    wrapper = wrapper_of(call)
    if config_of(call.db, wrapper.id, call.params.get("project", "")):
        set_config(call.db, wrapper.id, call.params.get("project", ""), None)
    return answers.text(status=204)


def _settable(wrapper: Wrapper) -> list[dict[str, Any]]:
    """Return all inputs: the wrapper's, and those of the command that none of them provides."""
    inputs = [*wrapper.external_inputs, *wrapper.document["derived-inputs"]]
    provided = {given.get("provides-value-for-command-input") for given in inputs}
    return [*inputs, *(given for given in wrapper.command["inputs"] if given["name"] not in provided)]


def _routes() -> list[Route]:
    found = []
    for path in (WRAPPER, BY_NAME):
        for base, read, write in (
            (f"/xapi{path}", Access.USER, Access.USER),
            (f"/xapi/projects/{{project}}{path}", Access.READ, Access.OWN),
        ):
            found += [
                Route("GET", f"{base}/enabled", enabled, read),
                Route("PUT", f"{base}/enabled", switch, write),
                Route("PUT", f"{base}/disabled", switch, write),
                Route("GET", f"{base}/config", show_config, read if read is Access.USER else Access.EDIT),
                Route("POST", f"{base}/config", save_config, write),
                Route("DELETE", f"{base}/config", delete_config, write),
            ]
        found.append(Route("GET", f"/xapi{path}/projects", projects))
    return found


ROUTES = _routes()
