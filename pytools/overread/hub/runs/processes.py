"""Ending processes, all of them: those of a group, and those that left it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from overread.hub.runs.runner import Stopped

RUN_VARIABLE = "OVERREAD_RUN_ID"
"""Marks every process of a run, also one that has left its process group."""

HUB_VARIABLE = "OVERREAD_HUB_ID"
"""Marks every process of all runs of a hub."""

_GRACE_S = 2.0
_POLL_S = 0.05


def run_until(process: subprocess.Popen[bytes], *, timeout_s: float, stopped: Stopped) -> int | None:
    """Wait for a process that leads a group of its own; end the group and return None when the time is up.

    Parameters
    ----------
    process
        Started with ``start_new_session``.
    timeout_s
        Longest time to wait.
    stopped
        Asked twice a second whether to give up.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not stopped():
        try:
            return process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    end_group(process)
    return None


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group of its own, and the group: first asked, then killed."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    # Members may outlive their leader; the group's number stays taken as long as one lives.
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def end_marked(marks: Mapping[str, str], *, spare: Collection[str] = ()) -> None:
    """Kill every process of this user that was started with certain variables (Linux; elsewhere nothing is done).

    Parameters
    ----------
    marks
        Variables and their values.
    spare
        Let live what has one of these, each written ``NAME=value``.

    Notes
    -----
    Without bubblewrap a process can leave its group. It can't shed the environment that it was started with, short of
    starting anew with another one.
    """
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    spared = {mark.encode() for mark in spare}
    for _ in range(20):  # a process may have a child while we look: look again until none is left
        found = [
            process_id
            for process_id in _processes()
            if wanted <= (its := _environment(process_id)) and spared.isdisjoint(its)
        ]
        if not found:
            return
        for process_id in found:
            try:
                os.kill(process_id, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_POLL_S)


@dataclass(frozen=True)
class Use:
    """What some processes use together: how many they are, threads counted, and their memory, bytes."""

    processes: int
    memory_bytes: int


def use_of(leader: int, marks: Mapping[str, str]) -> Use:
    """Return what a process, all that descend from it, and all that carry `marks` use (Linux; elsewhere nothing).

    Memory that several of them share is counted once.
    """
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    parents = {process_id: state for process_id in _processes() if (state := _state(process_id)) is not None}
    mine = {leader}
    grown = True
    while grown:
        more = {one for one, (parent, _) in parents.items() if parent in mine and one not in mine}
        grown = bool(more)
        mine |= more
    mine |= {one for one in parents if one not in mine and wanted <= _environment(one)}
    return Use(
        processes=sum(parents[one][1] for one in mine if one in parents),
        memory_bytes=sum(_memory_bytes(one) for one in mine),
    )


def _state(process_id: int) -> tuple[int, int] | None:
    """Return a process's parent and its number of threads."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[17])


def _memory_bytes(process_id: int) -> int:
    """Return a process's share of its memory (PSS)."""
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _processes() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _environment(process_id: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()
