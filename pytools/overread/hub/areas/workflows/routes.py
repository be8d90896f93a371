"""Workflows: ``/data/workflows`` and the table ``/data/services/workflows``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Access, Right, may, readable_projects
from overread.hub.errors import bad_request, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Container, Experiment, Project, Subject, Workflow

TYPE = "wrk:workflowData"
_NEEDED = ("id", "pipeline_name", "launch_time", "data_type")
_TEXT_FIELDS = ("status", "justification", "comments")
_COLUMNS = ("workflow_id", "id", "pipeline_name", "data_type", "ExternalID", "status", "launch_time", "create_user",
            "percentageComplete", "current_step_id", "next_step_id", "comments", "jobid")  # fmt: skip


def show(call: Call) -> Response:
    """Show one workflow as an item."""
    return answers.items(answers.item(TYPE, _fields(call, _workflow(call, Right.READ))))


def listed(call: Call) -> Response:
    """List workflows, the newest first; ``display=LATEST`` shows the last of each object and pipeline only."""
    wanted = (
        (Workflow.pipeline_name, call.params.get("pipeline") or call.query.get("pipeline")),
        (Workflow.project, call.query.get("project")),
        (Workflow.object_id, call.query.get("experiment")),
        (Workflow.status, call.query.get("status")),
    )
    rows = select(Workflow).where(Workflow.project.in_(readable_projects(call.db, call.caller)))
    for column, value in wanted:
        if value:
            rows = rows.where(column == value)
    found = list(call.db.scalars(rows.order_by(Workflow.id.desc())))
    if call.query.get("display", "").upper() == "LATEST":
        latest: dict[tuple[str, str], Workflow] = {}
        for row in found:
            latest.setdefault((row.object_id, row.pipeline_name), row)
        found = list(latest.values())
    return answers.table([_row(call, row) for row in found], _COLUMNS, form=call.format or "json", total=len(found))


def save(call: Call) -> Response:
    """Make a workflow, or change one; the answer is its number."""
    given = {name.removeprefix(f"{TYPE}/"): value for name, value in {**call.query, **call.form}.items()}
    if "number" in call.params:
        workflow = _workflow(call, Right.EDIT)
    else:
        absent = [name for name in _NEEDED if not given.get(name)]
        if absent:
            raise bad_request(f"A workflow needs {', '.join(absent)}.")
        workflow = Workflow(
            object_id=given["id"],
            data_type=given["data_type"],
            pipeline_name=given["pipeline_name"],
            project=_project_of(call, given["id"]),
            launch_time=_time(given["launch_time"]),
            user=call.caller.login,
        )
        if not may(call.db, call.caller, workflow.project, Right.EDIT):
            raise forbidden()
        call.db.add(workflow)
    for name in _TEXT_FIELDS:
        if name in given:
            setattr(workflow, name, given[name])
    call.db.flush()
    return answers.text(str(workflow.id))


def _workflow(call: Call, right: Right) -> Workflow:
    workflow = call.db.get(Workflow, call.params["number"])
    if workflow is None:
        raise not_found(f"workflow {call.params['number']}")
    if not may(call.db, call.caller, workflow.project, right):
        raise forbidden(f"No access to workflow {workflow.id}.")
    return workflow


def _fields(call: Call, workflow: Workflow) -> dict[str, Any]:
    row = _row(call, workflow)
    return row | {"wrk_workflowData_id": row.pop("workflow_id"), "justification": workflow.justification}


def _row(call: Call, workflow: Workflow) -> dict[str, Any]:
    container = call.db.scalar(select(Container).where(Container.workflow_id == workflow.id))
    progress = container.progress if container is not None else {}
    done = f"{100 * progress['fraction']:.0f}" if progress else "100" if workflow.status == "Complete" else ""
    return {
        "workflow_id": workflow.id,
        "id": workflow.object_id,
        "pipeline_name": workflow.pipeline_name,
        "data_type": workflow.data_type,
        "ExternalID": workflow.project,
        "status": workflow.status,
        "launch_time": answers.cell(workflow.launch_time),
        "create_user": workflow.user,
        "percentageComplete": done,
        "current_step_id": progress.get("stage") or workflow.current_step_id,
        "next_step_id": workflow.next_step_id,
        "comments": workflow.comments,
        "jobid": workflow.job_id,
    }


def _project_of(call: Call, object_id: str) -> str:
    found = call.db.get(Experiment, object_id) or call.db.get(Subject, object_id)
    if found is not None:
        return found.project
    if call.db.get(Project, object_id) is None:
        raise not_found(object_id)
    return object_id


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise bad_request(f"launch_time {text!r} is no time such as 2026-05-04 10:11:12.") from problem
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


ROUTES = [
    Route("GET", "/data/workflows/{number:int}", show),
    Route("PUT POST", "/data/workflows/{number:int}", save),
    Route("PUT POST", "/data/workflows", save),
    Route("GET", "/data/services/workflows/workflowid/{number:int}", show),
    Route("GET", "/data/services/workflows", listed),
    Route("GET", "/data/services/workflows/{pipeline}", listed, Access.USER),
]
