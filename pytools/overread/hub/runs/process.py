"""The runner without an engine: an image folder becomes a Python environment, a run a group of processes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from overread.commands.label import KEY
from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs import cgroups, sandbox
from overread.hub.runs.environments import Environments
from overread.hub.runs.images import Image, ImageSource
from overread.hub.runs.logs import read_chunks
from overread.hub.runs.processes import HUB_VARIABLE, RUN_VARIABLE, Use, end_group, end_marked, use_of
from overread.hub.runs.runner import End, Exit, Limits, Listener, ReadyImage, Report, RunSpec, Stopped, check_digest
from overread.hub.runs.watch import Breach, Watch, out_of_memory

_LOOK_EVERY_S = 0.2


@dataclass
class _Run:
    watch: Watch
    process: subprocess.Popen[bytes]
    scratch: Path | None
    group: cgroups.Group | None
    exit: Exit | None = None


class ProcessRunner:
    """Runs commands as processes of this machine, see `overread.hub.runs.sandbox` for what holds them.

    Parameters
    ----------
    images
        Where images are looked up.
    environments
        Where their Python environments are kept.
    owner
        Id of the hub, put on all its processes.
    isolate
        False runs without bubblewrap even where there is one.
    groups
        Where control groups are made; None makes none.
    """

    backend = "process"
    outlives_hub = False

    def __init__(
        self,
        images: ImageSource,
        environments: Environments,
        *,
        owner: str = "local",
        isolate: bool = True,
        groups: cgroups.Hierarchy | None = None,
    ) -> None:
        self._images, self._environments, self._owner = images, environments, owner
        self._isolate, self._groups = isolate, groups
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def ping(self) -> None:
        """Return: this machine is always there."""

    def images(self) -> list[ReadyImage]:
        """Return the image folders."""
        return [ReadyImage(one.name, one.digest, {KEY: json.dumps(list(one.commands))}) for one in self._images.all()]

    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        """Build the image's environment unless it is there."""
        found = self._find(image, digest)
        self._environments.ensure(found.requirements, report=report, stopped=stopped)
        self._environments.package()
        return found.digest

    def start(self, spec: RunSpec, *, listener: Listener) -> str:
        """Start the command. Call `wait` from the same thread: bubblewrap ends with the thread that started it."""
        image = self._find(spec.image, spec.image_digest)
        with self._lock:
            if spec.run_id in self._runs:
                return spec.run_id
        spec.log_folder.mkdir(parents=True, exist_ok=True)
        bwrap = sandbox.bubblewrap() if self._isolate else None
        scratch = Path(tempfile.mkdtemp(prefix="overread-run-")) if bwrap is None else None
        group = self._groups.make(self._owner, spec.run_id, spec.limits) if self._groups is not None else None
        try:
            process = self._spawn(spec, image, bwrap=bwrap, scratch=scratch, group=group)
        except (OSError, PermanentRunnerError) as problem:
            _remove(scratch)
            if group is not None:
                group.end()
            if isinstance(problem, OSError):
                raise TemporaryRunnerError(f"The command could not be started: {problem.strerror}.") from problem
            raise
        if process.stdout is None or process.stderr is None:
            raise TemporaryRunnerError("The command was started without pipes for its output.")
        watch = Watch(spec, listener)
        watch.begin()
        watch.capture(
            read_chunks(process.stdout), read_chunks(process.stderr), notice=sandbox.WARNING if bwrap is None else ""
        )
        with self._lock:
            self._runs[spec.run_id] = _Run(watch, process, scratch, group)
        return spec.run_id

    def reattach(self, spec: RunSpec, *, listener: Listener) -> str | None:  # noqa: ARG002 - as all runners have it
        """Return None: processes end with the hub that started them."""
        return None

    def wait(self, handle: str, *, timeout_s: float) -> Exit | None:
        """Wait for the end; enforce the wall-clock limit."""
        run = self._runs[handle]
        if run.exit is not None:
            return run.exit
        until = time.monotonic() + timeout_s
        while run.exit is None:
            left = until - time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(max(0.0, min(_LOOK_EVERY_S, left)))
            if run.process.returncode is not None or self._due(run):
                run.exit = self._finish(run)
            elif left <= 0:
                break
        return run.exit

    def kill(self, handle: str) -> None:
        """Ask for the end of a run; the thread that waits for it ends its processes."""
        with self._lock:
            run = self._runs.get(handle)
        if run is not None:
            run.watch.kill()

    def remove(self, handle: str) -> None:
        """Forget a run; end it first if it goes on."""
        with self._lock:
            run = self._runs.pop(handle, None)
        if run is not None and run.exit is None:
            run.watch.kill()
            run.watch.due()
            self._finish(run)

    def clean_up(self, keep: Collection[str]) -> None:
        """Kill all processes of this hub that belong to none of the runs in `keep`."""
        end_marked({HUB_VARIABLE: self._owner}, spare={f"{RUN_VARIABLE}={run_id}" for run_id in keep})
        if self._groups is not None:
            self._groups.clean_up(self._owner, keep)

    def _find(self, name: str, digest: str) -> Image:
        image = self._images.find(name.partition("@")[0])
        if image is None:
            raise PermanentRunnerError(f"There is no image {name}: no image folder has a command.json that names it.")
        check_digest(name, digest, (image.digest,))
        return image

    def _spawn(
        self, spec: RunSpec, image: Image, *, bwrap: str | None, scratch: Path | None, group: cgroups.Group | None
    ) -> subprocess.Popen[bytes]:
        environment = self._environments.ensure(image.requirements, report=_silent, stopped=_never)
        room = sandbox.Room(
            shell_line=image.shell_line(spec.command_line, override_entrypoint=spec.override_entrypoint),
            environment={
                **spec.environment,
                **_thread_limits(spec.limits),
                HUB_VARIABLE: self._owner,
                RUN_VARIABLE: spec.run_id,
            },
            mounts=spec.mounts,
            working_directory=spec.working_directory,
            virtual_environment=environment,
            package=self._environments.package(),
            code=image.folder.resolve(),
            code_path=image.code_path,
        )
        start = sandbox.inside(room, bwrap) if bwrap is not None else sandbox.beside(room, scratch or spec.log_folder)
        with _on_cpus(spec.limits.cpus):
            return subprocess.Popen(
                _limited(start.arguments, spec.limits, group),
                cwd=start.folder,
                env=start.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )

    def _due(self, run: _Run) -> bool:
        """Whether a run must end now."""
        if run.watch.due() is not None:
            return True
        limits = run.watch.spec.limits
        if run.group is not None:
            run.watch.breach = _beyond_group(limits, run.group)
        else:
            run.watch.breach = _beyond(limits, use_of(run.process.pid, {RUN_VARIABLE: run.watch.spec.run_id}))
        return run.watch.breach is not None

    def _finish(self, run: _Run) -> Exit:
        """End what is left of the run's processes, close its logs and say how it ended."""
        if run.process.returncode is not None:
            run.watch.breach = None  # it was quicker than the limit
        if run.group is not None:
            if run.process.returncode:  # or it ended because the kernel kept it to its limits
                run.watch.breach = _beyond_group(run.watch.spec.limits, run.group)
            run.group.end()
        end_group(run.process)
        end_marked({RUN_VARIABLE: run.watch.spec.run_id})
        run.watch.finish()
        _remove(run.scratch)
        return run.watch.exit(run.process.returncode)


