"""``/data/prearchive`` and the services that work on it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, RedirectResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right
from overread.hub.areas.prearchive import store
from overread.hub.arrival import prearchive
from overread.hub.arrival.archive import ArchiveRequest, archive_session
from overread.hub.arrival.moving import move_session
from overread.hub.errors import HubError, bad_request
from overread.hub.http import Call, Route
from overread.hub.models import PrearchiveSession

_BASE = "/data/prearchive/projects/{project}/{timestamp}/{session}"


def list_all(call: Call) -> Response:
    """List the sessions of all projects that the caller may change; ``tag`` looks one up by its study's UID."""
    uid = call.query.get("tag", "")
    if uid:
        call.require_admin()
    projects = store.editable_projects(call.db, call.caller)
    return _table(call, prearchive.sessions(call.db, projects=projects, study_instance_uid=uid))


def list_projects(call: Call) -> Response:
    """List the sessions of one project, or of several separated by commas."""
    projects = [name for name in call.params["project"].split(",") if name]
    for project in projects:
        store.require(call.db, call.caller, project)
    return _table(call, prearchive.sessions(call.db, projects=projects))


def show(call: Call) -> Response:
    """Show one session, or send its files as a zip."""
    session = _session(call)
    if call.format == "zip":
        return _zip(call, session)
    if call.format == "xml":
        raise HubError(404, "The session's XML is built when it is archived.")
    return _table(call, [session])


def show_logs(call: Call) -> Response:
    """Say why a session is in its state."""
    entries = store.logs(_session(call))
    if call.params.get("which"):
        return answers.text(entries[-1]["entry"] if entries else "")
    return answers.table(entries, ("id", "date", "entry"), form=call.format or "json", total=len(entries))


def list_scans(call: Call) -> Response:
    """List the series of a session."""
    rows = store.scans(call.db, call.hub, _session(call))
    return answers.table(rows, ("ID", "xsiType", "series_description"), form=call.format or "json", total=len(rows))


def list_resources(call: Call) -> Response:
    """List the one resource of a series."""
    objects = store.objects_of_scan(call.db, _session(call), call.params["scan"])
    row = {"label": "DICOM", "file_count": len(objects), "file_size": store.total_size(objects)}
    return answers.table([row], tuple(row), form=call.format or "json", total=1)


def list_files(call: Call) -> Response:
    """List the files of a series."""
    base = call.path.rstrip("/")
    rows = [
        {"Name": Path(item.path).name, "Size": item.size, "URI": f"{base}/{Path(item.path).name}"}
        for item in store.objects_of_scan(call.db, _session(call), call.params["scan"])
    ]
    return answers.table(rows, ("Name", "Size", "URI"), form=call.format or "json", total=len(rows))


def act(call: Call) -> Response:
    """Build, commit, move a session or set its status."""
    session = _session(call)
    action = call.query.get("action", call.form.get("action", "")).lower()
    match action:
        case "build":
            _build(session)
            return _uri(prearchive.uri_of(session), status=200)
        case "commit":
            return _commit(call, session)
        case "move":
            project = _parameter(call, "newProject")
            store.require(call.db, call.caller, project)
            move_session(call.db, call.hub, session, project=project)
            return _uri(prearchive.uri_of(session), status=301)
        case "reset-status":
            _set_status(session, prearchive.READY)
            return answers.text()
        case "set-status":
            _set_status(session, _parameter(call, "status").upper())
            return answers.text()
        case _:
            raise bad_request(f"Unknown action {action!r}: build, commit, move, reset-status or set-status.")


def remove(call: Call) -> Response:
    """Delete a session."""
    session = _session(call)
    prearchive.delete(call.db, call.hub, session, reason=f"deleted by {call.caller.login}")
    return answers.text()


def refresh(call: Call) -> Response:
    """Accept a request to read the prearchive from disk again: it is read at each start, and what comes is noted."""
    call.require_admin()
    return answers.text()


def archive(call: Call) -> Response:
    """Archive sessions (`src`, may be given more than once)."""
    sources = [value for key, value in call.request.query_params.multi_items() if key == "src"]
    sources += [call.form["src"]] if call.form.get("src") else []
    if not sources:
        raise bad_request("Name the session: src=/prearchive/projects/P/TIMESTAMP/SESSION.")
    uris = [_archive(call, store.by_uri(call.db, source), whole=len(sources) == 1) for source in sources]
    if call.flag("redirect"):
        return RedirectResponse(uris[0], status_code=303)
    return answers.text("".join(f"{uri}\r\n" for uri in uris))


