"""``/data/prearchive`` and the services that work on it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.prearchive import archiving, store
from overread.hub.arrival import prearchive
from overread.hub.arrival.moving import move_session
from overread.hub.errors import HubError, bad_request, conflict, not_found
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
        raise HubError(
            404,
            "The named session exists, but its XNAT session document is not available: it is built when the session"
            " is archived.",
        )
    return _table(call, [session])


def show_logs(call: Call) -> Response:
    """Say why a session is in its state."""
    entries = store.logs(_session(call))
    which = call.params.get("which")
    if which == "last":
        return answers.text(entries[-1]["entry"] if entries else "")
    if which:
        found = [entry["entry"] for entry in entries if entry["id"] == which]
        if not found:
            raise not_found(f"log entry {which}")
        return answers.text(found[0])
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
    if action in {"build", "commit", "move"}:
        _check_unlocked(session)
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
            return _uri(prearchive.uri_of(session), status=200)
        case "set-status":
            _set_status(session, _parameter(call, "status").upper())
            return answers.text()
        case _:
            raise bad_request(f"Unknown action {action!r}: build, commit, move, reset-status or set-status.")


def remove(call: Call) -> Response:
    """Delete a session."""
    session = _session(call)
    _check_unlocked(session)
    prearchive.delete(call.db, call.hub, session, reason=f"deleted by {call.caller.login}")
    return answers.text()


def remove_scan(call: Call) -> Response:
    """Delete one series of a session; the session goes with its last one."""
    session = _session(call)
    _check_unlocked(session)
    reason = f"deleted by {call.caller.login}"
    prearchive.delete_objects(call.db, call.hub, store.objects_of_scan(call.db, session, call.params["scan"]), reason)
    if not prearchive.objects_of(call.db, session):
        prearchive.delete(call.db, call.hub, session, reason=reason)
    return answers.text()


def refuse_trailing(_call: Call) -> Response:
    """Refuse to delete what is not a session, as XNAT does."""
    raise bad_request("Only a session or one of its scans can be deleted.")


def refresh(_call: Call) -> Response:
    """Read the prearchive again: what the receiver took is filed now; the rest is always as it is on disk."""
    return answers.text()


def several(call: Call) -> Response:
    """Delete, rebuild or move sessions (`src`, may be given more than once)."""
    sessions = [store.by_uri(call.db, source) for source in archiving.sources(call)]
    for session in sessions:
        store.require(call.db, call.caller, session.project)
        _check_unlocked(session)
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
    found = store.find(call.db, project, call.params["timestamp"], call.params["session"])
    call.about.item, call.about.project = f"prearchive session {found.pk}", project
    return found


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
    return _uri(archiving.archive_one(call, call.db, session, whole=True), status=301)


def _check_unlocked(session: PrearchiveSession) -> None:
    if prearchive.is_locked(session):
        raise conflict("session document locked")


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
    Route("PUT", "/data/prearchive", refresh, Access.ADMIN, files_first=True),
    Route("GET", "/data/prearchive/projects/{project}", list_projects, Access.USER),
    Route("PUT", "/data/prearchive/projects/{project}", refresh, Access.EDIT, files_first=True),
    Route("GET", _BASE, show, Access.USER),
    Route("POST", _BASE, act, Access.USER, files_first=True),
    Route("DELETE", _BASE, remove, Access.USER, files_first=True),
    Route("GET", _BASE + "/logs", show_logs, Access.USER),
    Route("GET", _BASE + "/logs/{which}", show_logs, Access.USER),
    Route("GET", _BASE + "/scans", list_scans, Access.USER),
    Route("GET", _BASE + "/scans/{scan}/resources", list_resources, Access.USER),
    Route("GET", _BASE + "/scans/{scan}/resources/DICOM/files", list_files, Access.USER),
    Route("DELETE", _BASE + "/scans/{scan}", remove_scan, Access.USER, files_first=True),
    Route("DELETE", _BASE + "/{rest:path}", refuse_trailing, Access.USER),
    # Each session is archived in a transaction of its own, so this one only reads.
    Route("POST", "/data/services/archive", archiving.archive, Access.USER, writes=False, files_first=True),
    Route(
        "POST",
        "/data/services/validate-archive",
        archiving.validate_archive,
        Access.USER,
        writes=False,
        files_first=True,
    ),
    Route("POST", "/data/services/prearchive/{what}", several, Access.USER, files_first=True),
]
