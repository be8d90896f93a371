"""The end of a run, the same for all who bring it about: its state, and the next step of its orchestration.

Both are kept in one transaction: a chain goes on exactly when its step is known to have ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from overread.hub.errors import HubError
from overread.hub.models import Container, Orchestration, Workflow
from overread.hub.runs import states
from overread.hub.runs.documents import Wrapper, find_wrapper
from overread.hub.runs.launch import Step, queue_launch

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)


def finish(
    db: Session,
    hub: Hub,
    container: Container,
    status: str,
    *,
    message: str = "",
    by: str = states.SYSTEM,
    exit_code: int | None = None,
) -> None:
    """End a run with `status`, which says that it is finished; begin what comes next."""
    states.advance(db, container, status, message=message, by=by, exit_code=exit_code)
    workflow = db.get(Workflow, container.workflow_id) if container.workflow_id is not None else None
    if workflow is not None and workflow.next_step_id:
        _follow(db, hub, container, workflow)


def _follow(db: Session, hub: Hub, container: Container, workflow: Workflow) -> None:
    """Launch the next wrapper of the chain that a run belongs to, if there is one and the chain goes on."""
    chain = db.get(Orchestration, int(workflow.next_step_id))
    if chain is None or (container.status != states.COMPLETE and chain.halt_on_failure):
        return
    place = int(workflow.current_step_id or 0)
    changed = not chain.enabled or chain.wrapper_ids[place : place + 1] != [container.wrapper_id]
    if changed or place + 1 >= len(chain.wrapper_ids):
        if changed:
            log.warning("Orchestration %d has changed since run %d began: it ends here", chain.id, container.id)
        return
    step = Step(chain.id, place + 1)
    try:
        with db.begin_nested():
            wrapper = find_wrapper(db, chain.wrapper_ids[step.place], project=container.project)
            queue_launch(
                db,
                hub,
                wrapper=wrapper,
                project=container.project,
                user=container.user,
                inputs=_inputs(container, wrapper),
                origin=f"orchestration:{chain.id}:run:{container.id}",
                job_id=workflow.job_id,
                step=step,
            )
    except HubError as problem:
        _note_failure(db, workflow, step, problem.reason)
    except Exception:  # whatever goes wrong with the next step must not lose the end of this one
        log.exception("Orchestration %d can't go on after run %d", chain.id, container.id)
        _note_failure(db, workflow, step, "The hub failed; its log says why.")


def _inputs(container: Container, wrapper: Wrapper) -> dict[str, str]:
    """Return what the next wrapper is launched with: the object, if each has but one input, else what has its name."""
    rows = container.resolved.get("inputs") or []
    given = {row["name"]: str(row["value"]) for row in rows if row["type"] == "wrapper-external"} or container.inputs
    wanted = [one["name"] for one in wrapper.external_inputs]
    if len(wanted) == 1 and len(given) == 1:
        return {wanted[0]: next(iter(given.values()))}
    return {name: given[name] for name in wanted if name in given}


def _note_failure(db: Session, workflow: Workflow, step: Step, why: str) -> None:
    """Leave a workflow that says why the next step could not be launched."""
    db.add(
        Workflow(
            object_id=workflow.object_id,
            data_type=workflow.data_type,
            project=workflow.project,
            pipeline_name=workflow.pipeline_name,
            user=workflow.user,
            justification=workflow.justification,
            job_id=workflow.job_id,
            next_step_id=str(step.orchestration),
            current_step_id=str(step.place),
            status=states.CHAIN,
            comments=why,
        )
    )
    db.flush()