def several(call: Call) -> Response:
    """Delete, rebuild or move sessions (`src`, may be given more than once)."""
    sources = [value for key, value in call.request.query_params.multi_items() if key == "src"]
    sources += [call.form["src"]] if call.form.get("src") else []
    sessions = [store.by_uri(call.db, source) for source in sources]
    for session in sessions:
        store.require(call.db, call.caller, session.project)
        match call.params["what"]:
            case "delete":
                prearchive.delete(call.db, call.hub, session, reason=f"deleted by {call.caller.login}")
            case "rebuild":
                _build(session)
            case "move":
                project = _parameter(call, "newProject")
                store.require(call.db, call.caller, project)
                move_session(call.db, call.hub, session, project=project)
            case other:
                raise HubError(404, f"There is no prearchive service {other!r}.")
    return _table(call, sessions)


def _session(call: Call) -> PrearchiveSession:
    project = call.params["project"]
    store.require(call.db, call.caller, project)
    return store.find(call.db, project, call.params["timestamp"], call.params["session"])


def _table(call: Call, sessions: Iterable[PrearchiveSession]) -> Response:
    rows = [store.row(call.db, session) for session in sessions]
    return answers.table(rows, store.COLUMNS, form=call.format or "json", total=len(rows))


def _build(session: PrearchiveSession) -> None:
    session.status, session.reason = prearchive.READY, "built on request"


def _set_status(session: PrearchiveSession, status: str) -> None:
    if status not in prearchive.STATES:
        raise bad_request(f"{status!r} is no status of the prearchive.")
    session.status, session.reason = status, "set on request"


def _commit(call: Call, session: PrearchiveSession) -> Response:
    asked = next((call.query[name] for name in ("auto-archive", "AA") if name in call.query), None)
    archives = prearchive.archives_itself(call.db, session) if asked is None else asked.lower() == "true"
    _build(session)
    if not archives:
        return _uri(prearchive.uri_of(session), status=200)
    return _uri(_archive(call, session, whole=True), status=301)


def _archive(call: Call, session: PrearchiveSession, *, whole: bool) -> str:
    """Archive one session and return its path in the archive."""
    query = {**call.form, **call.query}
    project = query.get("project") or session.project
    store.require(call.db, call.caller, session.project)
    if project != session.project:
        call.require(project, Right.EDIT)
    given = query.get("overwrite", "").lower()
    overwrite: Literal["none", "append"] = "append" if given in {"append", "delete", "override"} else "none"
    request = ArchiveRequest(
        user=call.caller.login,
        overwrite=overwrite,
        project=project,
        subject=query.get("subject", "") if whole else "",
        label=query.get("session", "") if whole else "",
        reason=f"archived by {call.caller.login}",
    )
    target = archive_session(call.db, call.hub, session, request)
    return store.archive_uri(call.db, target)


def _uri(uri: str, *, status: int) -> Response:
    path = uri if uri.startswith("/data") else f"/data{uri}"
    return answers.text(f"{path}\r\n", status=status)


def _parameter(call: Call, name: str) -> str:
    value = call.query.get(name) or call.form.get(name) or ""
    if not value:
        raise bad_request(f"Parameter {name} is missing.")
    return value


def _zip(call: Call, session: PrearchiveSession) -> Response:
    target = call.hub.layout.tmp / f"prearchive-{session.pk}-{id(call):x}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive_file:
        for item in prearchive.objects_of(call.db, session):
            path = Path(item.path)
            archive_file.write(
                call.hub.layout.home / path, f"{session.name}/scans/{store.scan_id_of(item)}/DICOM/{path.name}"
            )
    return FileResponse(
        target,
        media_type="application/zip",
        filename=f"{session.name}.zip",
        background=BackgroundTask(target.unlink, missing_ok=True),
    )


ROUTES = [
    Route("GET", "/data/prearchive", list_all, Access.USER),
    Route("PUT", "/data/prearchive", refresh, Access.ADMIN),
    Route("GET", "/data/prearchive/projects/{project}", list_projects, Access.USER),
    Route("GET", _BASE, show, Access.USER),
    Route("POST", _BASE, act, Access.USER),
    Route("DELETE", _BASE, remove, Access.USER),
    Route("GET", _BASE + "/logs", show_logs, Access.USER),
    Route("GET", _BASE + "/logs/{which}", show_logs, Access.USER),
    Route("GET", _BASE + "/scans", list_scans, Access.USER),
    Route("GET", _BASE + "/scans/{scan}/resources", list_resources, Access.USER),
    Route("GET", _BASE + "/scans/{scan}/resources/DICOM/files", list_files, Access.USER),
    Route("POST", "/data/services/archive", archive, Access.USER),
    Route("POST", "/data/services/prearchive/{what}", several, Access.USER),
]
