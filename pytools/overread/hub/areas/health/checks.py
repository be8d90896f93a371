"""The parts that the hub's work depends on, and whether they are well."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from overread.hub.arrival.spooling import has_room
from overread.hub.errors import HubError
from overread.hub.models import Receiver

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass(frozen=True)
class Check:
    """One part: its name, whether it is well, and what an administrator should know of it."""

    name: str
    ok: bool
    words: str


def checks(hub: Hub, db: Session) -> list[Check]:
    """Look at database, disk, receivers and the run queue."""
    return [_database(db), _disk(hub), _receiver(hub, db), _runner(hub)]


def _database(db: Session) -> Check:
    try:
        db.execute(text("SELECT 1"))
    except SQLAlchemyError as problem:
        return Check("database", ok=False, words=f"does not answer: {type(problem).__name__}; look into the hub's log")
    return Check("database", ok=True, words="answers")


def _disk(hub: Hub) -> Check:
    free_gb = shutil.disk_usage(hub.layout.home).free / 1e9
    if has_room(hub, 0):
        return Check("disk", ok=True, words=f"{free_gb:.1f} GB free")
    return Check("disk", ok=False, words=f"{free_gb:.1f} GB free: no object is taken any more; make room")


def _receiver(hub: Hub, db: Session) -> Check:
    rows = db.scalars(select(Receiver.port).where(Receiver.enabled.is_(True)).distinct())
    wanted = sorted({port for row in rows if (port := hub.receivers.actual_port(row))})
    for port in wanted:
        try:
            hub.receivers.ensure(port)
        except HubError as problem:
            return Check("receiver", ok=False, words=problem.reason)
    ports = ", ".join(map(str, wanted))
    return Check("receiver", ok=True, words=f"listens on {ports}" if ports else "no receiver is enabled")


def _runner(hub: Hub) -> Check:
    if hub.runs.is_working():
        return Check("runner", ok=True, words=f"{hub.runs.runner.backend}, {len(hub.runs.slots)} at a time")
    return Check("runner", ok=False, words="the run queue has stopped; restart the hub")
