"""Renames of files that belong to a transaction: after a crash they hold if the transaction was kept, else never.

Each transaction that renames something has a folder ``HOME/journal/<token>`` with a list of what it is about to do,
synced before it is done, and a row of that token in the database. The row is there at the next start if and only if the
transaction was kept, so `recover` knows which renames hold and which are put back.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from overread.hub.database import after_commit, undo
from overread.hub.layout import sync_folder
from overread.hub.models import FileJournal

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_LIST: Final = "list.jsonl"


class _Journal:
    """What one transaction renames."""

    def __init__(self, db: Session, hub: Hub) -> None:
        self._home = hub.layout.home
        self.folder = hub.layout.journal / uuid.uuid4().hex
        self.folder.mkdir(parents=True)
        sync_folder(self.folder.parent)
        undo(db, self._forget)  # the first thing to undo is the last thing undone
        after_commit(db, self._forget, at_leisure=True)  # a project with all its files may lie in it
        db.add(FileJournal(token=self.folder.name))
        db.flush()
        self._count = 0

    def note(self, source: Path, target: Path) -> None:
        """Write down that `source` is about to become `target`, which can be undone by the opposite."""
        line = json.dumps([str(path.relative_to(self._home)) for path in (source, target)])
        with (self.folder / _LIST).open("a", encoding="utf-8") as sink:
            sink.write(f"{line}\n")
            sink.flush()
            os.fsync(sink.fileno())
        sync_folder(self.folder)

    def place(self) -> Path:
        """Return a free path in the journal's folder."""
        self._count += 1
        return self.folder / str(self._count)

    def _forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def rename(db: Session, hub: Hub, source: Path, target: Path) -> None:
    """Rename a file or folder; it has its old name again if the transaction is not kept."""
    _journal(db, hub).note(source, target)
    _rename(source, target)
    undo(db, lambda: _back(source, target))


def set_aside(db: Session, hub: Hub, path: Path) -> None:
    """Take a file or folder out of the way: it is gone once the transaction is kept, and back if it is not."""
    rename(db, hub, path, _journal(db, hub).place())


def keep(db: Session, hub: Hub, path: Path) -> None:
    """Keep the present content of a file that is about to be replaced, until the transaction is kept."""
    journal = _journal(db, hub)
    copy = journal.place()
    copy.hardlink_to(path)
    journal.note(path, copy)
    undo(db, lambda: _back(path, copy))


def recover(hub: Hub) -> None:
    """Put back what transactions renamed that a crash ended before they were kept. Run at start, before all else."""
    folders = sorted(hub.layout.journal.iterdir()) if hub.layout.journal.is_dir() else []
    with hub.database.write() as db:
        for folder in folders:
            if db.get(FileJournal, folder.name) is None:
                _put_back(hub, folder)
        db.execute(delete(FileJournal))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _journal(db: Session, hub: Hub) -> _Journal:
    journal = db.info.get("journal")
    if not isinstance(journal, _Journal) or not journal.folder.exists():
        journal = db.info["journal"] = _Journal(db, hub)
    return journal


def _put_back(hub: Hub, folder: Path) -> None:
    try:
        lines = (folder / _LIST).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in reversed(lines):
        try:
            source, target = (hub.layout.home / str(part) for part in json.loads(line))
        except ValueError:  # the crash came in the middle of this line: nothing was renamed yet
            continue
        _back(source, target)
    log.warning("a change that a crash ended was undone: %d files or folders have their former names", len(lines))


def _back(source: Path, target: Path) -> None:
    """Undo one rename, if it was done. What stands at `source` now was made by the transaction that is forgotten."""
    if os.path.lexists(target):
        if source.is_dir():
            shutil.rmtree(source)
        source.parent.mkdir(parents=True, exist_ok=True)
        target.replace(source)
        sync_folder(source.parent)


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)
