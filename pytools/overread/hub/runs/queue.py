"""The service that takes queued runs through their life, some at a time, and picks up what an earlier hub left.

A run waits for a slot of its kind, a processor's or a GPU's. The highest priority goes first; within it, projects take
turns, so that one with a thousand runs keeps no other waiting; within a project, first come, first served.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from overread.errors import RunnerError
from overread.hub.faults import is_temporary
from overread.hub.models import Container
from overread.hub.models.base import utc_now
from overread.hub.runs import states
from overread.hub.runs.ends import finish
from overread.hub.runs.lifecycle import LONGEST_DELAY_S, Life
from overread.hub.runs.novelty import is_new
from overread.hub.runs.priorities import CPU, GPU, attempts_of
from overread.hub.runs.runner import Runner
from overread.hub.runs.spec import run_name

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 30.0
_TAKEN_UP = (states.RUNNING, states.WAITING, states.FINALIZING)


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time: the kinds of runs it takes, and its GPU if it has one."""

    kinds: tuple[str, ...]
    gpu: str | None = None


class RunQueue:
    """Background service.

    Parameters
    ----------
    hub
        The hub.
    runner
        Who runs.
    workers
        How many runs without a GPU go on at the same time; without `gpus`, they take those that want one too.
    gpus
        The GPUs, by the runner's names for them; each has a slot of its own. One named twice has two.
    """

    def __init__(self, hub: Hub, runner: Runner, *, workers: int = 1, gpus: Sequence[str] = ()) -> None:
        self._hub, self.runner = hub, runner
        kinds = (CPU,) if gpus else (CPU, GPU)
        self.slots = [Slot(kinds)] * max(1, workers) + [Slot((GPU,), gpu) for gpu in gpus]
        self._stopping = threading.Event()
        self._work = threading.Condition()
        self._claiming = threading.Lock()
        self._active: dict[int, threading.Event] = {}
        self._left: deque[tuple[int, str]] = deque()  # runs of an earlier hub that are taken up, with their kind
        self._turns: dict[str, int] = {}  # by project: when it had its last turn
        self._turn = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Put back what an earlier hub did not finish, and begin."""
        self.recover()
        for number, slot in enumerate(self.slots, start=1):
            thread = threading.Thread(target=self._serve, args=(slot,), name=f"runs {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all runs (they go back into the queue) unless they outlive the hub, then the workers."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)

    def wake(self) -> None:
        """Look for work soon."""
        with self._work:
            self._work.notify_all()

    def is_working(self) -> bool:
        """Whether every slot is served."""
        return not self._stopping.is_set() and all(thread.is_alive() for thread in self._threads)

    def kill(self, db: Session, container: Container, *, user: str) -> None:
        """End a run, or take it out of the queue, within the transaction of `db`."""
        target = container.parent_id or container.id
        killed = self._active.get(target)
        if killed is not None:
            states.note(container, "kill", message="The end of the run was asked for.", by=user)
            killed.set()
        elif not states.is_finished(container.status):
            message = "The run was ended before it began."
            finish(db, self._hub, container, states.KILLED, message=message, by=user)

    def recover(self) -> None:
        """Take up the runs that were under way where the runner still has them, put the others back into the queue.

        One that was begun too often by then fails: it may be what ends the hub.
        """
        keep = []
        with self._hub.database.write() as db:
            left = select(Container).where(Container.status.in_(states.UNDER_WAY)).order_by(Container.id)
            for container in db.scalars(left).all():
                if container.parent_id is not None:
                    states.advance(db, container, states.FAILED, message="The hub ended during this run.")
                elif self.runner.outlives_hub and container.status in _TAKEN_UP:
                    self._left.append((container.id, container.slot))
                    self._active[container.id] = threading.Event()
                    keep.append(run_name(self._hub, container.id))
                elif container.attempts >= self._most(container):
                    message = f"The hub ended during this run, for the {container.attempts}th time."
                    finish(db, self._hub, container, states.FAILED, message=message)
                else:
                    states.note(container, states.REQUEUED, message="The hub ended during this run; it begins anew.")
                    states.advance(db, container, states.QUEUED)
        try:
            self.runner.clean_up(keep)
        except RunnerError as problem:
            log.warning("What an earlier hub left on the engine stays for now: %s", problem)

    def _serve(self, slot: Slot) -> None:
        while not self._stopping.is_set():
            try:
                claimed = self._take_left(slot) or self._claim(slot)
                if claimed is None:
                    with self._work:
                        self._work.wait(self._hub.config.tick_s)
                    continue
                self._live(*claimed, slot)
            except Exception as problem:  # the outermost loop of a service: it must go on
                if is_temporary(problem):
                    log.warning("The run queue can't go on for now: %s", problem)
                else:
                    log.exception("The run queue failed; going on")
                self._stopping.wait(self._hub.config.tick_s)

    def _live(self, container_id: int, take_up: bool, slot: Slot) -> None:  # noqa: FBT001 - see _take_left
        try:
            life = Life(
                self._hub,
                self.runner,
                container_id,
                killed=self._active[container_id],
                stopping=self._stopping,
                gpu=slot.gpu,
            )
            life.run(take_up=take_up)
        finally:
            self._active.pop(container_id, None)

    def _take_left(self, slot: Slot) -> tuple[int, bool] | None:
        """Return a run of an earlier hub that this slot takes up."""
        with self._claiming:
            for one in list(self._left):
                if one[1] in slot.kinds:
                    self._left.remove(one)
                    return one[0], True
        return None

    def _claim(self, slot: Slot) -> tuple[int, bool] | None:
        """Take the next run out of the queue; None if there is none that is due."""
        with self._hub.database.read() as db:
            if db.scalar(_due(slot).with_only_columns(Container.id).limit(1)) is None:
                return None
        with self._claiming, self._hub.database.write() as db:
            while not self._stopping.is_set():
                container = self._next(db, slot)
                if container is None:
                    return None
                if not is_new(db, self._hub, container):
                    continue
                container.attempts += 1
                container.not_before = None
                count = f"Attempt {container.attempts} of {self._most(container)}"
                states.advance(db, container, states.CREATED, message=count if container.attempts > 1 else "")
                self._turn += 1
                self._turns[container.project] = self._turn
                self._active[container.id] = threading.Event()
                return container.id, False
        return None

    def _next(self, db: Session, slot: Slot) -> Container | None:
        """Return the run whose turn it is."""
        first = func.min(Container.id)
        heads = _due(slot).with_only_columns(Container.priority, Container.project, first)
        waiting = [
            (-priority, self._turns.get(project, 0), container_id)
            for priority, project, container_id in db.execute(heads.group_by(Container.priority, Container.project))
        ]
        return db.get(Container, min(waiting)[2]) if waiting else None

    def _most(self, container: Container) -> int:
        return attempts_of(container.inputs, usual=self._hub.config.run_attempts)


def _due(slot: Slot) -> Select[Container]:
    """Return the query of runs that wait for such a slot and need not wait for anything else.

    A moment so far ahead that no delay explains it comes from a clock that has been set back.
    """
    now = utc_now()
    moment = Container.not_before
    return select(Container).where(
        Container.status == states.QUEUED,
        Container.slot.in_(slot.kinds),
        or_(moment.is_(None), moment <= now, moment > now + timedelta(seconds=LONGEST_DELAY_S)),
    )
