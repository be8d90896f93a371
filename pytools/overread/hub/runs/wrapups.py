"""Wrap-up commands: they turn one output of a run into what is stored. They see ``/input`` and ``/output``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from overread.errors import PermanentRunnerError
from overread.hub.models import Container
from overread.hub.runs.documents import WRAPUP, find_by_image


def find_wrapup(db: Session, reference: str) -> dict[str, Any]:
    """Return the command that ``via-wrapup-command`` names.

    Raises
    ------
    PermanentRunnerError
        There is none.
    """
    command = find_by_image(db, reference)
    if command is None or command["type"] != WRAPUP:
        raise PermanentRunnerError(f"There is no wrap-up command {reference}: add it, as a command of its own.")
    return command


def new_wrapup(parent: Container, output: str, command: Mapping[str, Any]) -> Container:
    """Return the row of a wrap-up run of one output of `parent`."""
    return Container(
        command_id=command["id"],
        wrapper_id=0,
        parent_id=parent.id,
        project=parent.project,
        user=parent.user,
        origin=f"container:{parent.id}",
        inputs={},
        outputs=[],
        history=[],
        resolved={
            "docker-image": command["image"],
            "command-line": command["command-line"],
            # The Container Service gives wrap-up commands to the image's own entry point.
            "override-entrypoint": False,
            "working-directory": command["working-directory"],
            "subtype": command["type"],
            "parent-source-object-name": output,
            "env": {},
            "inputs": [],
            "outputs": [],
            "limit-memory": command.get("limit-memory"),
            "limit-cpu": command.get("limit-cpu"),
        },
    )


def wrapup_mounts(source: Path, folder: Path) -> dict[str, Any]:
    """Make the output folder of a wrap-up run below `folder`; return its mounts: `source` and that folder."""
    target = folder / "mounts" / "output"
    target.mkdir(parents=True)
    rows = []
    for place, (name, host) in enumerate((("input", source), ("output", target)), start=1):
        paths = {"xnat-host-path": str(host), "container-host-path": str(host), "container-path": f"/{name}"}
        rows.append({"id": place, "name": name, "writable": name == "output", **paths, "input-files": []})
    return {"mounts": rows}
