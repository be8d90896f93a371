"""What a crash left undone, put in order before the hub receives again.

Three things can be left: the folder of a session that was archived or deleted (its files have their names in the
archive), a file in the prearchive whose line in the ledger was not kept (its sender got no answer), and a line whose
file is gone (somebody deleted it by hand).
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.arrival import prearchive, storage
from overread.hub.arrival.assignment import assign
from overread.hub.arrival.objects import Header, read_file_header
from overread.hub.items import journal
from overread.hub.items.files import digest_of
from overread.hub.models import PrearchiveSession, ReceivedObject, Receiver
from overread.hub.receiver.settings import rules_of

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)


def recover(hub: Hub) -> None:
    """Put the prearchive in order. Run at start, before anything is received."""
    journal.recover(hub)
    with hub.database.write() as db:
        known = {prearchive.folder_of(hub, session): session for session in prearchive.sessions(db)}
        for folder, session in known.items():
            _reconcile(db, hub, session, folder)
        # Sessions that have left the prearchive are many: only what still has a folder is looked up.
        for folder in sorted(hub.layout.prearchive.glob("*/*/*")):
            if not folder.is_dir() or folder in known:
                continue
            if _has_left(db, folder):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                _adopt_folder(db, hub, folder)
    _remove_empty(hub.layout.prearchive)


def _reconcile(db: Session, hub: Hub, session: PrearchiveSession, folder: Path) -> None:
    """Make the ledger agree with the files of a session."""
    known: set[Path] = set()
    for line in prearchive.objects_of(db, session):
        path = hub.layout.home / line.path
        if path.is_file():
            known.add(path)
        else:
            line.state, line.reason = "deleted", "its file is gone from the prearchive"
            log.warning("object %s is gone from the prearchive", line.sop_instance_uid)
    for path in sorted(folder.rglob("*.dcm")):
        if path not in known:
            _adopt(db, hub, session, path)


def _adopt(db: Session, hub: Hub, session: PrearchiveSession, path: Path) -> None:
    try:
        header = read_file_header(path)
    except DataError:
        header = None
    if header is None or header.study_instance_uid != session.study_instance_uid or _is_known(db, session, header):
        target = hub.layout.refused / f"found_{session.timestamp}_{path.name}"
        path.replace(target)
        log.warning("a file without a line in the ledger was put aside as %s", target.name)
        return
    storage.adopt(db, hub, session, path, header)
    log.warning("object %s was found in the prearchive without a line in the ledger; taken", header.sop_instance_uid)


def _has_left(db: Session, folder: Path) -> bool:
    """Whether a folder is that of a session which was archived or deleted."""
    project, timestamp, name = folder.parts[-3:]
    query = select(PrearchiveSession.pk).where(
        PrearchiveSession.project == project,
        PrearchiveSession.timestamp == timestamp,
        PrearchiveSession.name == name,
        PrearchiveSession.status.in_(prearchive.GONE),
    )
    return db.scalar(query.limit(1)) is not None


def _adopt_folder(db: Session, hub: Hub, folder: Path) -> None:
    """Make the session of a folder again, whose first object came just before a crash."""
    project, timestamp, name = folder.parts[-3:]
    for path in sorted(folder.rglob("*.dcm")):
        try:
            header = read_file_header(path)
        except DataError:
            continue
        if _is_elsewhere(db, header, path):  # a move of the session that was not kept
            path.unlink()
            continue
        session = PrearchiveSession(
            project=project,
            timestamp=timestamp,
            name=name,
            subject=_subject(db, header, project, name),
            study_instance_uid=header.study_instance_uid,
            status=prearchive.RECEIVING,
        )
        db.add(session)
        db.flush()
        _reconcile(db, hub, session, folder)
        return
    for path in sorted(folder.rglob("*.dcm")):
        path.replace(hub.layout.refused / f"found_{timestamp}_{path.name}")


def _subject(db: Session, header: Header, project: str, name: str) -> str:
    """Return the subject that a receiver would have given, which had put the object into this project and session."""
    for receiver in db.scalars(select(Receiver).order_by(Receiver.id)):
        assignment = assign(db, header.dataset, rules=rules_of(receiver))
        if (assignment.project, assignment.session) == (project, name):
            return assignment.subject
    return ""


def _is_known(db: Session, session: PrearchiveSession, header: Header) -> bool:
    query = select(ReceivedObject.pk).where(
        ReceivedObject.prearchive_pk == session.pk,
        ReceivedObject.sop_instance_uid == header.sop_instance_uid,
        ReceivedObject.state == "received",
    )
    return db.scalar(query.limit(1)) is not None


def _is_elsewhere(db: Session, header: Header, path: Path) -> bool:
    """Whether the ledger knows the very file at another place of the prearchive."""
    query = select(ReceivedObject.digest).where(
        ReceivedObject.sop_instance_uid == header.sop_instance_uid, ReceivedObject.state == "received"
    )
    digests = set(db.scalars(query))
    return bool(digests) and digest_of(path) in digests


def _remove_empty(root: Path) -> None:
    """Remove folders without a file, the deepest first."""
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        try:
            folder.rmdir()
        except OSError:
            continue
