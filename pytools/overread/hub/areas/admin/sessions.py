"""Sessions on their way: receiving, archived, run, result; newest first, those that still arrive before all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from starlette.responses import Response

from overread.hub.areas.admin.scope import Page, answer, contains, moment, page_of, pairs, wanted_projects
from overread.hub.arrival import prearchive
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.items.experiments import SESSION_BASE
from overread.hub.models import Container, Experiment, PrearchiveSession, ReceivedObject, Scan, Subject, Workflow
from overread.hub.runs import states

STATES = ("arriving", "receiving", "waiting", "conflict", "archived", "no run", "running", "complete", "failed")
"""What the query's ``state`` may ask for.

``arriving`` are all in the prearchive; ``receiving``, ``waiting`` and ``conflict`` (errors too) are parts of these. The
last four are those of a session's newest run.
"""
_ARRIVING = {
    "receiving": (prearchive.RECEIVING,),
    "waiting": (prearchive.READY,),
    "conflict": (prearchive.CONFLICT, prearchive.ERROR),
}


def listed(call: Call) -> Response:
    """List sessions: ``search`` looks in labels, IDs and UIDs, ``project`` and ``state`` narrow it down."""
    projects, page = wanted_projects(call), page_of(call)
    state = call.query.get("state", "")
    if state and state not in STATES:
        raise bad_request(f"{state!r} is no such state: use {', '.join(STATES)}.")
    search = call.query.get("search", "").strip()
    in_prearchive = state in ("arriving", *_ARRIVING)
    coming = _arriving(projects, search, state) if in_prearchive or not state else None
    kept = None if in_prearchive else _archived(call, projects, search, state)
    coming_total, kept_total = _count(call, coming), _count(call, kept)
    rows: list[dict[str, Any]] = []
    if coming is not None:
        newest = coming.order_by(PrearchiveSession.last_modified.desc(), PrearchiveSession.pk.desc())
        found = call.db.scalars(newest.offset(page.offset).limit(page.size)).all()
        rows += _arriving_rows(call, found)
    rest = Page(1, page.size - len(rows))
    if kept is not None and rest.size > 0:
        offset = max(0, page.offset - coming_total)
        newest_first = kept.order_by(Experiment.insert_date.desc(), Experiment.id.desc())
        rows += _archived_rows(call, call.db.scalars(newest_first.offset(offset).limit(rest.size)).all())
    return answer(page, rows, coming_total + kept_total)


def _count(call: Call, query: Select[Any] | None) -> int:
    if query is None:
        return 0
    return call.db.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0


def _arriving(projects: set[str] | None, search: str, state: str) -> Select[PrearchiveSession]:
    query = select(PrearchiveSession).where(prearchive.THERE)
    if state in _ARRIVING:
        query = query.where(PrearchiveSession.status.in_(_ARRIVING[state]))
    if projects is not None:
        query = query.where(PrearchiveSession.project.in_(projects))
    if search:
        columns = (PrearchiveSession.name, PrearchiveSession.subject, PrearchiveSession.study_instance_uid)
        query = query.where(or_(*(contains(column, search) for column in columns)))
    return query


def _archived(call: Call, projects: set[str] | None, search: str, state: str) -> Select[Experiment]:
    query = select(Experiment).where(Experiment.xsi_type.in_(call.hub.schemas.extending(SESSION_BASE)))
    if projects is not None:
        query = query.where(Experiment.project.in_(projects))
    if search:
        subjects = select(Subject.id).where(contains(Subject.label, search))
        columns = (Experiment.label, Experiment.id, Experiment.uid)
        query = query.where(or_(*(contains(column, search) for column in columns), Experiment.subject_id.in_(subjects)))
    if state in ("", "archived"):
        return query
    if state == "no run":
        return query.where(Experiment.id.not_in(select(Workflow.object_id).join(Container, _runs())))
    newest = select(func.max(Container.id)).join(Workflow, _runs()).group_by(Workflow.object_id)
    fitting = select(Workflow.object_id).join(Container, _runs()).where(Container.id.in_(newest), status_is(state))
    return query.where(Experiment.id.in_(fitting))


def _runs() -> ColumnElement[bool]:
    return Container.workflow_id == Workflow.id


def status_is(state: str) -> ColumnElement[bool]:
    """Return the condition that a run is ``queued``, ``running`` (queued ones too), ``complete`` or ``failed``."""
    complete, failed = (Container.status.startswith(word) for word in (states.COMPLETE, states.FAILED))
    match state:
        case "queued":
            return Container.status == states.QUEUED
        case "complete":
            return complete
        case "failed":
            return failed
        case _:
            return ~complete & ~failed


def _arriving_rows(call: Call, found: Sequence[PrearchiveSession]) -> list[dict[str, Any]]:
    counts = pairs(
        call,
        select(ReceivedObject.prearchive_pk, func.count())
        .where(ReceivedObject.prearchive_pk.in_([session.pk for session in found]))
        .where(ReceivedObject.state == "received")
        .group_by(ReceivedObject.prearchive_pk),
    )
    return [
        {
            "stage": "arriving",
            "status": session.status,
            "reason": session.reason,
            "project": session.project,
            "label": session.name,
            "subject": session.subject,
            "uid": session.study_instance_uid,
            "src": prearchive.uri_of(session),
            "objects": counts.get(session.pk, 0),
            "first": moment(session.uploaded),
            "last": moment(session.last_modified),
        }
        for session in found
    ]


def _archived_rows(call: Call, found: Sequence[Experiment]) -> list[dict[str, Any]]:
    ids = [session.id for session in found]
    owners = [session.subject_id for session in found]
    subjects = pairs(call, select(Subject.id, Subject.label).where(Subject.id.in_(owners)))
    of_sessions = select(Scan.session_id, func.count()).where(Scan.session_id.in_(ids))
    scans = pairs(call, of_sessions.group_by(Scan.session_id))
    arrivals = _arrivals(call, found)
    runs = _newest_runs(call, ids)
    results: dict[str, list[dict[str, str]]] = {}
    for result in call.db.scalars(select(Experiment).where(Experiment.session_id.in_(ids)).order_by(Experiment.id)):
        entry = {"id": result.id, "label": result.label, "type": result.xsi_type}
        results.setdefault(str(result.session_id), []).append(entry)
    return [
        {
            "stage": "archived",
            "id": session.id,
            "project": session.project,
            "label": session.label,
            "subject": subjects.get(session.subject_id or "", ""),
            "uid": session.uid,
            "type": session.xsi_type,
            "modality": session.modality,
            "date": session.date,
            "scans": scans.get(session.id, 0),
            "archived": moment(session.insert_date),
            "run": runs.get(session.id),
            "results": results.get(session.id, []),
        }
        | arrivals.get(session.id, {"reason": "", "first": None, "last": None})
        for session in found
    ]


def _arrivals(call: Call, found: Sequence[Experiment]) -> dict[str, dict[str, Any]]:
    """Return what the prearchive still knows of sessions: when they came, and why they counted as whole."""
    uids = {session.uid for session in found if session.uid}
    rows = call.db.scalars(
        select(PrearchiveSession)
        .where(PrearchiveSession.study_instance_uid.in_(uids), PrearchiveSession.status == prearchive.ARCHIVED)
        .order_by(PrearchiveSession.pk)
    )
    return {
        str(row.session_id): {
            "reason": row.reason, "first": moment(row.uploaded), "last": moment(row.last_modified),
        }
        for row in rows
    }  # fmt: skip


def _newest_runs(call: Call, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = call.db.execute(
        select(Workflow.object_id, Workflow.pipeline_name, Container)
        .join(Container, _runs())
        .where(Workflow.object_id.in_(ids))
        .order_by(Container.id)
    )
    return {
        object_id: {"id": run.id, "wrapper": name, "status": run.status, "reason": run.reason, "progress": run.progress}
        for object_id, name, run in rows
    }


ROUTES = [Route("GET", "/xapi/overread/sessions", listed)]
