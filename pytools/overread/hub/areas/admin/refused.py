"""Objects that could not be taken: kept aside with the reason, until an administrator files or deletes them."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import FileResponse, JSONResponse, Response

from overread.errors import DataError
from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.admin.objects import lines, row
from overread.hub.arrival.assignment import Hints, Rules, find_project
from overread.hub.arrival.objects import Header, read_file_header
from overread.hub.arrival.spooling import Spooled, spool_file
from overread.hub.arrival.storage import Fate, Incoming, Receipt, Storing
from overread.hub.database import after_commit, undo
from overread.hub.errors import bad_request, conflict, not_found, unprocessable
from overread.hub.http import Call, Route
from overread.hub.models import ReceivedObject
from overread.hub.receiver.settings import find_receiver, rows_of_port, rules_of

_SOURCE = re.compile(r"(?P<title>.{1,16}):(?P<port>\d{1,5}) from .*")
_PIECE = 1 << 20


def show(call: Call) -> Response:
    """Show one: its line of the ledger, what its header says, and whether its file is there."""
    found = call.db.execute(lines().where(ReceivedObject.pk == call.params["line"])).first()
    if found is None or found[0].state != "refused":
        raise not_found(f"refused object {call.params['line']}")
    call.about.item = f"object {found[0].pk}"
    path = _path(call, found[0])
    return JSONResponse(row(*found) | {"header": found[0].header, "kept": path is not None})


def download(call: Call) -> Response:
    """Send the file as it came."""
    line = _line(call)
    return FileResponse(
        _kept(call, line),
        media_type="application/dicom",
        filename=f"refused-{line.pk}.dcm",
        headers={"x-content-type-options": "nosniff", "cache-control": "no-store"},
    )


def delete(call: Call) -> Response:
    """Delete the file. The ledger keeps its line."""
    line = _line(call)
    path = _path(call, line)
    if path is not None:
        after_commit(call.db, lambda: path.unlink(missing_ok=True))
    line.state, line.path = "deleted", ""
    line.reason = f"{line.reason}; deleted by {call.caller.login}"
    return answers.text(status=204)


def file_again(call: Call) -> Response:
    """File it as if it came now: as it is, or a mended file that is sent as the body.

    ``project`` names where it goes; without it the rules of the receiver it came by decide, as they are now. 422 if it
    still can't be taken, 409 if another object of its UID stands in its place; then nothing has changed.
    """
    line = _line(call)
    kept = _path(call, line)
    spooled = _mended(call) if call.uploads else Spooled(_kept(call, line), line.digest, line.size)
    header = _header(spooled)
    project = call.query.get("project", "")
    if project and not find_project(call.db, project):
        raise bad_request(f"There is no project {project}.")
    incoming = Incoming(spooled, header, f"filed again by {call.caller.login}")
    with Storing(call.db, call.hub) as storing:
        receipt = storing.store(incoming, rules=_rules(call, line), hints=Hints(project=project))
        if receipt.fate is Fate.SET_ASIDE:
            raise conflict(
                "Another object with this SOP Instance UID is there already. Delete that one first, or give this one a"
                " UID of its own."
            )
    if kept is not None:
        after_commit(call.db, lambda: kept.unlink(missing_ok=True))
    call.db.flush()
    line.state, line.path = "deleted", ""
    words = "it was there already" if receipt.fate is Fate.DUPLICATE else "filed again"
    line.reason = f"{line.reason}; {words}, by {call.caller.login}"
    return JSONResponse({"fate": receipt.fate.value, "line": _newest(call.db, header, receipt)}, status_code=201)


def _line(call: Call) -> ReceivedObject:
    line = call.db.get(ReceivedObject, call.params["line"])
    if line is None or line.state != "refused":
        raise not_found(f"refused object {call.params['line']}")
    call.about.item = f"object {line.pk}"
    return line


def _path(call: Call, line: ReceivedObject) -> Path | None:
    """Return where the file lies, None if it is gone."""
    path = call.hub.layout.home / line.path
    return path if line.path and path.parent == call.hub.layout.refused and path.is_file() else None


def _kept(call: Call, line: ReceivedObject) -> Path:
    path = _path(call, line)
    if path is None:
        raise not_found(f"the file of refused object {line.pk}: somebody has taken it away")
    return path


def _mended(call: Call) -> Spooled:
    with call.uploads[0].path.open("rb") as stream:
        spooled = spool_file(call.hub, iter(lambda: stream.read(_PIECE), b""))
    undo(call.db, lambda: spooled.path.unlink(missing_ok=True))
    return spooled


def _header(spooled: Spooled) -> Header:
    try:
        return read_file_header(spooled.path)
    except DataError as problem:
        raise unprocessable(f"It can't be taken: {problem}") from problem


def _rules(call: Call, line: ReceivedObject) -> Rules | None:
    """Return the rules of the receiver that an object came by, None if it came otherwise or the receiver is gone."""
    source = _SOURCE.fullmatch(line.source)
    if source is None:
        return None
    ports = rows_of_port(call.hub.config, int(source["port"]))
    receiver = find_receiver(call.db, source["title"], ports)
    return None if receiver is None else rules_of(receiver)


def _newest(db: Session, header: Header, receipt: Receipt) -> int | None:
    """Return the line of the object that was just filed."""
    mine = select(ReceivedObject.pk).where(
        ReceivedObject.sop_instance_uid == header.sop_instance_uid,
        ReceivedObject.prearchive_pk == receipt.prearchive_pk,
    )
    return db.scalar(mine.order_by(ReceivedObject.pk.desc()).limit(1))


_LINE = "/xapi/overread/refused/{line:int}"

ROUTES = [
    Route("GET", _LINE, show, Access.ADMIN),
    Route("DELETE", _LINE, delete, Access.ADMIN),
    Route("GET", f"{_LINE}/file", download, Access.ADMIN),
    Route("POST", f"{_LINE}/file", file_again, Access.ADMIN),
]
