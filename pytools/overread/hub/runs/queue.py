"""The service that takes queued runs through their life, some at a time, and picks up what an earlier hub left."""

from __future__ import annotations

import logging
import shutil
import threading
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import RunnerError
from overread.hub.errors import HubError
from overread.hub.eventservice import deliveries
from overread.hub.items import uris
from overread.hub.models import Container, Workflow
from overread.hub.runs import states
from overread.hub.runs.documents import find_wrapper
from overread.hub.runs.lifecycle import Life, run_folder
from overread.hub.runs.once import once_key
from overread.hub.runs.runner import Runner

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 30.0


class RunQueue:
    """Background service.

    Parameters
    ----------
    hub
        The hub.
    runner
        Who runs.
    workers
        How many runs go on at the same time.
    """

    def __init__(self, hub: Hub, runner: Runner, *, workers: int = 1) -> None:
        self._hub, self.runner, self._count = hub, runner, max(1, workers)
        self._stopping = threading.Event()
        self._work = threading.Condition()
        self._claiming = threading.Lock()
        self._active: dict[int, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Put back what an earlier hub did not finish, and begin."""
        self.recover()
        for number in range(self._count):
            thread = threading.Thread(target=self._serve, name=f"runs {number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all runs (they go back into the queue), then the workers."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)

    def wake(self) -> None:
        """Look for work soon."""
        with self._work:
            self._work.notify_all()

    def kill(self, db: Session, container: Container, *, user: str) -> None:
        """End a run, or take it out of the queue, within the transaction of `db`."""
        target = container.parent_id or container.id
        killed = self._active.get(target)
        if killed is not None:
            states.note(container, "kill", message="The end of the run was asked for.", by=user)
            killed.set()
        elif not states.is_finished(container.status):
            states.advance(db, container, states.KILLED, message="The run was ended before it began.", by=user)

    def recover(self) -> None:
        """Put runs that were under way back into the queue, once; a second time they fail."""
        with self._hub.database.write() as db:
            left = [one for one in db.scalars(select(Container).order_by(Container.id)) if _under_way(one)]
            for container in left:
                if container.parent_id is not None:
                    states.advance(db, container, states.FAILED, message="The hub ended during this run.")
                elif any(line["status"] == states.REQUEUED for line in container.history):
                    states.advance(db, container, states.FAILED, message="The hub ended twice during this run.")
                else:
                    states.note(container, states.REQUEUED, message="The hub ended during this run; it begins anew.")
                    states.advance(db, container, states.QUEUED)
        try:
            self.runner.clean_up(())
        except RunnerError as problem:
            log.warning("What an earlier hub left on the engine stays for now: %s", problem)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                container_id = self._claim()
                if container_id is None:
                    with self._work:
                        self._work.wait(self._hub.config.tick_s)
                    continue
                self._live(container_id)
            except Exception:  # the outermost loop of a service: it must go on
                log.exception("The run queue failed; going on")
                self._stopping.wait(self._hub.config.tick_s)

    def _live(self, container_id: int) -> None:
        killed = self._active[container_id]
        try:
            Life(self._hub, self.runner, container_id, killed=killed, stopping=self._stopping).run()
        except Exception:
            log.exception("Run %d failed inside the hub", container_id)
            with self._hub.database.write() as db:
                container = db.get_one(Container, container_id)
                if not states.is_finished(container.status):
                    message = "The hub failed during this run; its log says why."
                    states.advance(db, container, states.FAILED, message=message)
        finally:
            self._active.pop(container_id, None)

    def _claim(self) -> int | None:
        """Take the next run out of the queue; None if there is none."""
        queued = select(Container).where(Container.status == states.QUEUED).order_by(Container.id).limit(1)
        with self._hub.database.read() as db:
            if db.scalar(queued) is None:
                return None
        with self._claiming, self._hub.database.write() as db:
            container = db.scalar(queued)
            if container is None or self._stopping.is_set():
                return None
            if not self._is_new(db, container):
                return None
            self._active[container.id] = threading.Event()
            states.advance(db, container, states.CREATED)
            return container.id

    def _is_new(self, db: Session, container: Container) -> bool:
        """Look again whether an automatic run is new: more images may have come since it was queued.

        One that would repeat another is taken away; the delivery that caused it says so.
        """
        if container.once_key is None:
            return True
        try:
            wrapper = find_wrapper(db, container.wrapper_id, project=container.project)
            root = wrapper.root
            key = (
                once_key(db, self._hub, wrapper, uris.resolve(db, self._hub, container.inputs[root["name"]]))
                if root
                else None
            )
        except (HubError, KeyError):
            return True  # resolving it will say what is wrong
        if key is None or key == container.once_key:
            return True
        twin = db.scalar(select(Container).where(Container.once_key == key))
        if twin is None:
            container.once_key = key
            return True
        deliveries.note(db, container.origin, f"Nothing to do: run {twin.id} looks at the same series.")
        workflow = db.get(Workflow, container.workflow_id) if container.workflow_id is not None else None
        shutil.rmtree(run_folder(self._hub, container.id), ignore_errors=True)
        db.delete(container)
        db.flush()
        if workflow is not None:
            db.delete(workflow)
        return False


def _under_way(container: Container) -> bool:
    return container.status != states.QUEUED and not states.is_finished(container.status)
