"""What the runners on a container engine have in common: they look at a run again and again until it has ended.

The engine may go away meanwhile, and come back: its runs are waited for. The hub may, too: whatever is to be known of a
run, the engine knows it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs import engine as engines
from overread.hub.runs.engine import Engine
from overread.hub.runs.runner import End, Exit, Limits, Listener, ReadyImage, Report, RunSpec, Stopped
from overread.hub.runs.watch import Watch

if TYPE_CHECKING:
    from docker import APIClient

log = logging.getLogger(__name__)

FROM_OUTSIDE = (137, 143, 255)
"""Exit codes of SIGKILL, of SIGTERM, and of a container that was lost with its engine."""
MIB = 1024**2

_FIRST_LOOK_S, _LOOK_EVERY_S = 0.05, 1.0
PATIENCE_S = 120.0
_LOG_FILES = 2


@dataclass
class EngineRun:
    """A run under way, by the engine's id of it.

    Parameters
    ----------
    watch
        Its limits and logs.
    id
        The engine's id.
    """

    watch: Watch
    id: str
    away_since: float | None = None
    """Since when the engine (or its host) has not answered."""
    was_away: bool = False
    told_to_end: bool = False
    begun: bool = False
    """Whether its time counts from the moment at which a host began it."""
    ended: threading.Event = field(default_factory=threading.Event)
    exit: Exit | None = None

    def is_away(self, *, patience_s: float) -> bool:
        """Note that the engine or the host does not answer; return whether it has been so for too long."""
        now = time.monotonic()
        self.was_away = True
        self.away_since = self.away_since or now
        return now - self.away_since >= patience_s

    def finish(self) -> None:
        """Wait for the rest of the logs."""
        self.ended.set()
        self.watch.finish()


class EngineRunner(ABC):
    """Base of `overread.hub.runs.docker` and `overread.hub.runs.swarm`.

    Parameters
    ----------
    engine
        The engine.
    owner
        Id of the hub, a label of all that it starts.
    patience_s
        How long an engine (or host) that does not answer is waited for before its runs count as lost.
    """

    backend: str
    outlives_hub = True

    def __init__(self, engine: Engine, *, owner: str, patience_s: float = PATIENCE_S) -> None:
        self.engine, self.owner, self.patience_s = engine, owner, patience_s
        self.runs: dict[str, EngineRun] = {}
        self.lock = threading.Lock()
        self._left: set[str] = set()

    def ping(self) -> None:
        """Return if the engine answers."""
        self.engine.ping()

    def images(self) -> list[ReadyImage]:
        """Return the engine's images; of a Swarm those of the manager that is asked, nodes have their own."""
        found = [ReadyImage(name, one.digest, one.labels) for one in self.engine.images() for name in one.names]
        return sorted(found, key=lambda one: one.name)

    @abstractmethod
    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        """Pull the image unless it is there."""

    def start(self, spec: RunSpec, *, listener: Listener) -> str:
        """Have the engine start the run."""
        self.remove_leftovers()
        self.engine.open_to_container(spec.mounts)
        with self.engine.asking("start the run") as api:
            return self.take_up(api, spec, self.create(api, spec), listener)

    def reattach(self, spec: RunSpec, *, listener: Listener) -> str | None:
        """Find the run on the engine, whatever has become of it."""
        with self.engine.asking("look for the run") as api:
            about = self.find(api, engines.container_name(spec.run_id))
            return None if about is None else self.take_up(api, spec, about, listener)

    def wait(self, handle: str, *, timeout_s: float) -> Exit | None:
        """Look at the run until it has ended, or must end."""
        run = self.runs[handle]
        until = time.monotonic() + timeout_s
        pause = _FIRST_LOOK_S
        while run.exit is None:
            run.exit = self._look(run)
            left = until - time.monotonic()
            if run.exit is None and left <= 0:
                break
            if run.exit is None:
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LOOK_EVERY_S)
        return run.exit

    def kill(self, handle: str) -> None:
        """Have the thread that waits for the run end it."""
        with self.lock:
            run = self.runs.get(handle)
        if run is not None:
            run.watch.kill()

    def remove(self, handle: str) -> None:
        """Remove what the engine has of the run; if it does not answer now, later."""
        with self.lock:
            run = self.runs.pop(handle, None)
            self._left.add(handle)
        if run is not None:
            run.ended.set()
        self.remove_leftovers()

    def clean_up(self, keep: Collection[str]) -> None:
        """Remove all that this hub has on the engine but the runs in `keep`."""
        with self.engine.asking("list what it runs") as api:
            for run_id, handle in self.all(api):
                if run_id not in keep:
                    self.discard(api, handle)

    def close(self) -> None:
        """Let go of the engine, as the end of the hub does; runs go on."""
        with self.lock:
            left, self.runs = list(self.runs.values()), {}
        for run in left:
            run.finish()
        self.engine.close()

    @abstractmethod
    def create(self, api: APIClient, spec: RunSpec) -> dict[str, Any]:
        """Create the run on the engine unless it is there; return the engine's document of it."""

    @abstractmethod
    def find(self, api: APIClient, name: str) -> dict[str, Any] | None:
        """Return the engine's document of the run of this name."""

    @abstractmethod
    def take_up(self, api: APIClient, spec: RunSpec, about: dict[str, Any], listener: Listener) -> str:
        """Begin to watch a run that the engine has; return its handle."""

    @abstractmethod
    def state(self, api: APIClient, run: EngineRun) -> Exit | None:
        """Return the end of a run, None while it goes on."""

    @abstractmethod
    def end(self, api: APIClient, run: EngineRun) -> None:
        """Kill a run."""

    @abstractmethod
    def discard(self, api: APIClient, handle: str) -> None:
        """Remove a run, ended or not; one that is not there is let pass."""

    @abstractmethod
    def all(self, api: APIClient) -> list[tuple[str, str]]:
        """Return run id and handle of all that this hub has on the engine."""

    def remove_leftovers(self) -> None:
        """Remove what could not be removed before."""
        with self.lock:
            left, self._left = self._left, set()
        try:
            with self.engine.asking("remove what has ended") as api:
                while left:
                    self.discard(api, next(iter(left)))
                    left.pop()
        except (TemporaryRunnerError, PermanentRunnerError) as problem:
            log.warning("What a run left on the engine stays for now: %s", problem)
            with self.lock:
                self._left |= left

    def ended(self, run: EngineRun, code: int) -> Exit:
        """Return the end of a run whose command ended with `code`."""
        run.finish()
        if not run.told_to_end:
            run.watch.breach = None  # it was quicker than the limit
            if code in FROM_OUTSIDE or (code != 0 and run.was_away):
                return lost(code)
        return run.watch.exit(code)

    def gone(self, run: EngineRun) -> Exit:
        """Return the end of a run that the engine no longer knows."""
        run.finish()
        if run.told_to_end:
            return run.watch.exit(-1)
        return Exit(End.LOST, -1, "The container was removed by somebody else than the hub.")

    def _look(self, run: EngineRun) -> Exit | None:
        try:
            with self.engine.asking("tell the run's state") as api:
                found = self.state(api, run)
                if found is None and run.watch.due() is not None and not run.told_to_end:
                    self.end(api, run)
                    run.told_to_end = True
                return found
        except TemporaryRunnerError as problem:
            return Exit(End.LOST, -1, str(problem)) if run.is_away(patience_s=self.patience_s) else None


