"""The audit trail: who saw, changed, launched, took out or tried to, when, and how it ended.

What changes something is noted within the transaction that changes it: both are kept, or neither. Reading has no such
transaction, and neither has what was refused: of those a line is appended to a file before the answer goes out, which a
crash of the hub does not lose; a background service moves the lines into the database, each file once. Who looks at the
same thing again within five minutes gets no second line.

XNAT has no such trail: it notes changes (workflows, histories), which the hub does besides, and leaves reading to the
web server's log.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from overread.hub.models import AuditEvent, Sequence
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

ACTIONS: Final = ("login", "logout", "lock", "view", "export", "change", "delete", "launch", "run")
"""``launch`` is somebody's wish for runs, ``run`` each run that it (or an event) put into the queue."""
OUTCOMES: Final = ("done", "refused", "failed")
_SAME_S: Final = 300.0
_MOVE_EVERY_S: Final = 2.0
_REMEMBERED: Final = 20_000
_SEQUENCE: Final = "audit_file"


@dataclass(frozen=True)
class Entry:
    """One line: see :class:`~overread.hub.models.AuditEvent`."""

    user: str
    action: str
    outcome: str = "done"
    status: int = 0
    method: str = ""
    route: str = ""
    project: str = ""
    item: str = ""
    address: str = ""
    detail: str = ""
    time: datetime = field(default_factory=utc_now)


def note(db: Session, entry: Entry) -> None:
    """Note an act within its own transaction."""
    db.add(AuditEvent(**dataclasses.asdict(entry)))


class AuditTrail:
    """Notes what has no transaction of its own. A background service: see the module.

    Parameters
    ----------
    hub
        The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._folder = hub.layout.audit
        self._lock = threading.Lock()  # of the file that is written
        self._moving = threading.Lock()
        self._file: int | None = None
        self._number = 0
        self._seen: dict[Hashable, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit trail", daemon=True)

    def start(self) -> None:
        """Begin. What an earlier hub left is moved first."""
        self._thread.start()

    def stop(self) -> None:
        """Move what is there, and end."""
        if self._thread.is_alive():  # else another process may serve from this home: its file is its own
            self._end.set()
            self._thread.join(timeout=30)
            self._move_or_log()

    def write(self, entry: Entry) -> None:
        """Note an act that changes nothing, or that was refused. It is on its way to the disk when this returns."""
        line = json.dumps(dataclasses.asdict(entry) | {"time": entry.time.isoformat()}) + "\n"
        with self._lock:
            if self._file is None:
                self._file = self._open()
            os.write(self._file, line.encode())

    def write_once(self, entry: Entry) -> None:
        """Note it unless the same user did the same to the same within the last minutes."""
        key = (entry.user, entry.action, entry.outcome, entry.project, entry.item or entry.route, entry.address)
        now = time.monotonic()
        with self._lock:
            if now - self._seen.get(key, -_SAME_S) < _SAME_S:
                return
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = now
        self.write(entry)

    def move(self) -> None:
        """Move all lines into the database."""
        with self._moving:
            with self._lock:
                if self._file is not None:
                    os.close(self._file)
                    self._file = None
                paths = sorted(self._folder.glob("*.jsonl"))
            for path in paths:
                self._move(path)

    def _open(self) -> int:
        if self._number == 0:
            with self._hub.database.read() as db:
                self._number = _moved(db)
        here = [int(path.stem) for path in self._folder.glob("*.jsonl")]
        self._number = max([self._number, *here]) + 1
        path = self._folder / f"{self._number:012d}.jsonl"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)

    def _move(self, path: Path) -> None:
        rows = _rows(path)
        with self._hub.database.write() as db:
            if _moved(db) < int(path.stem):  # else a crash came after it was moved, and before it was removed
                row = db.scalar(select(Sequence).where(Sequence.name == _SEQUENCE))
                if row is None:
                    db.add(Sequence(name=_SEQUENCE, value=int(path.stem)))
                else:
                    row.value = int(path.stem)
                if rows:
                    db.execute(insert(AuditEvent), rows)
        path.unlink()

    def _run(self) -> None:
        while not self._end.is_set():
            self._move_or_log()
            self._end.wait(_MOVE_EVERY_S)

    def _move_or_log(self) -> None:
        try:
            self.move()
        except Exception:  # the outermost loop of a service: it must go on
            log.exception("The audit trail could not be moved into the database; it stays in %s for now", self._folder)


def _moved(db: Session) -> int:
    """Return the number of the last file that is in the database."""
    return db.scalar(select(Sequence.value).where(Sequence.name == _SEQUENCE)) or 0


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            rows.append(row | {"time": datetime.fromisoformat(row["time"])})
        except (ValueError, TypeError, KeyError):  # the power went in the middle of it
            log.warning("A line of the audit trail in %s can't be read and is left out", path.name)
    return rows
