"""``/data/config`` and ``/data/projects/P/config``."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import PlainTextResponse, Response

from overread.hub import answers
from overread.hub.access import Right
from overread.hub.areas.config import store
from overread.hub.arrival.anonymising import check_config
from overread.hub.arrival.assignment import check_site_rules
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import ConfigEntry
from overread.hub.rest.locate import project_of

_COLUMNS = ("tool", "path", "project", "user", "create_date", "reason", "contents", "unversioned", "version", "status")


def list_tools(call: Call) -> Response:
    """List the tools that have configurations."""
    found = store.list_configs(call.db, project=_project(call))
    tools = dict.fromkeys(entry.tool for entry in found)
    return answers.table([{"tool": tool} for tool in tools], ("tool",), form=call.format, total=len(tools))


def list_of_tool(call: Call) -> Response:
    """List the configurations of a tool."""
    found = store.list_configs(call.db, project=_project(call), tool=call.params["tool"])
    if not found:
        return _absent(call)
    return _table(call, found)


def get_config(call: Call) -> Response:
    """Give a configuration: the text itself with ``contents=true``, else a table of one row."""
    where = {"project": _project(call), "tool": call.params["tool"], "path": call.params["path"]}
    version = call.query.get("version", "")
    if version and not version.isdecimal():
        raise bad_request(f"version={version}: write a number.")
    if version:
        entry = store.config_version(call.db, **where, version=int(version))
    else:
        entry = store.current_config(call.db, **where)
    if entry is None:
        return _absent(call)
    if call.flag("contents"):
        return PlainTextResponse(entry.contents)
    return _table(call, [entry])


def _absent(call: Call) -> Response:
    if call.flag("accept-not-found"):
        return Response(status_code=204)
    raise not_found(f"configuration {call.params['tool']}/{call.params.get('path', '')}")


def put_config(call: Call) -> Response:
    """Store a configuration, 201 the first time; ``status=`` switches it on or off."""
    project = _project(call, Right.OWN)
    contents = call.text() if call.uploads else call.form.get("contents")
    check_site_rules(tool=call.params["tool"] if not project else "", path=call.params["path"], contents=contents)
    check_config(tool=call.params["tool"], path=call.params["path"], contents=contents)
    _entry, first = store.put_config(
        call.db,
        project=project,
        tool=call.params["tool"],
        path=call.params["path"],
        contents=contents,
        user=call.caller.login,
        status=call.query.get("status", ""),
    )
    return answers.text(status=201 if first else 200)


def delete_config(call: Call) -> Response:
    """Switch a configuration off; as in XNAT its versions stay."""
    project = _project(call, Right.OWN)
    where = {"project": project, "tool": call.params["tool"], "path": call.params["path"]}
    if store.current_config(call.db, **where) is None:
        raise not_found(f"configuration {where['tool']}/{where['path']}")
    store.put_config(call.db, **where, contents=None, user=call.caller.login, status="disabled")
    return answers.text()


def _project(call: Call, right: Right = Right.READ) -> str:
    """Return the project of the path, "" for the site, whose configurations only an administrator changes."""
    if "project" in call.params:
        return project_of(call, right).id
    if right is not Right.READ:
        call.require_admin()
    return store.SITE


def _table(call: Call, entries: Sequence[ConfigEntry]) -> Response:
    rows = [
        {
            "tool": entry.tool,
            "path": entry.path,
            "project": entry.project,
            "user": entry.user,
            "create_date": entry.created,
            "reason": "",
            "contents": entry.contents,
            "unversioned": False,
            "version": entry.version,
            "status": entry.status,
        }
        for entry in entries
    ]
    return answers.table(rows, _COLUMNS, form=call.format, total=len(rows))


ROUTES = [
    route
    for place in ("/data/config", "/data/projects/{project}/config")
    for route in (
        Route("GET", place, list_tools),
        Route("GET", f"{place}/{{tool}}", list_of_tool),
        Route("GET", f"{place}/{{tool}}/{{path:path}}", get_config),
        Route("PUT", f"{place}/{{tool}}/{{path:path}}", put_config),
        Route("DELETE", f"{place}/{{tool}}/{{path:path}}", delete_config),
    )
]
