"""What is done from time to time: counts of failed logins begin anew, and old lines of the audit trail are put away."""

from __future__ import annotations

import gzip
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, or_, select, update

from overread.hub.audit import Entry, note
from overread.hub.core import Ticker
from overread.hub.layout import sync_folder
from overread.hub.models import AuditEvent, User
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 60.0
_AT_ONCE: Final = 10_000  # lines put away by one transaction


class Housekeeping:
    """A background service.

    Parameters
    ----------
    hub
        The hub.
    clock
        Seconds that only go forward.
    now
        The time of day.
    """

    def __init__(
        self, hub: Hub, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._hub, self._clock, self._now = hub, clock, now
        self._reset_at = clock()
        self._ticker = Ticker("housekeeping", self.look, interval_s=_LOOK_EVERY_S)

    def start(self) -> None:
        """Begin."""
        self._ticker.start()

    def stop(self) -> None:
        """End."""
        self._ticker.stop()

    def look(self) -> None:
        """Do what is due."""
        policy = self._hub.policies.now()
        if self._clock() - self._reset_at >= policy.reset_failed_s:
            self._reset_at = self._clock()
            self.reset_failed_logins()
        if policy.audit_retention_s is not None:
            before = self._now() - timedelta(seconds=policy.audit_retention_s)
            while self.put_away(before) == _AT_ONCE:
                pass

    def reset_failed_logins(self) -> None:
        """Count failed logins from zero, but for accounts that are locked: those wait till their lock ends."""
        unlocked = or_(User.locked_until.is_(None), User.locked_until <= self._now())
        with self._hub.database.write() as db:
            db.execute(update(User).where(User.failed_logins > 0, unlocked).values(failed_logins=0, locked_until=None))

    def put_away(self, before: datetime) -> int:
        """Move lines older than `before` from the database to a file in ``HOME/audit/pruned``; return how many.

        They leave the database once the file is synced to disk. After a crash in between, the next call writes
        them again: a line is never in neither place.
        """
        columns = AuditEvent.__table__.c
        with self._hub.database.write() as db:
            old = select(*columns).where(AuditEvent.time < before).order_by(AuditEvent.pk).limit(_AT_ONCE)
            rows = [dict(row._mapping) for row in db.execute(old)]
            if not rows:
                return 0
            path = _write(self._hub.layout.audit / "pruned", rows)
            numbers = [row["pk"] for row in rows]
            db.execute(
                delete(AuditEvent).where(AuditEvent.pk.between(numbers[0], numbers[-1]), AuditEvent.time < before)
            )
            note(db, Entry("admin", "export", item="audit trail", detail=f"{len(rows)} lines put away in {path.name}"))
        log.info("%d lines of the audit trail older than %s were put away in %s", len(rows), before.date(), path)
        return len(rows)


def _write(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write lines of JSON, packed, and sync them to disk."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{rows[0]['pk']:012d}-{rows[-1]['pk']:012d}.jsonl.gz"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as raw:
        with gzip.open(raw, "wt", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(row | {"time": row["time"].isoformat()}) + "\n")
        raw.flush()
        os.fsync(raw.fileno())
    partial.replace(path)
    sync_folder(folder)
    return path
