"""Container runs: listing, logs, ending."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right, may
from overread.hub.areas.commands.wrappers import require_manager
from overread.hub.areas.containers.view import describe, may_see_all
from overread.hub.database import after_commit
from overread.hub.errors import bad_request, conflict, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Container, Membership
from overread.hub.runs.logs import STDERR, STDOUT, read_since
from overread.hub.runs.rerun import rerun
from overread.hub.runs.spec import run_folder
from overread.hub.runs.states import is_finished

_LOGS = {"stdout": STDOUT, "stderr": STDERR, STDOUT: STDOUT, STDERR: STDERR}
_LARGE = 10**6
_SORTABLE = {"id": Container.id, "status": Container.status, "status-time": Container.status_time}


def listed(call: Call) -> Response:
    """List the runs that the caller launched, owns the project of, or administers."""
    return _answer(
        call, call.db.connection().execute(_seen(call, select(*Container.__table__.c)).order_by(Container.id))
    )


def listed_in_project(call: Call) -> Response:
    """List the runs of a project; who owns neither it nor a run sees no more than its state."""
    return _answer(call, _rows(call, project=call.params["project"]))


def named_in_project(call: Call) -> Response:
    """List the runs of a project with a container name."""
    name = call.params["name"]
    rows = _rows(call, project=call.params["project"])
    return _answer(call, (one for one in rows if one.resolved.get("container-name") == name))


def named(call: Call) -> Response:
    """Show the newest run with a container name."""
    found = [one.id for one in _rows(call) if one.resolved.get("container-name") == call.params["name"]]
    if not found:
        raise not_found(f"container {call.params['name']}")
    return JSONResponse(_describe(call, _readable(call, call.db.get_one(Container, found[-1]))))


def paged(call: Call) -> Response:
    """List one page of runs."""
    paging = call.json() or {}
    if not isinstance(paging, dict):
        raise bad_request("The body must be a JSON object.")
    column = _SORTABLE.get(str(paging.get("sort_col", "id")), Container.id)
    order = column.asc() if paging.get("sort_dir") == "asc" else column.desc()
    size, page = paging.get("size", 50), paging.get("page", 1)
    if not all(type(number) is int and 0 < number < _LARGE for number in (size, page)):
        raise bad_request("size and page must be positive numbers.")
    rows = _seen(call, select(*Container.__table__.c)).order_by(order).offset((page - 1) * size).limit(size)
    return _answer(call, call.db.connection().execute(rows))


def show(call: Call) -> Response:
    """Show one run, by its number or the backend's name for it."""
    return JSONResponse(_describe(call, _readable(call, _find(call))))


def kill(call: Call) -> Response:
    """End a run. Who launched it, owns its project or administers may."""
    container = _find(call)
    _require_all(call, container)
    if is_finished(container.status):
        raise conflict(f"Container {container.id} has ended already: {container.status}.")
    call.hub.runs.kill(call.db, container, user=call.caller.login)
    return answers.text(str(container.id))


def run_again(call: Call) -> Response:
    """Queue a failed run again: 201 and the new run, or 200 and the run that does it again already."""
    old = _readable(call, _find(call))
    if not may(call.db, call.caller, old.project, Right.EDIT):
        raise forbidden(f"The user may not launch containers in project {old.project}.")
    new, made = rerun(call.db, call.hub, old, user=call.caller.login)
    answer = {"id": new.id, "rerun-of": old.id, "status": new.status, "created": made}
    return JSONResponse(answer, status_code=201 if made else 200)


def delete(call: Call) -> Response:
    """Forget a run that has ended. What it stored stays."""
    container = _find(call)
    require_manager(call)
    if not is_finished(container.status):
        raise conflict(f"Container {container.id} has not ended: end it first.")
    folder = run_folder(call.hub, container.id)
    call.db.delete(container)
    after_commit(call.db, lambda: shutil.rmtree(folder, ignore_errors=True))
    return answers.text(status=204)


def logs(call: Call) -> Response:
    """Send all logs as a zip archive."""
    container = _find(call)
    _require_all(call, container)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (STDOUT, STDERR):
            path = run_folder(call.hub, container.id) / "log" / name
            if path.exists():
                archive.write(path, name)
    disposition = f'attachment; filename="{container.id}_logs.zip"'
    return Response(buffer.getvalue(), media_type="application/zip", headers={"content-disposition": disposition})


def log(call: Call) -> Response:
    """Send one log as text."""
    return answers.text(read_since(run_folder(call.hub, _logged(call).id) / "log" / _log_name(call), 0))


def log_since(call: Call) -> Response:
    """Send one log if it has changed since a moment; ``timestamp`` -1 says that no more will come."""
    container = _logged(call)
    since = call.query.get("since", "0")
    moment = float(since) if since.replace(".", "", 1).isdecimal() else 0.0
    content = read_since(run_folder(call.hub, container.id) / "log" / _log_name(call), moment)
    finished = is_finished(container.status)
    timestamp = -1 if finished else int(time.time())
    return JSONResponse({"content": content, "fromFile": finished, "timestamp": timestamp, "bytesRead": -1})


