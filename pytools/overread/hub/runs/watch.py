"""What every runner watches while a command runs: its time, its log, its output, and whether it is to end."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from overread.hub.runs.logs import STDERR, STDOUT, Capture, Chunks, one_line, parse_progress
from overread.hub.runs.runner import End, Exit, Limits, Listener, Progress, RunSpec

LEAST_FREE_BYTES = 512 * 1024**2
"""A run that leaves the disk less than this is ended: the hub has to go on."""

_SHELL_SAYS_SIGNAL = 128
_FILE_TOO_LARGE = (_SHELL_SAYS_SIGNAL + signal.SIGXFSZ, -signal.SIGXFSZ)
_MEASURE_EVERY_S = 1.0
_MEASURING_SHARE = 10
"""Measuring an output folder takes at most one tenth of the time."""
_GIB = 1024**3


@dataclass(frozen=True)
class Breach:
    """Why a run has to be ended."""

    end: End
    reason: str


class Watch:
    """Watches one run.

    Parameters
    ----------
    spec
        The run.
    listener
        Told its progress.
    """

    def __init__(self, spec: RunSpec, listener: Listener) -> None:
        self.spec = spec
        self.breach: Breach | None = None
        """Why the run was ended, once it was."""
        self.last_error = ""
        """Last line of the error log."""
        self._listener = listener
        self._deadline = math.inf
        self._killed = threading.Event()
        self._notice = ""
        self._captures: list[Capture] = []
        self._next_measure = 0.0

    def begin(self, *, elapsed_s: float = 0.0) -> None:
        """Let the time count; `elapsed_s` of it are over already."""
        self._deadline = time.monotonic() + self.spec.limits.timeout_s - elapsed_s

    def capture(self, out: Chunks, err: Chunks, *, notice: str = "") -> None:
        """Begin to keep both logs; `notice` becomes the first line of the error log."""
        self._notice = notice
        if notice:
            err = itertools.chain([notice.encode() + b"\n"], err)
        self.spec.log_folder.mkdir(parents=True, exist_ok=True)
        limit = self.spec.limits.log_bytes
        self._captures = [
            Capture(out, self.spec.log_folder / STDOUT, limit=limit, on_line=self._tell_line),
            Capture(err, self.spec.log_folder / STDERR, limit=limit, on_line=self._remember),
        ]

    def kill(self) -> None:
        """Have the run ended on request."""
        self._killed.set()

    def finish(self) -> None:
        """Wait until both logs are complete; give up on them after some seconds."""
        for capture in self._captures:
            capture.finish()

    def due(self) -> Breach | None:
        """Return why the run must end now, None if it may go on. Once due it stays due, for the same reason."""
        if self.breach is None:
            self.breach = self._killed_now() or self._time() or self._log() or self._output()
        return self.breach

    def exit(self, code: int) -> Exit:
        """Return the end of a run that ended with `code`, by itself or because it was `due`."""
        if self.breach is not None:
            return Exit(self.breach.end, code, self.breach.reason)
        limit = self.spec.limits.output_bytes
        written = measure(self._written(), at_most=limit)  # since the last look it may have written anything
        if written > limit or (code != 0 and (code in _FILE_TOO_LARGE or written == limit)):
            return Exit(End.TOO_MUCH, code, _too_large(self.spec.limits))
        if code == 0:
            return Exit(End.EXITED, 0)
        full = self._no_room()
        if full is not None:  # whatever it says: it may have failed for that alone
            return Exit(full.end, code, full.reason)
        return Exit(End.EXITED, code, reason_of(code, self.last_error))

    def _written(self) -> list[Path]:
        return [mount.source for mount in self.spec.mounts if mount.writable]

    def tell(self, progress: Progress) -> None:
        """Pass on how far the run is."""
        self._listener.progress(progress)

    def _tell_line(self, line: str) -> None:
        progress = parse_progress(line)
        if progress is not None:
            self.tell(progress)

    def _remember(self, line: str) -> None:
        if line != self._notice:
            self.last_error = line

    def _killed_now(self) -> Breach | None:
        return Breach(End.KILLED, "The run was ended on request.") if self._killed.is_set() else None

    def _time(self) -> Breach | None:
        if time.monotonic() < self._deadline:
            return None
        limit_s = self.spec.limits.timeout_s
        return Breach(End.TIMED_OUT, f"The run took longer than its limit of {limit_s:g} s and was ended.")

    def _log(self) -> Breach | None:
        limit = self.spec.limits.printed_bytes
        if sum(capture.seen for capture in self._captures) <= limit:
            return None
        return Breach(End.TOO_MUCH, f"The run printed more than its limit of {limit} bytes and was ended.")

    def _output(self) -> Breach | None:
        begun = time.monotonic()
        if begun < self._next_measure:
            return None
        folders = self._written()
        limit = self.spec.limits.output_bytes
        large = measure(folders, at_most=limit) > limit
        now = time.monotonic()
        self._next_measure = now + max(_MEASURE_EVERY_S, _MEASURING_SHARE * (now - begun))
        if large:
            return Breach(End.TOO_MUCH, _too_large(self.spec.limits))
        return self._no_room()

    def _no_room(self) -> Breach | None:
        for folder in self._written():
            free = shutil.disk_usage(folder).free if folder.exists() else LEAST_FREE_BYTES
            if free < LEAST_FREE_BYTES:
                return Breach(End.LOST, "The disk of the run's output is full; the run was ended. Make room on it.")
        return None


def measure(folders: Iterable[Path], *, at_most: int) -> int:
    """Return the size of all files below `folders`, bytes; counting ends beyond `at_most`.

    A file counts with its length or with what it takes on the disk, whichever is more; links are not followed.
    """
    total = 0
    left = [str(folder) for folder in folders]
    while left and total <= at_most:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    about = entry.stat(follow_symlinks=False)
                    total += max(about.st_size, about.st_blocks * 512)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    if total > at_most:
                        break
        except OSError:  # it goes on while we look: a folder may be gone again
            continue
    return total


def reason_of(code: int, last_line: str) -> str:
    """Return in one line why a command that ended with `code` failed."""
    told = one_line(last_line)
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    if code in (_SHELL_SAYS_SIGNAL + signal.SIGKILL, -signal.SIGKILL):
        how += " (killed, most often for want of memory)"
    return f"{told} ({how})" if told else f"The command ended with {how} and said nothing."


def out_of_memory(limits: Limits) -> str:
    """Return in one line that a run broke its memory limit."""
    return f"The run used more memory than its limit of {limits.memory_mb} MB and was ended."


def _too_large(limits: Limits) -> str:
    size = limits.output_bytes
    shown = f"{size / _GIB:g} GiB" if size >= _GIB else f"{size} bytes"
    return f"The run wrote more than its limit of {shown} and was ended."
