"""Sets a study up on a server: plan, send, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from overread.errors import ArchiveError, Conflict
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive
from overread.xnat.plan import plan
from overread.xnat.state import read_state
from overread.xnat.steps import Step

_MAX_ROUNDS = 4

Outcome = Literal["created", "updated", "unchanged", "note"]


@dataclass(frozen=True)
class Done:
    """What became of a step.

    Parameters
    ----------
    name
        As in `overread.xnat.steps.Step`.
    outcome
        What was done.
    detail
        What was different.
    """

    name: str
    outcome: Outcome
    detail: str = ""


def apply(
    bundle: StudyBundle, archive: Archive, *, tell: Callable[[Done], None], adopt: bool = False
) -> tuple[Done, ...]:
    """Bring a server to what a study needs. A second call changes nothing.

    Parameters
    ----------
    bundle
        The study.
    archive
        The server.
    tell
        Is called with each step as soon as it is known what became of it.
    adopt
        Also change objects that somebody else made.

    Returns
    -------
    tuple of Done
        In the order of the plan.

    Raises
    ------
    ArchiveError
        The server refuses something, lacks a plugin, or does not keep what it was sent. What was told before is done.
    """
    done: dict[str, Done] = {}
    for _ in range(_MAX_ROUNDS):
        steps = plan(bundle, read_state(archive, bundle), adopt=adopt)
        refuse(steps)
        pending = [step for step in steps if step.action in {"create", "update"}]
        for step in steps:
            if step.action in {"unchanged", "note"} and step.name not in done:
                _record(done, Done(step.name, "note" if step.action == "note" else "unchanged", step.detail), tell)
            elif step.action in {"create", "update"}:
                _send(step, archive, done, tell)
        if not pending and all(step.action in {"unchanged", "note"} for step in steps):
            return tuple(done[step.name] for step in steps)
    raise ArchiveError(
        f"the server waits for what it never gives: {', '.join(s.name for s in steps if s.action == 'wait')}"
    )


def refuse(steps: tuple[Step, ...]) -> None:
    """Stop when the server lacks what no request can bring.

    Raises
    ------
    ArchiveError
        With what to do.
    """
    for step in steps:
        if step.action == "refuse":
            raise ArchiveError(f"{step.name}: {step.detail}")


def _send(step: Step, archive: Archive, done: dict[str, Done], tell: Callable[[Done], None]) -> None:
    if step.name in done and done[step.name].outcome in {"created", "updated"}:
        # A 200 is no proof: what was sent must be there when one looks again.
        raise Conflict(f"{step.name}: the server took it but does not keep it ({step.detail or 'it is not there'})")
    for request in step.requests:
        archive.send(request)
    _record(done, Done(step.name, "created" if step.action == "create" else "updated", step.detail), tell)


def _record(done: dict[str, Done], item: Done, tell: Callable[[Done], None]) -> None:
    done[item.name] = item
    tell(item)