def version(_call: Call) -> Response:
    """Say that this service fits this server."""
    return JSONResponse({"compatible": True, "message": ""})


def _find(call: Call) -> Container:
    name: str = call.params["container"]
    by_name = select(Container).where(Container.backend_id == name).order_by(Container.id.desc()).limit(1)
    container = call.db.get(Container, int(name)) if name.isdecimal() and len(name) < 10 else call.db.scalar(by_name)  # noqa: PLR2004
    project = call.params.get("project")
    if container is None or (project is not None and container.project != project):
        raise not_found(f"container {name}")
    call.about.item, call.about.project = f"run {container.id}", container.project
    return container


def _readable(call: Call, container: Container) -> Container:
    if not _sees_all(call, container) and not may(call.db, call.caller, container.project, Right.READ):
        raise not_found(f"container {container.id}")
    return container


def _logged(call: Call) -> Container:
    container = _find(call)
    _require_all(call, container)
    return container


def _log_name(call: Call) -> str:
    name = _LOGS.get(call.params["file"])
    if name is None:
        raise not_found(f"log {call.params['file']}: there are stdout and stderr")
    return name


def _require_all(call: Call, container: Container) -> None:
    _readable(call, container)
    if not _sees_all(call, container):
        raise forbidden(f"The user may not do this with container {container.id}.")


def _sees_all(call: Call, container: Container) -> bool:
    owns = bool(container.project) and may(call.db, call.caller, container.project, Right.OWN)
    return may_see_all(call.caller, container, owns_project=owns)


def _seen(call: Call, rows: Select[Any]) -> Select[Any]:
    """Leave of `rows` those whose inside the caller sees (see `may_see_all`)."""
    if call.flag("nonfinalized"):
        rows = rows.where(~_has_ended())
    if call.caller.is_admin:
        return rows
    login = call.caller.login
    owned = select(Membership.project).where(Membership.login == login, Membership.role == "owner")
    return rows.where(or_(Container.user == login, Container.project.in_(owned)))


def _rows(call: Call, *, project: str | None = None) -> Iterable[Any]:
    rows = select(*Container.__table__.c).order_by(Container.id)
    if project is not None:
        rows = rows.where(Container.project == project)
    if call.flag("nonfinalized"):
        rows = rows.where(~_has_ended())
    return call.db.connection().execute(rows)


def _has_ended() -> ColumnElement[bool]:
    return or_(*(func.lower(Container.status).startswith(word) for word in ("complete", "failed")))


def _answer(call: Call, rows: Iterable[Any]) -> Response:
    """Describe runs: there may be ten thousand, so a project's owners are asked for once."""
    owns = {"": False}
    backend, running_only = call.hub.runs.runner.backend, call.flag("nonfinalized")
    found = []
    for one in rows:
        if running_only and is_finished(one.status):
            continue
        if one.project not in owns:
            owns[one.project] = may(call.db, call.caller, one.project, Right.OWN)
        full = may_see_all(call.caller, one, owns_project=owns[one.project])
        found.append(describe(one, full=full, backend=backend))
    return answers.json_of(found)


def _describe(call: Call, container: Container) -> dict[str, Any]:
    return describe(container, full=_sees_all(call, container), backend=call.hub.runs.runner.backend)


def finalize(call: Call) -> Response:
    """Refuse: here a run's outputs are stored in one step with its end, there is nothing left to finalize."""
    require_manager(call)
    container = _find(call)
    raise conflict(
        f"Container {container.id} is {container.status}: its outputs are stored when it ends, or not at all."
    )


ROUTES = [
    Route("GET", "/xapi/containers", listed),
    Route("POST", "/xapi/containers", paged, writes=False),
    Route("GET", "/xapi/containers/version", version),
    Route("GET", "/xapi/projects/{project}/containers", listed_in_project, Access.READ),
    Route("GET", "/xapi/projects/{project}/containers/name/{name}", named_in_project, Access.READ),
    Route("GET", "/xapi/container/name/{name}", named),
    Route("GET", "/xapi/containers/{container}", show),
    Route("DELETE", "/xapi/containers/{container}", delete),
    Route("POST", "/xapi/containers/{container}/kill", kill),
    Route("POST", "/xapi/projects/{project}/containers/{container}/kill", kill, Access.READ),
    Route("POST", "/xapi/containers/{container}/finalize", finalize),
    Route("POST", "/xapi/overread/runs/{container}/rerun", run_again),
    Route("GET", "/xapi/containers/{container}/logs", logs),
    Route("GET", "/xapi/containers/{container}/logs/{file}", log),
    Route("GET", "/xapi/containers/{container}/logSince/{file}", log_since),
]
