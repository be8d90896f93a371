"""Container runs: the queue, one run with the times of its stages, and its log as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, func, or_, select
from starlette.responses import JSONResponse, Response

from overread.hub.access import Right, may
from overread.hub.areas.admin.scope import answer, contains, moment, page_of, pairs, wanted_projects
from overread.hub.areas.admin.sessions import status_is
from overread.hub.areas.containers.view import describe, may_see_all
from overread.hub.errors import bad_request, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.metrics import stage_moments
from overread.hub.models import Container, Experiment, Workflow
from overread.hub.runs import states
from overread.hub.runs.logs import STDERR, STDOUT
from overread.hub.runs.spec import run_folder

STATES = ("queued", "running", "complete", "failed")
_LOGS = {"stdout": STDOUT, "stderr": STDERR}
_LOG_PIECE = 256 * 1024


def listed(call: Call) -> Response:
    """List runs, the newest first: ``search`` looks in labels, UIDs, wrappers and numbers."""
    projects, page = wanted_projects(call), page_of(call)
    conditions: list[ColumnElement[bool]] = []
    if projects is not None:
        conditions.append(Container.project.in_(projects))
    state = call.query.get("state", "")
    if state and state not in STATES:
        raise bad_request(f"{state!r} is no such state: use {', '.join(STATES)}.")
    if state == "running":
        conditions.append(Container.status != states.QUEUED)
    if state:
        conditions.append(status_is(state))
    search = call.query.get("search", "").strip()
    if search:
        conditions.append(_found_by(search))
    if call.query.get("object"):
        conditions.append(Workflow.object_id == call.query["object"])
    rows = (
        select(Container, Workflow, Experiment)
        .outerjoin(Workflow, Container.workflow_id == Workflow.id)
        .outerjoin(Experiment, Experiment.id == Workflow.object_id)
        .where(*conditions)
    )
    ids = rows.with_only_columns(Container.id).subquery()
    total = call.db.scalar(select(func.count()).select_from(ids)) or 0
    found = call.db.execute(rows.order_by(Container.id.desc()).offset(page.offset).limit(page.size))
    return answer(page, [_row(*one) for one in found], total)


def _found_by(search: str) -> ColumnElement[bool]:
    columns = (Experiment.label, Experiment.uid, Workflow.object_id, Workflow.pipeline_name)
    found = or_(*(contains(column, search) for column in columns))
    return or_(found, Container.id == int(search)) if search.isdecimal() and len(search) < 10 else found  # noqa: PLR2004


def queue(call: Call) -> Response:
    """Say how many runs wait and go on, and how many may go on at a time."""
    projects = wanted_projects(call)
    counted = select(Container.status, func.count()).group_by(Container.status)
    if projects is not None:
        counted = counted.where(Container.project.in_(projects))
    by_status = pairs(call, counted)
    queued = by_status.get(states.QUEUED, 0)
    ended = sum(count for status, count in by_status.items() if states.is_finished(status))
    return JSONResponse(
        {
            "slots": len(call.hub.runs.slots),
            "queued": queued,
            "running": sum(by_status.values()) - queued - ended,
            "by-status": by_status,
            "backend": call.hub.runs.runner.backend,
        }
    )


def show(call: Call) -> Response:
    """Show one run: what it is about, its stages, its document."""
    container = find_run(call)
    workflow = call.db.get(Workflow, container.workflow_id) if container.workflow_id is not None else None
    experiment = call.db.get(Experiment, workflow.object_id) if workflow is not None else None
    others = _of_same_object(call, container, workflow)
    return JSONResponse(
        _row(container, workflow, experiment)
        | {
            "stages": stages(container),
            "origin": container.origin,
            "command-id": container.command_id,
            "exit-code": container.exit_code,
            "attempts": container.attempts,
            "not-before": moment(container.not_before),
            "priority": container.priority,
            "slot": container.slot,
            "rerun-of": container.rerun_of,
            "again": call.db.scalar(select(Container.id).where(Container.rerun_of == container.id)),
            "image-digest": container.image_digest,
            "versions": container.versions,
            "others": [_row(*one) for one in others],
            "document": describe(container, full=True, backend=call.hub.runs.runner.backend),
        }
    )


def _of_same_object(
    call: Call, container: Container, workflow: Workflow | None
) -> Sequence[Row[Container, Workflow | None, Experiment | None]]:
    """Return the other runs of the same wrapper on the same object, and the wrap-up runs of this one."""
    rows = (
        select(Container, Workflow, Experiment)
        .outerjoin(Workflow, Container.workflow_id == Workflow.id)
        .outerjoin(Experiment, Experiment.id == Workflow.object_id)
        .order_by(Container.id.desc())
        .limit(20)
    )
    mine: ColumnElement[bool] = Container.parent_id == container.id
    if workflow is not None:
        same = (Workflow.object_id == workflow.object_id) & (Container.wrapper_id == container.wrapper_id)
        mine = or_(mine, same)
    return call.db.execute(rows.where(mine, Container.id != container.id)).all()


def log(call: Call) -> Response:
    """Send what a log has from byte ``offset`` on; ``next`` is where to go on, ``finished`` that no more will come."""
    container = find_run(call)
    name = _LOGS.get(call.params["stream"])
    if name is None:
        raise not_found(f"log {call.params['stream']}: there are stdout and stderr")
    asked = call.query.get("offset", "0")
    if not (asked.isascii() and asked.isdecimal()) or len(asked) > 15:  # noqa: PLR2004 - far beyond any file
        raise bad_request("offset must be a number of bytes.")
    text, following, size = tail(run_folder(call.hub, container.id) / "log" / name, int(asked))
    finished = states.is_finished(container.status)
    return JSONResponse({"text": text, "next": following, "size": size, "finished": finished and following >= size})


def tail(path: Path, offset: int) -> tuple[str, int, int]:
    """Read a piece of a growing text.

    Returns
    -------
    tuple of str, int and int
        The text from `offset` on, cut before a character that is not whole yet; the offset after it; the file's size.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(min(offset, size))
            piece = stream.read(_LOG_PIECE)
    except FileNotFoundError:
        return "", 0, 0
    start = min(offset, size)
    cut = len(piece)
    for back in range(1, min(4, len(piece)) + 1):  # a character of UTF-8 has four bytes at most
        byte = piece[-back]
        if byte >= 0xC0:  # noqa: PLR2004 - the first byte of a longer character
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4  # noqa: PLR2004
            cut = len(piece) - back if needed > back else cut
            break
        if byte < 0x80:  # noqa: PLR2004 - a character by itself
            break
    return piece[:cut].decode("utf-8", "replace"), start + cut, size


