"""Ending processes, all of them: those of a group, and those that left it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
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
