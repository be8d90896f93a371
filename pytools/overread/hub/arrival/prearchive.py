"""Sessions that are arriving: their rows, folders and states (xnat-rest 3.2)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from overread.hub.arrival.assignment import UNASSIGNED, Assignment
from overread.hub.database import after_commit
from overread.hub.layout import safe_name
from overread.hub.models import PrearchiveSession, Project, ReceivedObject
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

RECEIVING, READY, CONFLICT, ERROR = "RECEIVING", "READY", "CONFLICT", "ERROR"
ARCHIVED, DELETED = "ARCHIVED", "DELETED"
GONE: Final = (ARCHIVED, DELETED)
"""States of rows that only the ledger still knows."""
_OPERATIONS: Final = ("ARCHIVING", "BUILDING", "DELETING", "MOVING", "SEPARATING")
LOCKED: Final = frozenset(f"{prefix}{name}" for prefix in ("", "_", "QUEUED_") for name in _OPERATIONS)
"""States in which something is done with a session that nothing else may disturb."""
STATES: Final = LOCKED | {CONFLICT, ERROR, READY, RECEIVING, "RECEIVING_INTERRUPT"}
THERE: Final = PrearchiveSession.status.in_(sorted(STATES))
"""Condition of a session that is in the prearchive: said so, rather than by those that are gone, it finds an index."""
MANUAL_CODE, OVERWRITE_CODE = 0, 5
"""A project's prearchive_code: 0 archives nothing without being asked; 4 and 5 do, and 5 overwrites what is there."""

_OPEN: Final = (
    select(PrearchiveSession)
    .where(
        PrearchiveSession.study_instance_uid == bindparam("study"),
        PrearchiveSession.project == bindparam("project"),
        PrearchiveSession.name == bindparam("name"),
        PrearchiveSession.status.not_in([*GONE, *sorted(LOCKED)]),
    )
    .order_by(PrearchiveSession.pk)
    .limit(1)
)
"""The session that takes an object; made once, since it is asked for every object."""


def open_session(
    db: Session, assignment: Assignment, study_instance_uid: str, *, now: datetime | None = None
) -> PrearchiveSession:
    """Return the session that takes an object that came at `now`, a new one if need be; it is RECEIVING afterwards."""
    place = {"study": study_instance_uid, "project": assignment.project, "name": assignment.session}
    session = db.scalar(_OPEN, place)
    if session is None:
        session = PrearchiveSession(
            project=assignment.project,
            timestamp=free_timestamp(db, assignment.project, assignment.timestamp),
            name=assignment.session,
            subject=assignment.subject,
            study_instance_uid=study_instance_uid,
            auto_archive=assignment.auto_archive,
            prevent_anon=assignment.prevent_anon,
            prevent_auto_commit=assignment.prevent_auto_commit,
            source=assignment.source,
            visit=assignment.visit,
            status=RECEIVING,
        )
        db.add(session)
        db.flush()
    note_arrival(session, now=now)
    return session


def note_arrival(session: PrearchiveSession, *, now: datetime | None = None) -> None:
    """Note that an object came for a session; it is RECEIVING afterwards."""
    now = now or utc_now()
    if session.status != RECEIVING:
        session.receiving_since = now
    session.status, session.reason, session.last_modified = RECEIVING, "", max(session.last_modified or now, now)


def is_locked(session: PrearchiveSession) -> bool:
    """Whether something is being done with a session that nothing else may disturb."""
    return session.status in LOCKED


def mark(hub: Hub, prearchive_pk: int, status: str, reason: str) -> None:
    """Set a session's status and why, in a transaction of its own: what was tried with it failed and is forgotten."""
    with hub.database.write() as db:
        session = db.get(PrearchiveSession, prearchive_pk)
        if session is not None and session.status not in GONE:
            session.status, session.reason = status, reason


