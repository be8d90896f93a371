"""A runner that runs nothing: what a run does is a function of the test. Plugged in by `use_runner`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overread.hub.core import Hub
from overread.hub.runs.queue import RunQueue
from overread.hub.runs.runner import End, Exit, Listener, ReadyImage, Report, RunSpec, Stopped

DIGEST = "sha256:" + "0" * 64
DONE = Exit(End.EXITED, 0)

Work = Callable[[RunSpec], Exit | None]
"""What a run does: returns how it ended, or None if it goes on until it is killed or `FakeRunner.release` is called."""


def do_nothing(_spec: RunSpec) -> Exit:
    """End at once, well."""
    return DONE


@dataclass
class FakeRunner:
    """Calls `work` for each run.

    Parameters
    ----------
    work
        Called in `start`; what it raises, `start` raises.
    outlives_hub
        Whether `reattach` finds runs that another hub started with this runner.
    """

    work: Work = do_nothing
    outlives_hub: bool = False
    backend: str = "fake"
    digest: str = DIGEST
    started: list[RunSpec] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    runs: dict[str, Exit | None] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def ping(self) -> None:
        """Be there."""

    def images(self) -> list[ReadyImage]:
        """Return those that were prepared."""
        return [ReadyImage(name, self.digest, {}) for name in sorted(set(self.prepared))]

    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        self.prepared.append(image)
        return digest or self.digest

    def start(self, spec: RunSpec, *, listener: Listener) -> str:
        self.started.append(spec)
        spec.log_folder.mkdir(parents=True, exist_ok=True)
        end = self.work(spec)
        with self.changed:
            self.runs[spec.run_id] = end
        return spec.run_id

    def reattach(self, spec: RunSpec, *, listener: Listener) -> str | None:
        return spec.run_id if self.outlives_hub and spec.run_id in self.runs else None

    def wait(self, handle: str, *, timeout_s: float) -> Exit | None:
        with self.changed:
            self.changed.wait_for(lambda: self.runs[handle] is not None, timeout_s)
            return self.runs[handle]

    def kill(self, handle: str) -> None:
        self.release(handle, Exit(End.KILLED, -9, "The run was ended on request."))

    def release(self, handle: str, end: Exit = DONE) -> None:
        """Let a run that goes on end."""
        with self.changed:
            if handle in self.runs and self.runs[handle] is None:
                self.runs[handle] = end
            self.changed.notify_all()

    def remove(self, handle: str) -> None:
        self.removed.append(handle)
        self.runs.pop(handle, None)

    def clean_up(self, keep: Collection[str]) -> None:
        for handle in [one for one in self.runs if one not in keep]:
            self.remove(handle)

    def order(self) -> list[int]:
        """Return the numbers of the runs in the order in which they were started."""
        return [int(spec.run_id.rpartition("#")[2]) for spec in self.started]


def use_runner(hub: Hub, runner: FakeRunner, **options: Any) -> FakeRunner:
    """Give a hub that has not been started yet a queue with this runner; `options` are those of `RunQueue`."""
    place = hub.services.index(hub.runs)
    hub.runs = hub.services[place] = RunQueue(hub, runner, **options)
    return runner


def output_of(spec: RunSpec) -> Path:
    """Return the folder that a run writes."""
    return next(mount.source for mount in spec.mounts if mount.writable)
