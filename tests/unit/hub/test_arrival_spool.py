"""The receiver's spool: what was acknowledged survives, what was not is forgotten."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from overread.hub.arrival import spool as module
from overread.hub.arrival.spool import OBJECT, Desk, Spool, SpoolFile

CONTENT = b"an object" * 1000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    spool = Spool(tmp_path / "spool", 0)
    spool.make()
    folder = spool.incoming / "a-process"
    folder.mkdir()
    return Desk(spool, folder)


def write(desk: Desk, content: bytes = CONTENT) -> SpoolFile:
    file = SpoolFile(desk)
    for start in range(0, len(content), 1000):
        file.write(content[start : start + 1000])
    return file


def kind_of(descriptor: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"


def test_a_file_that_is_kept_lies_ready_with_all_that_filing_needs(desk: Desk) -> None:
    path = write(desk).keep(104)
    (entry,) = desk.spool.entries()
    assert (entry.path, entry.port, entry.kind) == (path, 104, OBJECT)
    assert entry.digest == hashlib.md5(path.read_bytes()).hexdigest()
    assert path.read_bytes() == CONTENT
    assert list(desk.folder.iterdir()) == []


def test_file_and_name_are_synced_before_the_file_is_ready(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(kind_of(descriptor))
        assert desk.spool.entries() == []
        (path,) = desk.folder.iterdir()
        assert path.suffix == f".{OBJECT}", "it has no name yet"

    monkeypatch.setattr(os, "fsync", fsync)
    write(desk).keep(104)
    assert sorted(synced) == ["file", "folder"]


def test_a_file_that_is_not_kept_leaves_nothing(desk: Desk) -> None:
    with write(desk):
        pass
    desk.spool.recover()
    assert desk.spool.entries() == []


@pytest.mark.parametrize("thing", ["file", "folder"])
def test_what_can_not_be_synced_is_not_ready(desk: Desk, monkeypatch: pytest.MonkeyPatch, thing: str) -> None:
    def fsync(descriptor: int) -> None:
        if thing == kind_of(descriptor):
            raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch, write(desk) as file:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="no"):
            file.keep(104)
    desk.spool.recover()
    assert desk.spool.entries() == []


@pytest.mark.parametrize(("left", "there"), [(CONTENT, 1), (CONTENT[:-1], 0), (b"\0" * len(CONTENT), 0), (b"", 0)])
def test_after_a_power_cut_only_whole_files_were_acknowledged(desk: Desk, left: bytes, there: int) -> None:
    """The name is safe, the move is not: what lies under the name decides."""
    path = write(desk).keep(104)
    path.rename(desk.folder / path.name).write_bytes(left)
    desk.spool.recover()
    assert len(desk.spool.entries()) == there
    assert list(desk.spool.incoming.iterdir()) == []


def test_who_asks_during_a_sync_shares_the_next_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, times = threading.Event(), threading.Event(), []

    def sync_folder(_folder: Path) -> None:
        times.append(1)
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(module, "sync_folder", sync_folder)
    first = desk.sync()
    assert begun.wait(10)
    second, third = desk.sync(), desk.sync()
    assert not second.done(), "a name that came during a sync is safe only after the next"
    go_on.set()
    for one in (first, second, third):
        one.result(10)
    assert len(times) == 2
