"""The states of a run, written down once for all who look: container, its history, and its workflow."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy.orm import Session

from overread.hub.models import Container, Workflow
from overread.hub.models.base import utc_now
from overread.hub.runs.logs import one_line

QUEUED, CREATED, RUNNING, WAITING = "Queued", "Created", "Running", "_Waiting"
FINALIZING, COMPLETE, FAILED = "Finalizing", "Complete", "Failed"
KILLED, STAGING, UPLOAD, WRAPUP = "Failed (Killed)", "Failed (Staging)", "Failed (Upload)", "Failed (Wrapup)"
SETUP, CHAIN = "Failed (Setup)", "Failed (Orchestration)"
REQUEUED, RETRY, TAKEN_UP, RERUN = "Requeued", "Retry", "Taken up", "Rerun"
"""Only in the history: put back after an end of the hub or a temporary failure, taken up by another hub, done again."""

UNDER_WAY = (CREATED, RUNNING, WAITING, FINALIZING)
"""A hub works on the run."""

SYSTEM = "system"


def is_finished(status: str) -> bool:
    """Whether a status is the last one of a run."""
    return status.lower().startswith(("complete", "failed"))


def advance(
    db: Session, container: Container, status: str, *, message: str = "", by: str = SYSTEM, exit_code: int | None = None
) -> None:
    """Move a run to `status`.

    A run that failed gives its once-key back, so that automation may try again when the same event comes once more;
    one that a user ended keeps it.
    """
    container.status, container.status_time = status, utc_now()
    if status == RUNNING:
        container.started = container.started or utc_now()
    if is_finished(status):
        container.ended, container.not_before = utc_now(), None
        container.progress = {}
        if status.startswith(FAILED):
            container.reason = one_line(message)
            if status != KILLED:
                container.once_key = None
    note(container, status, message=message, by=by, exit_code=exit_code)
    workflow = db.get(Workflow, container.workflow_id) if container.workflow_id is not None else None
    if workflow is not None:
        workflow.status = status
        workflow.comments = str(container.id)
    db.flush()


def note(
    container: Container, status: str, *, message: str = "", by: str = SYSTEM, exit_code: int | None = None
) -> None:
    """Add a line to a run's history without changing its state."""
    line: dict[str, Any] = {
        "id": len(container.history or []) + 1,
        "status": status,
        "entity-type": "system" if by == SYSTEM else "user",
        "entity-id": None if by == SYSTEM else by,
        "time-recorded": int(time.time() * 1000),
        "external-timestamp": None,
        "message": one_line(message) or None,
        "exitCode": None if exit_code is None else str(exit_code),
    }
    container.history = [*(container.history or []), line]
