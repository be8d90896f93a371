"""Setup and wrap-up commands: they run before or after a command and turn files into other files.

A setup command makes what the command finds in a mount; a wrap-up command makes what is stored from an output. Both see
``/input`` and ``/output`` and nothing else, and have the variables of the command that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from overread.errors import PermanentRunnerError
from overread.hub.models import Container
from overread.hub.runs.documents import SETUP, Document, find_by_image

WORDS = {SETUP: "setup"}
"""What a type of special command is called in messages; the other one is "wrap-up"."""


def special(
    db: Session, kind: str, reference: str, parent: Document, *, command_line: Callable[[str | None], str]
) -> Document:
    """Return a setup or wrap-up command, resolved but for its mounts.

    Parameters
    ----------
    db
        Transaction.
    kind
        ``docker-setup`` or ``docker-wrapup``.
    reference
        What ``via-setup-command`` or ``via-wrapup-command`` says.
    parent
        The resolved command that it belongs to.
    command_line
        Puts the parent's values into a command line.

    Raises
    ------
    PermanentRunnerError
        There is no such command.
    """
    command = find_by_image(db, reference)
    if command is None or command["type"] != kind:
        word = WORDS.get(kind, "wrap-up")
        raise PermanentRunnerError(f"There is no {word} command {reference}: add it, as a command of its own.")
    return {
        "command-id": command["id"],
        "docker-image": command["image"],
        "command-line": command_line(command["command-line"]),
        # The Container Service gives these commands to the image's own entry point.
        "override-entrypoint": False,
        "working-directory": command["working-directory"],
        "container-name": None,
        "subtype": kind,
        "env": dict(parent["env"]),
        "inputs": [],
        "outputs": [],
        "reserve-memory": command.get("reserve-memory"),
        "limit-memory": command.get("limit-memory"),
        "limit-cpu": command.get("limit-cpu"),
        "container-labels": parent["container-labels"],
    }


def input_of(folder: Path) -> Document:
    """Return the mount that a special command reads."""
    return _mount(1, "input", folder, writable=False)


def output_of(folder: Path) -> Document:
    """Return the mount that a special command writes."""
    return _mount(2, "output", folder, writable=True)


def _mount(place: int, name: str, folder: Path, *, writable: bool) -> Document:
    paths = {"xnat-host-path": str(folder), "container-host-path": str(folder), "container-path": f"/{name}"}
    return {"id": place, "name": name, "writable": writable, **paths, "input-files": []}


def new_run(parent: Container, resolved: Document) -> Container:
    """Return the row of a setup or wrap-up run of `parent`."""
    return Container(
        command_id=resolved["command-id"],
        wrapper_id=0,
        parent_id=parent.id,
        project=parent.project,
        user=parent.user,
        origin=f"container:{parent.id}",
        priority=parent.priority,
        slot=parent.slot,
        inputs={},
        outputs=[],
        history=[],
        resolved=resolved,
    )