def _beyond_group(limits: Limits, group: cgroups.Group) -> Breach | None:
    if group.forks_refused():
        return _too_many(limits)
    return Breach(End.TOO_MUCH, out_of_memory(limits)) if group.memory_kills() else None


def _too_many(limits: Limits) -> Breach:
    return Breach(End.TOO_MUCH, f"The run had more than {limits.processes} processes and threads and was ended.")


def _beyond(limits: Limits, use: Use) -> Breach | None:
    if use.processes > limits.processes:
        return _too_many(limits)
    if limits.memory_mb is not None and use.memory_bytes > limits.memory_mb * 1024**2:
        return Breach(End.TOO_MUCH, out_of_memory(limits))
    return None


def _limited(arguments: list[str], limits: Limits, group: cgroups.Group | None) -> list[str]:
    """Put the limits before the command: its group, no core dumps, no file or private memory larger than allowed."""
    line = "".join(f"echo 0 > {shlex.quote(str(file))} || exit 125; " for file in (group.joins if group else ()))
    line += f"ulimit -c 0; ulimit -f {max(1, limits.output_bytes // 512)}"
    if limits.memory_mb is not None:
        line += f"; ulimit -d {limits.memory_mb * 1024}"
    return ["/bin/sh", "-c", f'{line}; exec "$0" "$@"', *arguments]


def _thread_limits(limits: Limits) -> dict[str, str]:
    if limits.cpus is None:
        return {}
    count = str(max(1, math.ceil(limits.cpus)))
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count)


@contextmanager
def _on_cpus(cpus: float | None) -> Iterator[None]:
    """Let what this thread starts use some of its CPUs only (Linux)."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[: max(1, math.ceil(cpus))])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _remove(scratch: Path | None) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)


def _silent(_line: str) -> None:
    """Tell nobody."""


def _never() -> bool:
    return False
