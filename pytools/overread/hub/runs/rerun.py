"""A failed run is done again: a new run with the same values, linked to the old one.

The old run is what makes it happen once: however often it is asked for (a double click, a request sent again because
the answer got lost), there is one new run. If that one fails too, it is the one to be done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict
from overread.hub.items import uris
from overread.hub.models import Container, Workflow
from overread.hub.runs import states
from overread.hub.runs.documents import Wrapper, find_wrapper
from overread.hub.runs.launch import Step, queue_launch
from overread.hub.runs.once import once_key

if TYPE_CHECKING:
    from overread.hub.core import Hub

_BY_EVENT = "subscription:"


def rerun(db: Session, hub: Hub, old: Container, *, user: str) -> tuple[Container, bool]:
    """Queue a failed run again, in the name of `user`, or find the run that does it again already.

    It is run with the command as it is now, and is in the same bulk launch and orchestration as the old one: a chain
    that had stopped there goes on.

    Returns
    -------
    Container and bool
        The new run, and whether it was made just now.

    Raises
    ------
    HubError
        409: it has not failed, it is part of another run, or a run of the same kind looks at the same series.
        Whatever else `queue_launch` refuses.
    """
    again = db.scalar(select(Container).where(Container.rerun_of == old.id))
    if again is not None:
        return again, False
    if old.parent_id is not None:
        raise conflict(f"Run {old.id} is a part of run {old.parent_id}: run that one again.")
    if not old.status.startswith(states.FAILED):
        raise conflict(f"Run {old.id} has not failed: it is {old.status}.")
    wrapper = find_wrapper(db, old.wrapper_id, project=old.project)
    workflow = db.get(Workflow, old.workflow_id) if old.workflow_id is not None else None
    step = None
    if workflow is not None and workflow.next_step_id:
        step = Step(int(workflow.next_step_id), int(workflow.current_step_id or 0))
    new = queue_launch(
        db,
        hub,
        wrapper=wrapper,
        project=old.project,
        user=user,
        inputs=old.inputs,
        origin=f"rerun:{old.id}",
        once_key=_once_key(db, hub, old, wrapper),
        job_id=workflow.job_id if workflow is not None else "",
        step=step,
        rerun_of=old.id,
    )
    if new is None:
        raise conflict(f"Run {old.id} needs no other: a run looks at the same series, or has done so.")
    states.note(old, states.RERUN, message=f"Run {new.id} does it again.", by=user)
    db.flush()
    return new, True


def _once_key(db: Session, hub: Hub, old: Container, wrapper: Wrapper) -> str | None:
    """Return the key that keeps automation from doing what this run does; None if no automation began it."""
    first = old
    while first.rerun_of is not None and (earlier := db.get(Container, first.rerun_of)) is not None:
        first = earlier
    if not first.origin.startswith(_BY_EVENT) or wrapper.root is None:
        return None
    if old.once_key is not None:  # a run that a user ended keeps its key, which now passes on
        key, old.once_key = old.once_key, None
        db.flush()
        return key
    return once_key(db, hub, wrapper, uris.resolve(db, hub, old.inputs[wrapper.root["name"]]))
