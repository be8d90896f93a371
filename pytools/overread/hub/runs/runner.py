"""The interface of all runners, and what passes through it.

A runner knows nothing of XNAT: it gets an image's name and digest, a command line, folders and limits, and says how it
ended. What it gets is the same for all of them, and so is what they promise:

* A run is known by `RunSpec.run_id`. Starting one that is there already takes it up and starts no second one; so
  ``start`` may be called again after it failed for want of an answer.
* Nothing of a run is thrown away before `Runner.remove`: not the container, not its exit code. Who calls ``remove``
  once the run's end is written down loses no run.
* `End.LOST` and `TemporaryRunnerError` mean that the same run may work later; everything else ends the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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


def check_digest(image: str, wanted: str, there: Collection[str]) -> None:
    """Refuse an image that has not the digest which is wanted ("" wants any).

    Raises
    ------
    PermanentRunnerError
        `wanted` is none of `there`.
    """
    if wanted and wanted not in there:
        found = ", ".join(sorted(there)) or "no digest"
        raise PermanentRunnerError(
            f"Image {image} is another one than was asked for: it has {found}, not {wanted}. "
            "Pull the right one, or change the command's hash."
        )


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
    """What one run may use at most. One that goes beyond is ended, and `Exit.reason` says by what.

    Parameters
    ----------
    timeout_s
        Wall-clock time, from start to end.
    memory_mb
        Memory of all its processes together, MB; None for no limit.
    cpus
        CPUs, None for no limit.
    processes
        Processes and threads at a time.
    log_bytes
        Size at which each of the two logs is cut.
    printed_bytes
        Bytes printed, kept or not, at which a run is ended; each line counts 64 more.
    output_bytes
        Size of all writable mounts together.
    tmp_mb
        Size of ``/tmp``, MB (it counts as memory too).
    shm_mb
        Size of ``/dev/shm``, MB; None for the engine's own.
    """

    timeout_s: float
    memory_mb: int | None = None
    cpus: float | None = None
    processes: int = 4096
    log_bytes: int = 16 * 1024**2
    printed_bytes: int = 256 * 1024**2
    output_bytes: int = 20 * 1024**3
    tmp_mb: int = 1024
    shm_mb: int | None = None


@dataclass(frozen=True)
class Devices:
    """What a run needs beside processor and memory.

    Parameters
    ----------
    gpus
        As ``docker run --gpus`` takes it: ``all``, a number, or ``device=0,2``; "" for none.
    runtime
        The engine's runtime, such as ``nvidia``; "" for the engine's own choice.
    generic_resources
        Reservations of a Swarm, such as ``{"NVIDIA-GPU": "1"}``.
    constraints
        On which hosts of a Swarm it may run, such as ``node.labels.gpu == yes``.
    """

    gpus: str = ""
    runtime: str = ""
    generic_resources: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunSpec:
    """All that a runner is told about one run.

    Parameters
    ----------
    run_id
        Name of one attempt at a run, unique among all hubs and runs, and the same after a restart of the hub. Who
        tries again after `End.LOST` gives it another one: what was lost may come back.
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
    image_digest
        What `Runner.prepare` returned: that very image runs, or none. "" takes the name's present image.
    devices
        GPUs and placement.
    reserve_memory_mb
        Memory that the host must have free; a Swarm chooses the host by it.
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
    image_digest: str = ""
    devices: Devices = Devices()
    reserve_memory_mb: int | None = None


class End(Enum):
    """How a run ended."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    KILLED = "killed"
    TOO_MUCH = "too much"
    """It used more memory, output or log than its limits allow."""
    LOST = "lost"
    """Not by its own doing: host or engine went away, or the host ran out of memory. It may work later."""


@dataclass(frozen=True)
class Exit:
    """The end of a run.

    Parameters
    ----------
    end
        By itself, by a limit, by `Runner.kill`, or with its host.
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

    @property
    def temporary(self) -> bool:
        """Whether the same run may work later."""
        return self.end is End.LOST


@dataclass(frozen=True)
class Progress:
    """How far a run is: ``fraction`` between 0 and 1, and the stage's name."""

    fraction: float
    stage: str


@dataclass(frozen=True)
class Listener:
    """Whom a runner tells what happens during a run. Called from the runner's own threads."""

    progress: Callable[[Progress], None] = field(default=lambda _progress: None)


@dataclass(frozen=True)
class ReadyImage:
    """An image that a runner has: its name, its digest, its labels."""

    name: str
    digest: str
    labels: Mapping[str, str]


class Runner(Protocol):
    """Runs command lines in images. All methods may be called from several threads at once."""

    backend: str
    """Name for the ``backend`` of a container's JSON."""

    outlives_hub: bool
    """Whether runs go on when the hub ends, and `reattach` finds them. Where not, they end with the hub."""

    def ping(self) -> None:
        """Return if runs can be started.

        Raises
        ------
        RunnerError
            They can't; the message says why.
        """

    def images(self) -> list[ReadyImage]:
        """Return the images that are there, by name.

        Raises
        ------
        RunnerError
            The engine doesn't answer.
        """

    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        """Make `image` ready to start (build, pull); may take minutes, and returns at once when it is ready.

        Parameters
        ----------
        image
            ``repository/name:version``, also with ``@sha256:...`` behind it.
        digest
            ``sha256:...`` that the image must have; "" for whatever the name stands for.
        report
            Told what is done, if anything is.
        stopped
            Asked every now and then whether to give up.

        Returns
        -------
        str
            The image's digest, for `RunSpec.image_digest`.

        Raises
        ------
        PermanentRunnerError
            There is no such image, it can't be made, or it has another digest.
        TemporaryRunnerError
            The engine or the registry doesn't answer, or `stopped` said so.
        """

    def start(self, spec: RunSpec, *, listener: Listener) -> str:
        """Start a prepared image and return the run's handle: the id that the engine gave it.

        Raises
        ------
        PermanentRunnerError
            It can't be started: wrong command, other digest, no such image.
        TemporaryRunnerError
            No room, or the engine doesn't answer: call it again later.
        """

    def reattach(self, spec: RunSpec, *, listener: Listener) -> str | None:
        """Take up a run that an earlier hub started, also if it has ended since, and return its handle.

        Returns
        -------
        str or None
            None if there is nothing of it: it must be started anew.

        Raises
        ------
        TemporaryRunnerError
            The engine doesn't answer, so nobody knows: call it again later.
        """

    def wait(self, handle: str, *, timeout_s: float) -> Exit | None:
        """Wait up to `timeout_s` for the end; None while it runs. After an `Exit`, call `remove`.

        Call it from one thread, again and again: limits are enforced here. An engine that does not answer for a while
        is waited for; one that stays away ends the run as `End.LOST`.
        """

    def kill(self, handle: str) -> None:
        """Ask for the end of a run and its processes; `wait` tells `End.KILLED`. Unknown handles are let pass."""

    def remove(self, handle: str) -> None:
        """Throw away what is left of a run, save its logs; end it if it still runs. Unknown ones are let pass."""

    def clean_up(self, keep: Collection[str]) -> None:
        """End and throw away all that this hub ever started, save the runs whose ids are in `keep`.

        Raises
        ------
        TemporaryRunnerError
            The engine doesn't answer.
        """
