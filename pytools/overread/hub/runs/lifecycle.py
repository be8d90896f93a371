"""One run from its place in the queue to its end: resolved, set up, started, wrapped up, stored.

Each step is kept in a transaction of its own, so that whoever looks sees the truth, and an end of the hub between two
steps leaves nothing half done: what was not Complete is taken up where the runner still has it, else run again from the
start.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from overread.errors import OverreadError, PermanentRunnerError, RunnerError, TemporaryRunnerError
from overread.hub.errors import HubError
from overread.hub.faults import is_temporary, told
from overread.hub.models import Container
from overread.hub.models.base import utc_now
from overread.hub.runs import states
from overread.hub.runs.documents import find_wrapper
from overread.hub.runs.ends import finish
from overread.hub.runs.launch import caller_of
from overread.hub.runs.novelty import is_new
from overread.hub.runs.outputs import not_applicable, store_outputs
from overread.hub.runs.priorities import attempts_of
from overread.hub.runs.resolve import resolve_run
from overread.hub.runs.runner import End, Exit, Listener, Progress, Runner
from overread.hub.runs.spec import run_folder, run_spec
from overread.hub.runs.special import new_run, output_of

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_POLL_S = 0.5
_PROGRESS_EVERY_S = 1.0
LONGEST_DELAY_S = 900.0
_GROWTH = 3


class GivenUp(Exception):  # noqa: N818 - no error: someone asked for it
    """The run was ended from outside."""


class LeftRunning(Exception):  # noqa: N818
    """The hub ends, the run goes on without it."""


class Life:
    """Takes one run through its life.

    Parameters
    ----------
    hub, runner
        The hub, and who runs.
    container_id
        The run; its state is Created, or what an earlier hub left if it is to be taken up.
    killed
        Set when a user ends the run.
    stopping
        Set when the hub ends.
    gpu
        The GPU of the run's slot; None in a slot without one.
    """

    def __init__(
        self,
        hub: Hub,
        runner: Runner,
        container_id: int,
        *,
        killed: threading.Event,
        stopping: threading.Event,
        gpu: str | None = None,
    ) -> None:
        self._hub, self._runner, self._id = hub, runner, container_id
        self._killed, self._stopping, self._gpu = killed, stopping, gpu
        self._folder = run_folder(hub, container_id)
        self._stage = states.STAGING
        self._handles: list[str] = []

    def run(self, *, take_up: bool = False) -> None:
        """Do all of it. Whatever happens, the run is finished afterwards, or back in the queue.

        Parameters
        ----------
        take_up
            Whether it was begun by an earlier hub, and the runner may still have it.
        """
        left = False
        try:
            self._take_up() if take_up else self._do()
        except LeftRunning:
            left = True
        except GivenUp:
            self._give_up()
        except HubError as problem:
            self._fail(problem.reason)
        except Exception as problem:
            if is_temporary(problem):
                self._try_later(told(problem))
            elif isinstance(problem, OverreadError):
                self._fail(str(problem))
            else:
                log.exception("Run %d failed inside the hub", self._id)
                self._stage = states.FAILED
                self._fail("The hub failed during this run; its log says why.")
        finally:
            for handle in self._handles if not left else ():
                self._drop(handle)

    def _do(self) -> None:
        self._forget_earlier()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        resolved = self._resolve()
        digest = self._prepare(self._id, resolved)
        with self._change() as (db, container):
            if not is_new(db, self._hub, container, image_digest=digest):
                return
            container.image_digest = digest
        self._stage = states.SETUP
        for one in resolved["setup-commands"]:
            self._special(one, f"Setup of {one['parent-source-object-name']} by {one['docker-image']}")
        self._stage = states.FAILED
        self._complete(self._start(self._id, resolved, self._folder, digest), resolved)

    def _take_up(self) -> None:
        """Go on with a run that an earlier hub started; if the runner has nothing of it, begin anew later."""
        self._stage = states.FAILED
        with self._hub.database.read() as db:
            container = db.get_one(Container, self._id)
            resolved, digest = container.resolved, container.image_digest
        latest = _Latest()
        spec = run_spec(self._hub, self._id, resolved, self._folder, image_digest=digest, gpu=self._gpu)
        handle = self._runner.reattach(spec, listener=Listener(latest.tell))
        if handle is None:
            raise TemporaryRunnerError("The hub ended during this run, and nothing is left of it.")
        self._handles.append(handle)
        with self._change() as (_, container):
            states.note(container, states.TAKEN_UP, message="Another hub takes the run up where it is.")
        self._complete((handle, latest), resolved)

    def _forget_earlier(self) -> None:
        """End what an earlier attempt may have left on an engine: no run goes on twice."""
        with self._hub.database.read() as db:
            container = db.get_one(Container, self._id)
            resolved, digest = container.resolved, container.image_digest
        if self._runner.outlives_hub and "mounts" in resolved:
            spec = run_spec(self._hub, self._id, resolved, self._folder, image_digest=digest, gpu=self._gpu)
            handle = self._runner.reattach(spec, listener=Listener())
            if handle is not None:
                self._runner.remove(handle)

    def _resolve(self) -> dict[str, Any]:
        with self._hub.database.read() as db:
            container = db.get_one(Container, self._id)
            wrapper = find_wrapper(db, container.wrapper_id, project=container.project)
            caller = caller_of(db, container.user)
            resolved = resolve_run(db, self._hub, wrapper, container.inputs, caller=caller, folder=self._folder)
        with self._change() as (_, container):
            container.resolved = resolved
            container.outputs = resolved["outputs"]
            container.versions = {
                "overread": _version(),
                "command": f"{wrapper.command['name']}:{wrapper.command['version'] or ''}",
                "wrapper": wrapper.name,
                "backend": self._runner.backend,
            }
        return resolved

    def _prepare(self, container_id: int, resolved: dict[str, Any]) -> str:
        """Make the image of a run ready; return its digest."""

        def report(line: str) -> None:
            with self._hub.database.write() as db:
                states.note(db.get_one(Container, container_id), states.CREATED, message=line)

        wanted = str(resolved.get("hash") or "")
        try:
            return self._runner.prepare(
                str(resolved["docker-image"]),
                digest=wanted if wanted.startswith("sha256:") else "",
                report=report,
                stopped=self._is_given_up,
            )
        finally:
            self._check_given_up()

    def _start(self, container_id: int, resolved: dict[str, Any], folder: Path, digest: str) -> tuple[str, _Latest]:
        spec = run_spec(self._hub, container_id, resolved, folder, image_digest=digest, gpu=self._gpu)
        latest = _Latest()
        handle = self._runner.start(spec, listener=Listener(latest.tell))
        self._handles.append(handle)
        with self._hub.database.write() as db:
            container = db.get_one(Container, container_id)
            container.backend_id, container.image_digest = handle, digest
            states.advance(db, container, states.RUNNING)
        return handle, latest

    def _complete(self, started: tuple[str, _Latest], resolved: dict[str, Any]) -> None:
        """Wait for the end of the command, then wrap up and store."""
        end = self._wait(*started, self._id, may_leave=self._runner.outlives_hub)
        with self._change() as (db, container):
            _note_end(container, end)
            if end.ok and not resolved["wrapup-commands"]:
                states.advance(db, container, states.FINALIZING, exit_code=end.code)
        self._check_end(end)
        folders = self._wrap_up(resolved, end)
        self._stage = states.UPLOAD
        self._store(end, folders)
        shutil.rmtree(self._folder / "mounts", ignore_errors=True)

    def _check_end(self, end: Exit) -> None:
        if end.ok:
            return
        if end.end is End.KILLED:
            self._check_given_up()
        raise TemporaryRunnerError(end.reason) if end.temporary else PermanentRunnerError(end.reason)

    def _wait(self, handle: str, latest: _Latest, container_id: int, *, may_leave: bool) -> Exit:
        shown: Progress | None = None
        shown_at = 0.0
        while True:
            end = self._runner.wait(handle, timeout_s=_POLL_S)
            if end is not None:
                return end
            if self._stopping.is_set() and not self._killed.is_set() and may_leave:
                raise LeftRunning
            if self._is_given_up():
                self._runner.kill(handle)
            now = latest.progress
            if now is not None and now != shown and time.monotonic() - shown_at > _PROGRESS_EVERY_S:
                shown, shown_at = now, time.monotonic()
                with self._hub.database.write() as db:
                    db.get_one(Container, container_id).progress = {"fraction": now.fraction, "stage": now.stage}

    def _wrap_up(self, resolved: dict[str, Any], end: Exit) -> dict[str, Path]:
        """Run the wrap-up commands; return the folder of each output."""
        hosts = {mount["name"]: Path(mount["xnat-host-path"]) for mount in resolved["mounts"]}
        folders = {row["name"]: hosts[row["mount"]] for row in resolved["outputs"]}
        self._stage = states.WRAPUP
        for one in resolved["wrapup-commands"]:
            name = one["parent-source-object-name"]
            folders[name] = self._special(one, f"Wrap-up of {name} by {one['docker-image']}")
        if resolved["wrapup-commands"]:
            with self._change() as (db, container):
                states.advance(db, container, states.FINALIZING, exit_code=end.code)
        return folders

    def _special(self, resolved: dict[str, Any], what: str) -> Path:
        """Run a setup or wrap-up command to its end; return the folder that it has written."""
        with self._change() as (db, container):
            states.advance(db, container, states.WAITING, message=what)
            run = new_run(container, resolved)
            db.add(run)
            db.flush()
            run_id, folder = run.id, run_folder(self._hub, run.id)
            if len(resolved["mounts"]) == 1:
                run.resolved = resolved = resolved | {
                    "mounts": [*resolved["mounts"], output_of(folder / "mounts" / "output")]
                }
            states.advance(db, run, states.CREATED)
        shutil.rmtree(folder, ignore_errors=True)
        written = Path(resolved["mounts"][1]["xnat-host-path"])
        written.mkdir(parents=True, exist_ok=True)
        status, why = states.FAILED, ""
        try:
            digest = self._prepare(run_id, resolved)
            end = self._wait(*self._start(run_id, resolved, folder, digest), run_id, may_leave=False)
            self._keep(lambda _, row: _note_end(row, end), run_id)
            self._check_end(end)
            status, why = states.COMPLETE, ""
        except GivenUp:
            status, why = states.KILLED, "The run that this one belongs to was ended."
            raise
        except RunnerError as problem:
            why = str(problem)
            raise type(problem)(f"{what}: {why}") from problem
        except Exception as problem:
            why = told(problem)
            raise
        finally:
            self._keep(lambda db, row: states.advance(db, row, status, message=why), run_id)
        return written

    def _store(self, end: Exit, folders: dict[str, Path]) -> None:
        with self._change() as (db, container):  # one transaction: all outputs and the state, or none of it
            if self._killed.is_set():
                raise GivenUp
            container.outputs = store_outputs(db, self._hub, container, folders)
            reason = not_applicable(folders)
            if reason is not None:
                container.reason = reason
            finish(db, self._hub, container, states.COMPLETE, message=reason or "", exit_code=end.code)
        for folder in {folder.parent for folder in folders.values()}:
            if folder.is_relative_to(self._hub.layout.runs):
                shutil.rmtree(folder, ignore_errors=True)

    def _give_up(self) -> None:
        def change(db: Session, container: Container) -> None:
            if self._killed.is_set():
                finish(db, self._hub, container, states.KILLED, message="The run was ended by a user.")
            else:
                container.attempts -= 1  # it was no fault of the run
                states.advance(db, container, states.QUEUED, message="The hub was stopped; the run begins anew.")

        self._keep(change)

    def _fail(self, why: str) -> None:
        log.warning("Run %d: %s: %s", self._id, self._stage, why)
        self._keep(
            lambda db, container: finish(
                db, self._hub, container, self._stage, message=why, exit_code=container.exit_code
            )
        )

    def _try_later(self, why: str) -> None:
        """Put the run back into the queue for a while that grows with each attempt; fail it after the last one."""

        def change(db: Session, container: Container) -> None:
            if self._killed.is_set():
                finish(db, self._hub, container, states.KILLED, message="The run was ended by a user.")
                return
            most = attempts_of(container.inputs, usual=self._hub.config.run_attempts)
            count = f"attempt {container.attempts} of {most}"
            if container.attempts >= most:
                message = f"{why} ({count})"
                finish(db, self._hub, container, self._stage, message=message, exit_code=container.exit_code)
                return
            delay_s = delay_of(container.attempts, first_s=self._hub.config.retry_delay_s)
            container.not_before = utc_now() + timedelta(seconds=delay_s)
            container.exit_code, container.started, container.progress = None, None, {}
            states.note(container, states.RETRY, message=f"{count}: {why}")
            states.advance(db, container, states.QUEUED, message=f"Tried again in {delay_s:g} s.")

        log.warning("Run %d: %s; it may work later", self._id, why)
        self._keep(change)

    def _keep(self, change: Callable[[Session, Container], None], container_id: int | None = None) -> None:
        """Write down what must not be lost: again and again while the disk is full or the database does not answer."""
        wait_s = 0.5
        while True:
            try:
                with self._hub.database.write() as db:
                    change(db, db.get_one(Container, container_id or self._id))
            except Exception as problem:
                if not is_temporary(problem) or self._stopping.is_set():
                    raise
                log.warning("The state of run %d can't be written down yet: %s", self._id, told(problem))
                self._stopping.wait(wait_s)
                wait_s = min(30.0, 2 * wait_s)
            else:
                return

    def _drop(self, handle: str) -> None:
        try:
            self._runner.remove(handle)
        except RunnerError as problem:
            log.warning("What is left of run %d stays on the engine for now: %s", self._id, problem)

    def _is_given_up(self) -> bool:
        return self._killed.is_set() or self._stopping.is_set()

    def _check_given_up(self) -> None:
        if self._is_given_up():
            raise GivenUp

    @contextmanager
    def _change(self) -> Iterator[tuple[Session, Container]]:
        """Open a writing transaction with the run in it."""
        with self._hub.database.write() as db:
            yield db, db.get_one(Container, self._id)


@functools.cache
def _version() -> str:
    return importlib.metadata.version("overread")


class _Latest:
    """The last progress line of a run, however many there were."""

    progress: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Remember one."""
        self.progress = progress


def delay_of(attempt: int, *, first_s: float) -> float:
    """Return how long a run waits after a temporary failure of its attempt number `attempt` (from 1), seconds."""
    return float(min(LONGEST_DELAY_S, first_s * _GROWTH ** (attempt - 1)))


def _note_end(container: Container, end: Exit) -> None:
    container.exit_code = end.code
    states.note(container, _WORDS[end.end], message=end.reason, exit_code=end.code)


_WORDS = {End.EXITED: "die", End.TOO_MUCH: "die", End.TIMED_OUT: "timeout", End.KILLED: "kill", End.LOST: "lost"}
