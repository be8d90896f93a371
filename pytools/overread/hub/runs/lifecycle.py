"""One run from its place in the queue to its end: resolved, started, wrapped up, stored.

Each step is kept in a transaction of its own, so that whoever looks sees the truth, and an end of the hub between two
steps leaves nothing half done: what was not Complete is run again from the start.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from overread.errors import OverreadError, PermanentRunnerError, RunnerError
from overread.hub.errors import HubError
from overread.hub.models import Container
from overread.hub.runs import states
from overread.hub.runs.documents import find_wrapper
from overread.hub.runs.launch import caller_of
from overread.hub.runs.outputs import not_applicable, store_outputs
from overread.hub.runs.resolve import resolve_run
from overread.hub.runs.runner import End, Exit, Limits, Listener, Mount, Progress, Runner, RunSpec
from overread.hub.runs.wrapups import find_wrapup, new_wrapup, wrapup_mounts

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_POLL_S = 0.5
_PROGRESS_EVERY_S = 1.0


class GivenUp(Exception):  # noqa: N818 - no error: someone asked for it
    """The run was ended from outside."""


class Life:
    """Takes one run through its life.

    Parameters
    ----------
    hub, runner
        The hub, and who runs.
    container_id
        The run; its state is Created.
    killed
        Set when a user ends the run.
    stopping
        Set when the hub ends.
    """

    def __init__(
        self, hub: Hub, runner: Runner, container_id: int, *, killed: threading.Event, stopping: threading.Event
    ) -> None:
        self._hub, self._runner, self._id = hub, runner, container_id
        self._killed, self._stopping = killed, stopping
        self._folder = run_folder(hub, container_id)
        self._stage = states.STAGING

    def run(self) -> None:
        """Do all of it. Whatever happens, the run is finished afterwards, or back in the queue if the hub ends."""
        try:
            self._do()
        except GivenUp:
            self._give_up()
        except RunnerError as problem:
            self._fail(str(problem))
        except HubError as problem:
            self._fail(problem.reason)
        except OverreadError as problem:
            self._fail(str(problem))

    def _do(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        resolved, wrapups = self._resolve()
        self._prepare(self._id, str(resolved["docker-image"]))
        self._stage = states.FAILED
        end = self._execute(self._id, resolved, self._folder)
        if not end.ok:
            raise PermanentRunnerError(end.reason)
        self._stage = states.WRAPUP
        folders = self._wrap_up(resolved, wrapups)
        self._stage = states.UPLOAD
        self._store(end, folders)
        shutil.rmtree(self._folder / "mounts", ignore_errors=True)

    def _resolve(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        with self._hub.database.read() as db:
            container = db.get_one(Container, self._id)
            wrapper = find_wrapper(db, container.wrapper_id, project=container.project)
            caller = caller_of(db, container.user)
            resolved = resolve_run(db, self._hub, wrapper, container.inputs, caller=caller, folder=self._folder)
            wrapups = {
                row["name"]: find_wrapup(db, row["via-wrapup-command"])
                for row in resolved["outputs"]
                if row["via-wrapup-command"]
            }
        with self._change() as (_, container):
            container.resolved = resolved
            container.outputs = resolved["outputs"]
        return resolved, wrapups

    def _prepare(self, container_id: int, image: str) -> None:
        def report(line: str) -> None:
            with self._hub.database.write() as db:
                states.note(db.get_one(Container, container_id), states.CREATED, message=line)

        try:
            self._runner.prepare(image, report=report, stopped=self._is_given_up)
        finally:
            self._check_given_up()

    def _execute(self, container_id: int, resolved: Mapping[str, Any], folder: Path) -> Exit:
        """Run a command to its end and write its state down meanwhile."""
        latest = _Latest()
        handle = self._runner.start(self._spec(container_id, resolved, folder), listener=Listener(latest.tell))
        with self._hub.database.write() as db:
            container = db.get_one(Container, container_id)
            container.backend_id = handle
            states.advance(db, container, states.RUNNING)
        try:
            end = self._wait(handle, container_id, latest)
        finally:
            self._runner.remove(handle)
        with self._hub.database.write() as db:
            container = db.get_one(Container, container_id)
            container.exit_code = end.code
            states.note(container, _end_word(end), message=end.reason, exit_code=end.code)
        if end.end is End.KILLED:
            raise GivenUp
        return end

    def _wait(self, handle: str, container_id: int, latest: _Latest) -> Exit:
        told: Progress | None = None
        told_at = 0.0
        while True:
            end = self._runner.wait(handle, timeout_s=_POLL_S)
            if end is not None:
                return end
            if self._is_given_up():
                self._runner.kill(handle)
            now = latest.progress
            if now is not None and now != told and time.monotonic() - told_at > _PROGRESS_EVERY_S:
                told, told_at = now, time.monotonic()
                with self._hub.database.write() as db:
                    db.get_one(Container, container_id).progress = {"fraction": now.fraction, "stage": now.stage}

    def _wrap_up(self, resolved: Mapping[str, Any], wrapups: Mapping[str, dict[str, Any]]) -> dict[str, Path]:
        """Run the wrap-up commands; return the folder of each output."""
        hosts = {mount["name"]: Path(mount["xnat-host-path"]) for mount in resolved["mounts"]}
        folders = {row["name"]: hosts[row["mount"]] for row in resolved["outputs"]}
        for name, command in wrapups.items():
            with self._change() as (db, container):
                states.advance(db, container, states.WRAPPING, message=f"Wrap-up of {name} by {command['image']}")
                wrapup = new_wrapup(container, name, command)
                db.add(wrapup)
                db.flush()
                states.advance(db, wrapup, states.CREATED)
                folder = run_folder(self._hub, wrapup.id)
                shutil.rmtree(folder, ignore_errors=True)
                wrapup.resolved = wrapup.resolved | wrapup_mounts(folders[name], folder)
                wrapup_id, what = wrapup.id, wrapup.resolved
            self._finish_wrapup(wrapup_id, what, folder)
            folders[name] = folder / "mounts" / "output"
        return folders

    def _finish_wrapup(self, wrapup_id: int, resolved: Mapping[str, Any], folder: Path) -> None:
        status, why = states.FAILED, "The hub ended during this run."
        try:
            self._prepare(wrapup_id, str(resolved["docker-image"]))
            end = self._execute(wrapup_id, resolved, folder)
            status, why = (states.COMPLETE, "") if end.ok else (states.FAILED, end.reason)
        except GivenUp:
            status, why = states.KILLED, "The run that this one belongs to was ended."
            raise
        except RunnerError as problem:
            why = str(problem)
        finally:
            with self._hub.database.write() as db:
                states.advance(db, db.get_one(Container, wrapup_id), status, message=why)
        if why:
            raise PermanentRunnerError(f"Wrap-up {resolved['docker-image']}: {why}")

    def _store(self, end: Exit, folders: Mapping[str, Path]) -> None:
        with self._change() as (db, container):
            states.advance(db, container, states.FINALIZING, exit_code=end.code)
        with self._change() as (db, container):  # one transaction: all outputs and the state, or none of it
            container.outputs = store_outputs(db, self._hub, container, folders)
            reason = not_applicable(folders)
            if reason is not None:
                container.reason = reason
            states.advance(db, container, states.COMPLETE, message=reason or "", exit_code=end.code)
        for folder in {folder.parent for folder in folders.values()}:
            if folder.is_relative_to(self._hub.layout.runs):
                shutil.rmtree(folder, ignore_errors=True)

    def _spec(self, container_id: int, resolved: Mapping[str, Any], folder: Path) -> RunSpec:
        return RunSpec(
            run_id=run_name(self._hub, container_id),
            image=str(resolved["docker-image"]),
            command_line=str(resolved["command-line"] or ""),
            environment=resolved["env"],
            mounts=tuple(
                Mount(mount["name"], Path(mount["xnat-host-path"]), mount["container-path"], mount["writable"])
                for mount in resolved["mounts"]
            ),
            log_folder=folder / "log",
            limits=Limits(
                timeout_s=self._hub.config.run_timeout_s,
                memory_mb=int(resolved.get("limit-memory") or 0) or None,
                cpus=float(resolved.get("limit-cpu") or 0) or None,
            ),
            working_directory=str(resolved.get("working-directory") or ""),
            override_entrypoint=bool(resolved.get("override-entrypoint")),
        )

    def _give_up(self) -> None:
        with self._change() as (db, container):
            if self._killed.is_set():
                states.advance(db, container, states.KILLED, message="The run was ended by a user.")
            else:
                states.advance(db, container, states.QUEUED, message="The hub was stopped; the run begins anew.")

    def _fail(self, why: str) -> None:
        log.warning("Run %d: %s: %s", self._id, self._stage, why)
        with self._change() as (db, container):
            states.advance(db, container, self._stage, message=why, exit_code=container.exit_code)

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


class _Latest:
    """The last progress line of a run, however many there were."""

    progress: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Remember one."""
        self.progress = progress


def run_folder(hub: Hub, container_id: int) -> Path:
    """Return the folder of a run: ``mounts/`` while it goes on or when it failed, ``log/`` for good."""
    return hub.layout.runs / str(container_id)


def run_name(hub: Hub, container_id: int) -> str:
    """Return a run's name, unique among all hubs."""
    return f"{hub.layout.identity}#{container_id}"


def _end_word(end: Exit) -> str:
    return {End.EXITED: "die", End.TIMED_OUT: "timeout", End.KILLED: "kill"}[end.end]
