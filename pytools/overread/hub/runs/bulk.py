"""Bulk launches: many runs at once, and how far they are, as XNAT's event tracking tells it."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.models import BulkLaunch, Workflow
from overread.hub.runs import orchestrations, states
from overread.hub.runs.documents import Wrapper


@dataclass(frozen=True)
class Bulk:
    """A bulk launch that is being made; ``name`` is what it runs."""

    row: BulkLaunch
    name: str

    @property
    def id(self) -> str:
        """Its id, which all its workflows carry."""
        return self.row.id


def begin_bulk(db: Session, *, project: str, wrapper: Wrapper, user: str) -> Bulk:
    """Note that many runs of `wrapper` are about to be launched; who launches fills in how many."""
    chain = orchestrations.beginning_with(db, project, wrapper.id)
    row = BulkLaunch(
        id=f"bulk-{user}{time.time_ns() // 1_000_000}{secrets.randbelow(10**6):06d}",
        user=user,
        steps=len(chain.wrapper_ids) if chain is not None else 1,
    )
    db.add(row)
    db.flush()
    return Bulk(row, f"{chain.name} orchestration" if chain is not None else wrapper.name)


def tracked(db: Session, row: BulkLaunch) -> dict[str, Any]:
    """Return how far a bulk launch is, as XNAT's event tracking tells it: ``payload`` is JSON as text."""
    workflows = list(db.scalars(select(Workflow).where(Workflow.job_id == row.id).order_by(Workflow.id)))
    done = Counter(one.object_id for one in workflows if one.status == states.COMPLETE)
    failed = row.refused + sum(one.status.startswith(states.FAILED) for one in workflows)
    succeeded = _whole(workflows, row.steps)
    payload = {
        "total": row.total,
        "steps": row.steps,
        "successCount": succeeded,
        "failureCount": failed,
        "workflows": {str(one.id): _workflow(one) for one in workflows},
        "itemSteps": dict(done),
    }
    ended = succeeded + failed >= row.total
    return {
        "key": row.id,
        "payload": json.dumps(payload),
        "succeeded": succeeded == row.total if ended else None,
        "finalMessage": _message(succeeded, failed, row.total) if ended else None,
    }


def _whole(workflows: Iterable[Workflow], steps: int) -> int:
    """Return how many objects have come through the last step."""
    last = str(steps - 1)
    return sum(one.status == states.COMPLETE and (steps == 1 or one.current_step_id == last) for one in workflows)


def _message(succeeded: int, failed: int, total: int) -> str:
    if succeeded == total:
        return "All jobs succeeded"
    return "All jobs failed" if failed == total else f"{succeeded} jobs succeed / {failed} jobs failed"


def _workflow(one: Workflow) -> dict[str, Any]:
    return {
        "id": one.id,
        "itemId": one.object_id,
        "status": one.status,
        "containerId": one.comments,
        "pipelineName": one.pipeline_name,
        "justification": one.justification,
        "externalId": one.project,
        "itemType": one.data_type,
        "currentStepId": one.current_step_id,
        "launchTime": int(one.launch_time.timestamp() * 1000),
        "jobId": one.job_id,
    }