def free_timestamp(db: Session, project: str, wanted: str = "") -> str:
    """Return a timestamp (``yyyyMMdd_HHmmssSSS``) that no session of the project has: `wanted` if it is free."""
    now = utc_now()
    while True:
        timestamp = wanted or now.strftime("%Y%m%d_%H%M%S") + f"{now.microsecond // 1000:03d}"
        taken = select(PrearchiveSession.pk).where(
            PrearchiveSession.project == project, PrearchiveSession.timestamp == timestamp
        )
        if db.scalar(taken.limit(1)) is None:
            return timestamp
        wanted, now = "", now + timedelta(milliseconds=1)


def folder_of(hub: Hub, session: PrearchiveSession) -> Path:
    """Return the session's folder."""
    return hub.layout.prearchive / safe_name(session.project) / session.timestamp / safe_name(session.name)


def find(db: Session, project: str, timestamp: str, name: str) -> PrearchiveSession | None:
    """Return the session at a place of the prearchive, None if there is none (any more)."""
    return db.scalar(
        select(PrearchiveSession).where(
            PrearchiveSession.project == project,
            PrearchiveSession.timestamp == timestamp,
            PrearchiveSession.name == name,
            PrearchiveSession.status.not_in(GONE),
        )
    )


def sessions(
    db: Session, *, projects: Iterable[str] | None = None, study_instance_uid: str = ""
) -> Sequence[PrearchiveSession]:
    """Return the sessions of these projects (None: of all) and of a study, the oldest first."""
    query = select(PrearchiveSession).where(THERE).order_by(PrearchiveSession.pk)
    if projects is not None:
        query = query.where(PrearchiveSession.project.in_(list(projects)))
    if study_instance_uid:
        query = query.where(PrearchiveSession.study_instance_uid == study_instance_uid)
    return db.scalars(query).all()


def objects_of(db: Session, session: PrearchiveSession) -> Sequence[ReceivedObject]:
    """Return the ledger's lines of the objects that lie in the session, in the order in which they came."""
    return db.scalars(
        select(ReceivedObject)
        .where(ReceivedObject.prearchive_pk == session.pk, ReceivedObject.state == "received")
        .order_by(ReceivedObject.pk)
    ).all()


def archives_itself(db: Session, session: PrearchiveSession) -> bool:
    """Whether the session is to be archived without anyone asking: as its objects say, else as its project does."""
    if session.project == UNASSIGNED:
        return False
    if session.auto_archive is not None:
        return session.auto_archive
    project = db.get(Project, session.project)
    return project is not None and project.prearchive_code != MANUAL_CODE


def overwrites_by_itself(db: Session, session: PrearchiveSession) -> Literal["append", "delete"]:
    """Whether objects that are archived without anyone asking take the place of others with their UIDs."""
    project = db.get(Project, session.project)
    return "delete" if project is not None and project.prearchive_code == OVERWRITE_CODE else "append"


def delete(db: Session, hub: Hub, session: PrearchiveSession, *, reason: str) -> None:
    """Delete a session with its files; the ledger keeps its lines."""
    db.execute(
        update(ReceivedObject)
        .where(ReceivedObject.prearchive_pk == session.pk, ReceivedObject.state == "received")
        .values(state="deleted", reason=reason, path="")
    )
    session.status, session.reason = DELETED, reason
    remove_folder_later(db, hub, session)


def delete_objects(db: Session, hub: Hub, objects: Iterable[ReceivedObject], reason: str) -> None:
    """Delete objects of a session with their files; the ledger keeps their lines."""
    for item in objects:
        path = hub.layout.home / item.path
        after_commit(db, lambda path=path: path.unlink(missing_ok=True))  # type: ignore[misc]
        item.state, item.reason, item.path = "deleted", reason, ""
    db.flush()


def remove_folder_later(db: Session, hub: Hub, session: PrearchiveSession) -> None:
    """Remove the session's folder once the transaction is kept."""
    folder = folder_of(hub, session)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.parent.rmdir()
        except OSError:  # another session has the same timestamp, or it is gone already
            return

    after_commit(db, remove)


def uri_of(session: PrearchiveSession) -> str:
    """Return the session's path below ``/data``."""
    return f"/prearchive/projects/{session.project}/{session.timestamp}/{session.name}"
