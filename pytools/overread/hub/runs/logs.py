"""What a run prints: kept in files up to a size, its progress lines told, its last line remembered."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from overread.hub.runs.runner import Progress

STDOUT, STDERR = "stdout.log", "stderr.log"

Chunks = Iterable[bytes]
"""What a command prints on one of its streams, as it comes."""

_CHUNK = 1 << 16
_LONGEST_LINE = 4096
_LINE_COST = 64
_REASON_CHARACTERS = 500
_PROGRESS = re.compile(r"progress\s+(0(?:\.\d{1,9})?|1(?:\.0{1,9})?)\s+(\S.{0,99})")
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def parse_progress(line: str) -> Progress | None:
    """Return what a line ``progress <0..1> <stage>`` says, None for any other line."""
    found = _PROGRESS.fullmatch(line.strip())
    return Progress(float(found[1]), found[2].strip()) if found else None


class Capture:
    """Reads what a command prints to its end, in a thread of its own, so that the command never waits for us.

    Parameters
    ----------
    chunks
        What it prints; read till its end.
    target
        File to write, anew.
    limit
        Bytes kept; whatever follows is read and dropped, and the file says so.
    on_line
        Called with each line (cut after 4096 characters), also with those no longer kept.
    """

    def __init__(
        self, chunks: Chunks, target: Path, *, limit: int, on_line: Callable[[str], None] | None = None
    ) -> None:
        self._chunks, self._target, self._limit, self._on_line = chunks, target, limit, on_line
        self._rest = b""
        self.seen = 0
        """Bytes read, kept or not; each line counts 64 more, for the work that it makes."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"log {target.name}", daemon=True)
        self._thread.start()

    def finish(self, timeout_s: float = 5.0) -> None:
        """Wait until all is read; read no more after that time."""
        self._thread.join(timeout_s)
        self._stopped.set()

    def _read(self) -> None:
        with self._target.open("wb", buffering=0) as sink:
            room = self._limit
            for chunk in self._chunks:
                if self._stopped.is_set():
                    break
                self.seen += len(chunk) + _LINE_COST * chunk.count(b"\n")
                if room > 0:
                    sink.write(chunk[:room])
                    if len(chunk) >= room:
                        sink.write(f"\n[log cut: more than {self._limit} bytes]\n".encode())
                    room -= len(chunk)
                self._split(chunk)
        self._split(b"\n")

    def _split(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-_LONGEST_LINE:]
        for line in lines:
            text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
            if text.strip() and self._on_line is not None:
                self._on_line(text)


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what comes through a pipe, as it comes; close the pipe at its end."""
    with stream:
        while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]  # pipes are BufferedReader
            yield chunk


def one_line(text: str) -> str:
    """Return `text` fit for a reason: one line, no control characters, at most 500 characters."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:_REASON_CHARACTERS]


def read_since(path: Path, since: float) -> str:
    """Return a log's text, "" if it has not changed since the moment `since` (seconds of the epoch)."""
    if not path.exists() or path.stat().st_mtime < since:
        return ""
    return path.read_text("utf-8", "replace")
