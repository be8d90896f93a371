"""The interface of all runners, and what passes through it.

A runner knows nothing of XNAT: it gets an image's name, a command line, folders and limits, and says how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Protocol

from overread.errors import PermanentRunnerError

Report = Callable[[str], None]
"""Takes a line that says what is being done."""

Stopped = Callable[[], bool]
"""Whether the work should be given up."""


def is_mount_path(path: str) -> bool:
    """Whether a mount may lie at `path`: absolute, below the root, without ``..``."""
    parts = PurePosixPath(path).parts
    return path.startswith("/") and len(parts) > 1 and ".." not in parts and "\0" not in path


@dataclass(frozen=True)
class Mount:
    """A folder that the command sees at an absolute path of its own.

    Parameters
    ----------
    name
        Name in the command document.
    source
        Folder (or file) on this machine.
    target
        Absolute path at which the command finds it, such as ``/input``.
    writable
        Whether the command may write there.
    """

    name: str
    source: Path
    target: str
    writable: bool = False

    def __post_init__(self) -> None:
        if not is_mount_path(self.target):
            raise PermanentRunnerError(f"Mount {self.name}: {self.target!r} is no absolute path below the root.")


@dataclass(frozen=True)
class Limits:
    """What one run may use at most.

    Parameters
    ----------
    timeout_s
        Wall-clock time, from start to end.
    memory_mb
        Private memory of each process, None for no limit.
    cpus
        CPUs (rounded up to whole ones), None for no limit.
    log_bytes
        Size at which each of the two logs is cut.
    """

    timeout_s: float
    memory_mb: int | None = None
    cpus: float | None = None
    log_bytes: int = 16 * 1024**2


@dataclass(frozen=True)
class RunSpec:
    """All that a runner is told about one run.

    Parameters
    ----------
    run_id
        Name of the run, unique on this machine.
    image
        ``repository/name:version``.
    command_line
        One line for ``/bin/sh -c``; arguments of the image's entry point when `override_entrypoint` is off.
    environment
        Variables of the command; nothing of this process's own environment is handed on.
    mounts
        Folders.
    log_folder
        Where ``stdout.log`` and ``stderr.log`` are written.
    limits
        Limits.
    working_directory
        Where the command starts; "" for the image's own.
    override_entrypoint
        See `command_line`.
    """

    run_id: str
    image: str
    command_line: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    log_folder: Path
    limits: Limits
    working_directory: str = ""
    override_entrypoint: bool = True


class End(Enum):
    """How a run ended."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    KILLED = "killed"


@dataclass(frozen=True)
class Exit:
    """The end of a run.

    Parameters
    ----------
    end
        By itself, by the limit, or by `Runner.kill`.
    code
        Exit code (negative: the signal that ended it).
    reason
        Why it failed, in one line; "" when it did not.
    """

    end: End
    code: int
    reason: str = ""

    @property
    def ok(self) -> bool:
        """It ended by itself with exit code 0."""
        return self.end is End.EXITED and self.code == 0


@dataclass(frozen=True)
class Progress:
    """How far a run is: ``fraction`` between 0 and 1, and the stage's name."""

    fraction: float
    stage: str


@dataclass(frozen=True)
class Listener:
    """Whom a runner tells what happens during a run. Called from the runner's own threads."""

    progress: Callable[[Progress], None] = field(default=lambda _progress: None)


class Runner(Protocol):
    """Runs command lines in images."""

    backend: str
    """Name for the ``backend`` of a container's JSON."""

    def prepare(self, image: str, *, report: Report, stopped: Stopped) -> None:
        """Make `image` ready to start (build, pull); may take minutes, and returns at once when it is ready.

        Raises
        ------
        PermanentRunnerError
            There is no such image, or it can't be made.
        TemporaryRunnerError
            `stopped` said so.
        """

    def start(self, spec: RunSpec, *, listener: Listener) -> str:
        """Start a prepared image and return the run's handle."""

    def wait(self, handle: str, *, timeout_s: float) -> Exit | None:
        """Wait up to `timeout_s` for the end; None while it runs. After an `Exit` the handle is forgotten."""

    def kill(self, handle: str) -> None:
        """End a run and all its processes. `wait` then tells `End.KILLED`. Unknown handles are let pass."""

    def end_leftovers(self, run_ids: list[str]) -> None:
        """End what runs of an earlier hub process left behind."""