def stages(container: Container) -> list[dict[str, Any]]:
    """Return the moments of a run, see `overread.hub.metrics.stage_moments`."""
    return [{"name": name, "at": moment(at)} for name, at in stage_moments(container).items()]


def find_run(call: Call) -> Container:
    """Return the run that the path names; refuses callers who may not see all of it."""
    container = call.db.get(Container, call.params["run"])
    owns = container is not None and bool(container.project) and may(
        call.db, call.caller, container.project, Right.OWN
    )  # fmt: skip
    if container is None:
        raise not_found(f"run {call.params['run']}")
    call.about.item, call.about.project = f"run {container.id}", container.project
    if not may_see_all(call.caller, container, owns_project=owns):
        raise forbidden(f"The user may not see run {container.id}.")
    return container


def _row(container: Container, workflow: Workflow | None, experiment: Experiment | None) -> dict[str, Any]:
    return {
        "id": container.id,
        "status": container.status,
        "reason": container.reason,
        "progress": container.progress,
        "project": container.project,
        "user": container.user,
        "wrapper": workflow.pipeline_name if workflow is not None else "",
        "wrapper-id": container.wrapper_id,
        "image": container.resolved.get("docker-image") or "",
        "object": workflow.object_id if workflow is not None else "",
        "label": experiment.label if experiment is not None else "",
        "parent": container.parent_id,
        "queued": moment(container.created),
        "started": moment(container.started),
        "ended": moment(container.ended),
    }


ROUTES = [
    Route("GET", "/xapi/overread/queue", queue),
    Route("GET", "/xapi/overread/runs", listed),
    Route("GET", "/xapi/overread/runs/{run:int}", show),
    Route("GET", "/xapi/overread/runs/{run:int}/log/{stream}", log),
]
