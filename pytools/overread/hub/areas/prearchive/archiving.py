"""``/data/services/archive`` and ``/data/services/validate-archive``; and what a commit archives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from overread.hub import answers
from overread.hub.access import Right
from overread.hub.areas.prearchive import store
from overread.hub.arrival.archive import ArchiveRequest, Overwrite, archive_session, validate
from overread.hub.arrival.assignment import find_project
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call
from overread.hub.models import PrearchiveSession

_OVERWRITING: Final[Mapping[str, Overwrite]] = {"append": "append", "delete": "delete", "override": "delete"}


def sources(call: Call) -> list[str]:
    """Return the sessions that a call names by ``src``, which may be given more than once; 400 if there is none."""
    found = [value for key, value in call.request.query_params.multi_items() if key == "src"]
    found += [call.form["src"]] if call.form.get("src") else []
    if not found:
        raise bad_request("Name the session: src=/prearchive/projects/P/TIMESTAMP/SESSION.")
    return found


def archive(call: Call) -> Response:
    """Archive one session and tell its path; or several, each by itself, and tell what is left of them."""
    named = sources(call)
    if len(named) == 1:
        with call.hub.database.write() as db:
            uri = archive_one(call, db, store.by_uri(db, named[0]), whole=True)
        if call.flag("redirect"):
            return RedirectResponse(uri, status_code=303)
        return answers.text(f"{uri}\r\n")
    for source in named:  # all must be there and may be archived, before the first is
        store.require(call.db, call.caller, store.by_uri(call.db, source).project)
    rows = [_archive_of_several(call, source) for source in named]
    return answers.table(rows, store.COLUMNS, form=call.format or "json", total=len(rows))


def validate_archive(call: Call) -> Response:
    """Say what stands against archiving a session, without archiving it."""
    named = sources(call)
    if len(named) > 1:
        raise bad_request("Cannot validate multiple sessions in one request.")
    session = store.by_uri(call.db, named[0])
    store.require(call.db, call.caller, session.project)
    rows = [
        {"code": notice.code, "type": notice.type, "message": notice.message}
        for notice in validate(call.db, call.hub, session, _request(call, session, whole=True))
    ]
    return answers.table(rows, ("code", "type", "message"), form=call.format or "json", total=len(rows))


def archive_one(call: Call, db: Session, session: PrearchiveSession, *, whole: bool) -> str:
    """Archive one session within the transaction of `db` and return its path in the archive.

    `whole` says whether subject and label of the call hold for it: they do not for several.
    """
    store.require(db, call.caller, session.project)
    request = _request(call, session, whole=whole)
    if request.project != session.project:
        call.require(request.project, Right.EDIT)
    return store.archive_uri(db, archive_session(db, call.hub, session, request))


def _archive_of_several(call: Call, source: str) -> dict[str, object]:
    with call.hub.database.read() as db:
        pk = store.by_uri(db, source).pk
    try:
        with call.hub.database.write() as db:
            archive_one(call, db, db.get_one(PrearchiveSession, pk), whole=False)
    except HubError as problem:
        if problem.status < 500 and problem.status != 409:  # noqa: PLR2004 - the others are marked on the session
            raise
    with call.hub.database.read() as db:
        return store.row(db, db.get_one(PrearchiveSession, pk))


def _request(call: Call, session: PrearchiveSession, *, whole: bool) -> ArchiveRequest:
    query = {**call.form, **call.query}
    places = _destination(query.get("dest", ""))
    project = query.get("project") or places.get("projects", "") or session.project
    if project != session.project:
        known = find_project(call.db, project)
        if not known:
            raise not_found(f"project {project}")
        project = known
    overwrite = _OVERWRITING.get(query.get("overwrite", "").lower(), "none")
    if overwrite == "append" and query.get("overwrite_files", "").lower() == "true":
        overwrite = "delete"
    return ArchiveRequest(
        user=call.caller.login,
        overwrite=overwrite,
        project=project,
        subject=(query.get("subject") or places.get("subjects", "")) if whole else "",
        label=(query.get("session") or places.get("experiments", "")) if whole else "",
        reason=f"archived by {call.caller.login}",
    )


def _destination(path: str) -> dict[str, str]:
    """Read ``dest``: ``/archive/projects/P/subjects/S/experiments/E``, as far as it goes."""
    if not path:
        return {}
    place, *rest = [part for part in path.removeprefix("/data").split("/") if part] or [""]
    if place != "archive" or len(rest) % 2 or not set(rest[::2]) <= {"projects", "subjects", "experiments"}:
        raise bad_request(f"dest={path!r}: write /archive/projects/P/subjects/S/experiments/E.")
    return dict(zip(rest[::2], rest[1::2], strict=True))
