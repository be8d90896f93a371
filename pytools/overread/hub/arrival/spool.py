"""What the DICOM receiver took and nobody has filed yet: ``HOME/spool``.

A file grows below ``incoming`` while it is sent. Once it is whole it gets its name there, file and name are synced, it
moves to ``ready``, and only then does the sender get its answer. So whatever lies below ``ready`` is whole.
`overread.hub.arrival.intake` files it. The move itself is not synced: what a power cut leaves below ``incoming`` was
acknowledged if its bytes have the MD5 of its name, else never.

File and name are synced at the same time, by two threads: both wait for the same journal, and a disk's queue is what
takes time. Associations that end an object at the same moment share the sync of their names.

A file says all that filing needs: its name when it came, by which port, and its MD5; its file meta information from
whom and for whom (0002,0017 and 0002,0018). Names sort by time.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from overread.hub.layout import sync_file, sync_folder

OBJECT, COMMITMENT = "dcm", "json"
"""Kinds of entries: an object, or a request for storage commitment."""
_NAME: Final = re.compile(r"(\d{20})-(\d{1,5})-([0-9a-f]{8})-([0-9a-f]{32})\.(dcm|json)")
_LOOK_EVERY_BYTES: Final = 64 * 2**20


class SpoolFullError(OSError):
    """There is no room for more."""


@dataclass(frozen=True)
class Entry:
    """One file that waits to be filed.

    Parameters
    ----------
    path
        Where it lies.
    received_at
        When its last byte came.
    port
        The port of the hub by which it came.
    digest
        MD5 in hex.
    kind
        `OBJECT` or `COMMITMENT`.
    """

    path: Path
    received_at: datetime
    port: int
    digest: str
    kind: str


@dataclass(frozen=True)
class Spool:
    """The spool of one hub.

    Parameters
    ----------
    root
        Its folder.
    reserve_bytes
        So much room must stay free on its disk.
    """

    root: Path
    reserve_bytes: int

    @property
    def incoming(self) -> Path:
        """What is being sent."""
        return self.root / "incoming"

    @property
    def ready(self) -> Path:
        """What is whole."""
        return self.root / "ready"

    def make(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.incoming, self.ready):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.root.parent):
            sync_folder(folder)

    def recover(self) -> None:
        """Take what may have been acknowledged of what processes left that are gone, forget the rest. Run at start."""
        for folder in self.incoming.iterdir():
            self.take_over(folder)

    def take_over(self, folder: Path) -> None:
        """Take what may have been acknowledged from the folder of a process that is gone, forget the rest."""
        for path in folder.iterdir():
            name = _NAME.fullmatch(path.name)
            try:
                if name and _digest_of(path) == name[4]:
                    sync_file(path)
                    path.rename(self.ready / path.name)
            except FileNotFoundError:  # that process goes only now, and has moved it itself
                continue
        sync_folder(self.ready)
        shutil.rmtree(folder, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """Return what waits, the oldest first."""
        found = ((_NAME.fullmatch(name), name) for name in sorted(os.listdir(self.ready)))  # noqa: PTH208 - names alone, and many
        return [
            Entry(
                self.ready / name,
                datetime.fromtimestamp(int(match[1]) / 1e9, UTC),
                int(match[2]),
                match[4],
                match[5],
            )
            for match, name in found
            if match
        ]

    def has_room(self, size: int = 0) -> bool:
        """Whether `size` more bytes can be taken."""
        return shutil.disk_usage(self.root).free > size + self.reserve_bytes


class Desk:
    """The part of ``incoming`` that belongs to one process.

    Parameters
    ----------
    spool
        The spool.
    folder
        Its folder, which is there.
    """

    def __init__(self, spool: Spool, folder: Path) -> None:
        self.spool, self.folder = spool, folder
        sync_folder(folder.parent)
        self._syncing = ThreadPoolExecutor(1, "spool-sync")
        self._lock = threading.Lock()
        self._next: Future[None] | None = None

    def sync(self) -> Future[None]:
        """Have the folder's names synced. Who asks while it is being done shares the next time."""
        with self._lock:
            if self._next is None:
                self._next = self._syncing.submit(self._sync)
            return self._next

    def _sync(self) -> None:
        with self._lock:
            self._next = None  # a name that is given from now on may come too late for this time
        sync_folder(self.folder)


class SpoolFile:
    """A file that comes in pieces.

    Parameters
    ----------
    desk
        Where it grows.
    kind
        `OBJECT` or `COMMITMENT`.

    Raises
    ------
    SpoolFullError
        The disk is full, here or while writing.
    OSError
        It can't be written.
    """

    def __init__(self, desk: Desk, kind: str = OBJECT) -> None:
        if not desk.spool.has_room():
            raise SpoolFullError("the disk is full")
        self._desk, self._kind = desk, kind
        self.path = desk.folder / secrets.token_hex(8)
        self.size = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        """Write a piece."""
        rest = memoryview(data)
        before, self.size = self.size, self.size + len(rest)
        if before // _LOOK_EVERY_BYTES != self.size // _LOOK_EVERY_BYTES and not self._desk.spool.has_room():
            raise SpoolFullError("the disk is full")
        self._digest.update(rest)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def keep(self, port: int) -> Path:
        """Put the file among those that are ready. When this returns, it is safe."""
        name = f"{time.time_ns():020d}-{port}-{secrets.token_hex(4)}-{self._digest.hexdigest()}.{self._kind}"
        self.path = self.path.rename(self._desk.folder / name)
        named = self._desk.sync()
        os.fsync(self._descriptor)
        named.result()
        target = self.path.rename(self._desk.spool.ready / name)
        self.close(keep=True)
        return target

    def close(self, *, keep: bool = False) -> None:
        """Close the file and, unless told otherwise, throw it away. Once is enough."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if not keep:
            self.path.unlink(missing_ok=True)


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
