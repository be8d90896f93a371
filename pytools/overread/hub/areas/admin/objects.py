"""The ledger: a line for every object that reached the hub, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydicom.uid import UID
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute
from starlette.responses import Response

from overread.hub.areas.admin.scope import answer, contains, moment, page_of, wanted_projects
from overread.hub.arrival import prearchive
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import Container, Experiment, PrearchiveSession, ReceivedObject, Workflow

STATES = ("received", "refused", "duplicate", "archived", "used", "deleted")
"""What the query's ``state`` may ask for; ``used`` are those archived ones of whose session a run was begun."""
_UID = re.compile(r"[0-9.]{1,64}")

Line = tuple[ReceivedObject, PrearchiveSession | None, Experiment | None]


def listed(call: Call) -> Response:
    """List the ledger's lines, the newest first.

    ``study``, ``series`` and ``object`` are UIDs or how they begin, ``search`` looks in those of studies and objects,
    or else in reasons and senders; ``state`` and ``project`` narrow it down. Objects of no project are the
    administrators'.
    """
    projects, page = wanted_projects(call), page_of(call)
    numbers = select(ReceivedObject.pk).where(*_conditions(call))
    if projects is not None:
        numbers = (
            numbers.outerjoin(PrearchiveSession, PrearchiveSession.pk == ReceivedObject.prearchive_pk)
            .outerjoin(Experiment, Experiment.id == ReceivedObject.session_id)
            .where(func.coalesce(Experiment.project, PrearchiveSession.project).in_(projects))
        )
    total = call.db.scalar(select(func.count()).select_from(numbers.subquery())) or 0
    newest = numbers.order_by(ReceivedObject.pk.desc()).offset(page.offset).limit(page.size)
    wanted = call.db.scalars(newest).all()
    query = lines().where(ReceivedObject.pk.in_(wanted)).order_by(ReceivedObject.pk.desc())
    found = [(line, waits, kept) for line, waits, kept in call.db.execute(query)]
    runs = _runs_of(call, found)
    rows = [row(*one) | {"runs": runs.get(one[0].session_id or "", [])} for one in found]
    return answer(page, rows, total)


def lines() -> Select[ReceivedObject, PrearchiveSession | None, Experiment | None]:
    """Return the query of all lines, each with its session of the prearchive and of the archive."""
    return (
        select(ReceivedObject, PrearchiveSession, Experiment)
        .outerjoin(PrearchiveSession, PrearchiveSession.pk == ReceivedObject.prearchive_pk)
        .outerjoin(Experiment, Experiment.id == ReceivedObject.session_id)
    )


def row(line: ReceivedObject, waits: PrearchiveSession | None, kept: Experiment | None) -> dict[str, Any]:
    """Return a line as lists show it."""
    project = kept.project if kept is not None else waits.project if waits is not None else ""
    here = waits is not None and waits.status not in prearchive.GONE
    return {
        "id": line.pk,
        "state": line.state,
        "reason": line.reason,
        "received": moment(line.received_at),
        "source": line.source,
        "study": line.study_instance_uid,
        "series": line.series_instance_uid,
        "object": line.sop_instance_uid,
        "class": UID(line.sop_class_uid).name,
        "transfer-syntax": UID(line.transfer_syntax_uid).name,
        "modality": str(line.header.get("Modality") or ""),
        "series-description": str(line.header.get("SeriesDescription") or ""),
        "size": line.size,
        "digest": line.digest,
        "project": project,
        "session": kept.id if kept is not None else "",
        "label": kept.label if kept is not None else waits.name if waits is not None else "",
        "src": prearchive.uri_of(waits) if waits is not None and here else "",
    }


def _conditions(call: Call) -> list[ColumnElement[bool]]:
    state = call.query.get("state", "")
    if state and state not in STATES:
        raise bad_request(f"{state!r} is no such state: use {', '.join(STATES)}.")
    found: list[ColumnElement[bool]] = []
    if state:
        found.append(ReceivedObject.state == ("archived" if state == "used" else state))
    if state == "used":
        begun = select(Workflow.object_id).join(Container, Container.workflow_id == Workflow.id)
        found.append(ReceivedObject.session_id.in_(begun.where(Container.started.is_not(None))))
    columns = {
        "study": ReceivedObject.study_instance_uid,
        "series": ReceivedObject.series_instance_uid,
        "object": ReceivedObject.sop_instance_uid,
    }
    for name, column in columns.items():
        uid = call.query.get(name, "").strip()
        if uid and not _UID.fullmatch(uid):
            raise bad_request(f"{name} must be a UID or how it begins: digits and dots.")
        if uid:
            found.append(_begins(column, uid))
    search = call.query.get("search", "").strip()
    if _UID.fullmatch(search):
        found.append(or_(*(_begins(columns[name], search) for name in ("study", "object"))))  # these have an index
    elif search:
        found.append(or_(contains(ReceivedObject.reason, search), contains(ReceivedObject.source, search)))
    return found


def _begins(column: InstrumentedAttribute[str], uid: str) -> ColumnElement[bool]:
    """Return the condition that a UID begins so: a range, which an index answers."""
    return (column >= uid) & (column < uid + ":")  # in the order of characters ":" comes next after the digits


def _runs_of(call: Call, found: Sequence[Line]) -> dict[str, list[int]]:
    """Return the runs that were begun of sessions, by session."""
    ids = {line.session_id for line, _, _ in found if line.state == "archived" and line.session_id}
    begun = (
        select(Workflow.object_id, Container.id)
        .join(Container, Container.workflow_id == Workflow.id)
        .where(Workflow.object_id.in_(ids), Container.started.is_not(None))
        .order_by(Container.id)
    )
    runs: dict[str, list[int]] = {}
    for session, run in call.db.execute(begun) if ids else ():
        runs.setdefault(session, []).append(run)
    return runs


ROUTES = [Route("GET", "/xapi/overread/objects", listed)]
