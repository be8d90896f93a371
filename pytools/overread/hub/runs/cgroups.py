"""Control groups: limits of a run that the kernel holds, where the hub may make groups (Linux).

With version 2 that takes a delegated group (systemd's ``Delegate=yes``, or a container with a group of its own): the
hub moves itself into a group below it, since a group that has groups may have no process. With version 1 groups are
made below the hub's own. Where neither can be done, `hierarchy` says None, and the runner watches its runs itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from overread.hub.runs.runner import Limits

log = logging.getLogger(__name__)

PROCESSES_FILE: Final = "cgroup.procs"
_CONTROLLERS: Final = ("pids", "memory", "cpu")
_OWN: Final = "overread-hub"
_CPU_PERIOD_US: Final = 100_000
_HELPERS: Final = 4
"""Processes of a run that are ours: shells and bubblewrap."""
_END_TIMEOUT_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.02


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made.

    Parameters
    ----------
    version
        1 or 2.
    folders
        By controller (``pids``, ``memory``, ``cpu``), the folder below which a run gets its own; ``cpu`` may be absent.
    """

    version: int
    folders: Mapping[str, Path]

    def make(self, owner: str, run_id: str, limits: Limits) -> Group | None:
        """Make the group of a run; None if that fails, which is logged."""
        name = group_name(owner, run_id)
        group = Group({controller: folder / name for controller, folder in self.folders.items()})
        try:
            for controller, folder in group.folders.items():
                folder.mkdir(exist_ok=True)
                for file, value in self._settings(controller, limits):
                    (folder / file).write_text(value)
        except OSError as problem:
            log.warning("a run has no control group, its limits are only watched: %s", problem)
            group.end()
            return None
        return group

    def clean_up(self, owner: str, keep: Collection[str]) -> None:
        """End all groups of a hub but those of the runs in `keep`."""
        kept = {group_name(owner, run_id) for run_id in keep}
        prefix = group_name(owner, "").rpartition("-")[0]
        names = {path.name for folder in self.folders.values() for path in folder.glob(f"{prefix}-*")} - kept
        for name in names:
            Group({controller: folder / name for controller, folder in self.folders.items()}).end()

    def _settings(self, controller: str, limits: Limits) -> list[tuple[str, str]]:
        newer = self.version == 2  # noqa: PLR2004
        if controller == "pids":
            return [("pids.max", str(limits.processes + _HELPERS))]
        if controller == "memory" and limits.memory_mb is not None:
            limit = str(limits.memory_mb * 1024**2)
            return [("memory.max", limit)] if newer else [("memory.limit_in_bytes", limit)]
        if controller == "cpu" and limits.cpus is not None:
            quota = max(1000, round(limits.cpus * _CPU_PERIOD_US))
            return [("cpu.max", f"{quota} {_CPU_PERIOD_US}")] if newer else [("cpu.cfs_quota_us", str(quota))]
        return []


@dataclass(frozen=True)
class Group:
    """The group of one run: a folder for each controller (with version 2 the same one)."""

    folders: Mapping[str, Path]

    @property
    def joins(self) -> list[Path]:
        """Files to which a process writes 0 to join."""
        return [folder / PROCESSES_FILE for folder in dict.fromkeys(self.folders.values())]

    def forks_refused(self) -> int:
        """Return how often a process of the group could not be started for the limit."""
        return _count(self.folders["pids"] / "pids.events", "max")

    def memory_kills(self) -> int:
        """Return how many processes of the group the kernel killed for the limit of its memory."""
        events, control = self.folders["memory"] / "memory.events", self.folders["memory"] / "memory.oom_control"
        return _count(events if events.exists() else control, "oom_kill")

    def end(self) -> None:
        """Kill every process of the group, also one that hides, and remove the group."""
        deadline = time.monotonic() + _END_TIMEOUT_S
        for folder in dict.fromkeys(self.folders.values()):
            while folder.is_dir():
                _kill_all(folder)
                with contextlib.suppress(OSError):  # one of them is not gone yet
                    folder.rmdir()
                    break
                if time.monotonic() > deadline:
                    log.error("the control group %s can't be removed: something in it can't be killed", folder)
                    break
                time.sleep(_LOOK_AGAIN_S)


def group_name(owner: str, run_id: str) -> str:
    """Return the name of a run's group."""
    return f"overread-{owner[:16]}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


@lru_cache(maxsize=1)
def hierarchy() -> Hierarchy | None:
    """Return where this process may make groups with limits of processes and memory, None if nowhere."""
    try:
        own = _own_folders(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
        return _second(own.get("")) or _first(own)
    except (OSError, ValueError):
        return None


def _own_folders(memberships: str, mounts: str) -> dict[str, Path]:
    """Return this process's group by controller; that of version 2 under ""."""
    mounted: dict[str, tuple[str, Path]] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            mounted.setdefault("", (root, Path(place)))
        elif kind == "cgroup":
            for controller in options.split(","):
                mounted.setdefault(controller, (root, Path(place)))
    found: dict[str, Path] = {}
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounted:
                top, folder = mounted[controller]
                below = os.path.relpath(path, top)
                if not below.startswith(".."):
                    found[controller] = folder / below
    return found


def _first(own: Mapping[str, Path]) -> Hierarchy | None:
    folders = {one: own[one] for one in _CONTROLLERS if one in own and os.access(own[one], os.W_OK)}
    return Hierarchy(1, folders) if {"pids", "memory"} <= folders.keys() else None


def _second(own: Path | None) -> Hierarchy | None:
    if own is None or not os.access(own / PROCESSES_FILE, os.W_OK):
        return None
    controllers = [one for one in _CONTROLLERS if one in (own / "cgroup.controllers").read_text().split()]
    if not {"pids", "memory"} <= set(controllers) or not _is_delegated(own):
        return None
    leaf = own / _OWN
    leaf.mkdir(exist_ok=True)
    (leaf / PROCESSES_FILE).write_text("0")
    try:
        (own / "cgroup.subtree_control").write_text(" ".join(f"+{one}" for one in controllers))
    except OSError:  # other processes are in the group beside us
        (own / PROCESSES_FILE).write_text("0")
        leaf.rmdir()
        return None
    return Hierarchy(2, dict.fromkeys(controllers, own))


def _is_delegated(own: Path) -> bool:
    """Whether the group is ours to divide: systemd says so, or its owner did, or it is the root of a container's."""
    if os.geteuid() != 0 or "cgroup.type" not in os.listdir(own):  # noqa: PTH208 - a root has no type
        return True
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(own, name) == b"1":
                return True
    return False


def _count(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.split()[:1] == [name])


def _kill_all(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / "cgroup.kill").write_text("1")  # version 2
        return
    try:
        found = (folder / PROCESSES_FILE).read_text().split()
    except OSError:
        return
    for process_id in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process_id), signal.SIGKILL)
