"""A run as the Container Service shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from overread.hub.access import Caller
from overread.hub.models import Container
from overread.hub.runs.priorities import word_of

HIDDEN = "[REDACTED]"
_MASKED = "******"
_FROM_RESOLVED = (
    "docker-image", "container-name", "command-line", "override-entrypoint", "working-directory", "subtype",
    "reserve-memory", "limit-memory", "limit-cpu",
)  # fmt: skip


def may_see_all(caller: Caller, container: Container, *, owns_project: bool) -> bool:
    """Whether a caller sees a run's inside: who launched it, the project's owners, administrators."""
    return caller.is_admin or caller.login == container.user or owns_project


def describe(container: Container, *, full: bool, backend: str) -> dict[str, Any]:
    """Return the document of a run.

    Parameters
    ----------
    container
        The run.
    full
        False hides command line, variables, mounts, inputs, outputs and history.
    backend
        Name of the runner.

    Notes
    -----
    ``reason``, ``progress`` and all from ``priority`` on are the hub's own keys.
    """
    resolved = container.resolved
    shown: dict[str, Any] = {
        "id": container.id,
        "command-id": container.command_id,
        "wrapper-id": container.wrapper_id,
        "status": container.status,
        "status-time": int(container.status_time.timestamp() * 1000),
        "container-id": container.backend_id or None,
        "workflow-id": str(container.workflow_id) if container.workflow_id is not None else None,
        "user-id": container.user,
        "project": container.project,
        "backend": backend,
        "service-id": None,
        "task-id": None,
        "node-id": None,
        "parent-database-id": container.parent_id,
        "parent-source-object-name": resolved.get("parent-source-object-name"),
        "ports": {},
        "swarm-constraints": [],
        "runtime": resolved.get("runtime"),
        "gpus": resolved.get("gpus"),
        "generic-resources": resolved.get("generic-resources") or {},
        "secrets": [],
        "log-paths": [],
        "reason": container.reason,
        "progress": container.progress,
        "priority": word_of(container.priority),
        "slot": container.slot,
        "attempts": container.attempts,
        "next-attempt": _milliseconds(container.not_before),
        "rerun-of": container.rerun_of,
        "image-digest": container.image_digest,
        "versions": container.versions,
    }
    shown |= {key: resolved.get(key) for key in _FROM_RESOLVED}
    if not full:
        return shown | {"command-line": HIDDEN, "env": {}, "mounts": [], "inputs": [], "outputs": [], "history": []}
    return shown | {
        "env": resolved.get("env") or {},
        "mounts": resolved.get("mounts") or [],
        "inputs": [_masked(row) for row in resolved.get("inputs") or _raw(container)],
        "outputs": container.outputs,
        "history": container.history,
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment is not None else None


def _raw(container: Container) -> list[dict[str, Any]]:
    return [
        {"id": place, "type": "raw", "name": name, "value": value, "sensitive": False}
        for place, (name, value) in enumerate(container.inputs.items(), start=1)
    ]


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"value": _MASKED} if row.get("sensitive") else row