def lost(code: int) -> Exit:
    """Return the end of a run that something else than its own command ended."""
    return Exit(End.LOST, code, f"The run was ended from outside, by its host or its engine (exit code {code}).")


def variables(spec: RunSpec) -> dict[str, str]:
    """Return the variables of a container: its user has no home but ``/tmp``."""
    return {"HOME": "/tmp", **spec.environment}  # noqa: S108 - in the container


def log_configuration(limits: Limits) -> dict[str, str]:
    """Return how the engine keeps a run's log (json-file): more of it than the hub does, but never without end."""
    return {"max-size": str(_LOG_FILES * limits.log_bytes), "max-file": str(_LOG_FILES)}


def ulimits(limits: Limits) -> list[dict[str, Any]]:
    """Return the limits that each process has."""
    return [
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "fsize", "Soft": limits.output_bytes, "Hard": limits.output_bytes},
    ]


@contextlib.contextmanager
def unless_conflict() -> Iterator[None]:
    """Let pass that what is asked for is so already."""
    import docker.errors  # noqa: PLC0415 - see `overread.hub.runs.engine`

    try:
        yield
    except docker.errors.APIError as problem:
        if problem.status_code != engines.CONFLICT:
            raise


def moment(text: str) -> float:
    """Return a time as the engine writes it, seconds of the epoch."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6].ljust(6, '0')}+00:00").timestamp()
