"""Several commands in a row on one object, and how far a bulk launch is."""

from __future__ import annotations

import json
import re

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.commands.wrappers import require_manager
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import BulkLaunch, Container, Workflow
from overread.hub.runs import orchestrations
from overread.hub.runs.bulk import tracked

_NUMBER = re.compile(r"[0-9]{1,9}")
_NEWEST_CHAINS = 200


def listed(call: Call) -> Response:
    """List all orchestrations."""
    require_manager(call)
    return JSONResponse([orchestrations.describe(found) for found in orchestrations.listed(call.db)])


def save(call: Call) -> Response:
    """Make an orchestration, or replace the one whose id is given."""
    require_manager(call)
    return JSONResponse(orchestrations.describe(orchestrations.save(call.db, call.json_object())))


def switch(call: Call) -> Response:
    """Switch an orchestration on or off."""
    require_manager(call)
    word = call.params["enabled"]
    if word not in ("true", "false"):
        raise bad_request("enabled must be true or false.")
    orchestrations.switch(call.db, call.params["number"], on=word == "true")
    return answers.text()


def delete(call: Call) -> Response:
    """Forget an orchestration."""
    require_manager(call)
    orchestrations.delete(call.db, call.params["number"])
    return answers.text()


def of_project(call: Call) -> Response:
    """Show what a project can choose from, and what it has chosen."""
    return JSONResponse(orchestrations.of_project(call.db, call.params["project"]))


def choose(call: Call) -> Response:
    """Give a project an orchestration; its wrappers are enabled there.

    Who may enable wrappers may do that: the project's owners. (XNAT lets members do it.)
    """
    number = call.query.get("orchestrationId", "")
    if not _NUMBER.fullmatch(number):
        raise bad_request("orchestrationId must be a number.")
    orchestrations.select_for(call.db, call.params["project"], int(number))
    return answers.text()


def leave(call: Call) -> Response:
    """Take its orchestration from a project."""
    orchestrations.leave(call.db, call.params["project"])
    return answers.text()


def history(call: Call) -> Response:
    """List the steps of a project's chains, the newest first: orchestration, object, place, run, and its state."""
    rows = call.db.execute(
        select(Workflow, Container.id)
        .outerjoin(Container, Container.workflow_id == Workflow.id)
        .where(Workflow.project == call.params["project"], Workflow.next_step_id != "")
        .order_by(Workflow.id.desc())
        .limit(_NEWEST_CHAINS)
    )
    return JSONResponse(
        [
            {
                "orchestration-id": int(workflow.next_step_id),
                "step": int(workflow.current_step_id),
                "wrapper-name": workflow.pipeline_name,
                "object": workflow.object_id,
                "status": workflow.status,
                "run": run,
                "message": workflow.comments if run is None else "",
                "launched": int(workflow.launch_time.timestamp() * 1000),
            }
            for workflow, run in rows
        ]
    )


def progress(call: Call) -> Response:
    """Say how far a bulk launch is."""
    return JSONResponse(tracked(call.db, _bulk(call)))


def payload(call: Call) -> Response:
    """Send what is known of a bulk launch's parts, as JSON text."""
    return answers.text(json.dumps(json.loads(tracked(call.db, _bulk(call))["payload"])))


def _bulk(call: Call) -> BulkLaunch:
    """Return the caller's own bulk launch; 404 for those of others, as in XNAT."""
    found = call.db.get(BulkLaunch, call.params["key"])
    if found is None or (found.user != call.caller.login and not call.caller.is_admin):
        raise not_found(f"event tracking data with key {call.params['key']}")
    return found


_PROJECT = "/xapi/orchestration/project/{project}"

ROUTES = [
    Route("GET", "/xapi/orchestration", listed),
    Route("POST", "/xapi/orchestration", save),
    Route("GET", _PROJECT, of_project, Access.EDIT),
    Route("PUT", _PROJECT, choose, Access.OWN),
    Route("DELETE", _PROJECT, leave, Access.OWN),
    Route("PUT", "/xapi/orchestration/{number:int}/enabled/{enabled}", switch),
    Route("DELETE", "/xapi/orchestration/{number:int}", delete),
    Route("GET", "/xapi/overread/projects/{project}/orchestrations", history, Access.READ),
    Route("GET", "/xapi/event_tracking/{key}", progress),
    Route("GET", "/xapi/event_tracking/{key}/payload", payload),
]
