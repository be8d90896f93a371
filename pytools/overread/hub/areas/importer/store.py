"""What an import does: every object goes the way that C-STORE's go; then the sessions are archived, if so asked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.areas.importer.options import Options
from overread.hub.areas.prearchive.store import archive_uri
from overread.hub.arrival import prearchive, spooling, storage
from overread.hub.arrival.archive import ArchiveRequest, archive_session
from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.arrival.conflicts import EXISTS
from overread.hub.arrival.objects import read_file_header
from overread.hub.arrival.storage import Incoming, Receipt
from overread.hub.errors import HubError, bad_request, conflict
from overread.hub.models import Experiment, PrearchiveSession, ReceivedObject

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass
class Imported:
    """Sessions that got something, in order, and how many files did not count."""

    waiting: list[int] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    objects: int = 0
    unreadable: int = 0

    def add(self, receipt: Receipt) -> None:
        """Note what became of one object."""
        self.objects += 1
        if receipt.prearchive_pk is not None and receipt.prearchive_pk not in self.waiting:
            self.waiting.append(receipt.prearchive_pk)
        if receipt.session_id is not None and receipt.session_id not in self.archived:
            self.archived.append(receipt.session_id)


def take_files(hub: Hub, files: Iterable[Iterable[bytes]], options: Options) -> Imported:
    """Store files, each in a transaction of its own: all of them, or in the end none.

    Raises
    ------
    HubError
        400: one is no DICOM (unless those are passed over), or none is; 507: the disk is full.
    """
    source = f"import {options.handler} {secrets.token_hex(4)} by {options.user}"
    try:
        return _take_files(hub, files, options, source)
    except HubError as problem:
        _withdraw(hub, source, problem.reason)
        raise
    except BaseException:
        _withdraw(hub, source, "the hub failed")
        raise


def _take_files(hub: Hub, files: Iterable[Iterable[bytes]], options: Options, source: str) -> Imported:
    imported = Imported()
    problem: DataError | None = None
    for pieces in files:
        if not spooling.has_room(hub, 0):
            raise HubError(507, "The hub's disk is full: nothing was stored.")
        spooled = spooling.spool_file(hub, pieces)
        try:
            incoming = Incoming(spooled, read_file_header(spooled.path), source)
            imported.add(storage.store(hub, incoming, hints=options.hints))
        except DataError as fault:
            problem = fault
            imported.unreadable += 1
            if not options.skip_unreadable:
                storage.refuse(hub, spooled, reason=str(fault), source=source)
                raise bad_request(f"A file was not taken: {fault}") from fault
        finally:
            spooled.path.unlink(missing_ok=True)
    if not imported.objects:
        raise bad_request(f"No DICOM object was found: {problem}" if problem else "The upload holds no files.")
    return imported


def _withdraw(hub: Hub, source: str, reason: str) -> None:
    """Take back what an import stored that failed: its sender was told that nothing was taken."""
    with hub.database.write() as db:
        mine = select(ReceivedObject).where(ReceivedObject.source == source, ReceivedObject.state == "received")
        lines = db.scalars(mine).all()
        prearchive.delete_objects(db, hub, lines, f"the rest of its import was refused: {reason}")
        touched = {line.prearchive_pk for line in lines}
        for session in db.scalars(select(PrearchiveSession).where(PrearchiveSession.pk.in_(touched))).all():
            if not prearchive.objects_of(db, session):
                prearchive.delete(db, hub, session, reason="its import was refused")


def finish(hub: Hub, imported: Imported, options: Options) -> Sequence[str]:
    """Close and archive the sessions of an import, as asked; return the path of each.

    Raises
    ------
    HubError
        400: a session importer got several sessions; 409: a session is there already. They wait in the prearchive.
    """
    if options.handler == "SI" and len(imported.waiting) > 1 and not options.to_prearchive:
        for pk in imported.waiting:
            prearchive.mark(hub, pk, prearchive.READY, "it came with others in one import of a single session")
        raise bad_request("Upload included files for multiple imaging sessions.")
    with hub.database.write() as db:
        return _finish(db, hub, imported, options)


def _finish(db: Session, hub: Hub, imported: Imported, options: Options) -> Sequence[str]:
    uris: list[str] = []
    sessions = [db.get_one(PrearchiveSession, pk) for pk in imported.waiting]
    if not sessions and options.archive and options.overwrite == "none":
        raise conflict(EXISTS)
    for session in sessions:
        if session.session_id is not None:  # it was whole, and is archived already
            uris.append(archive_uri(db, db.get_one(Experiment, session.session_id)))
            continue
        if options.commit:
            session.status, session.reason = prearchive.READY, "imported whole"
        if options.commit and _archives(db, session, options):
            request = ArchiveRequest(
                user=options.user, overwrite=options.overwrite, reason=f"imported by {options.user}"
            )
            uris.append(archive_uri(db, archive_session(db, hub, session, request)))
        else:
            uris.append(f"/data{prearchive.uri_of(session)}")
    uris += [archive_uri(db, db.get_one(Experiment, found)) for found in imported.archived]
    return list(dict.fromkeys(uris))


def _archives(db: Session, session: PrearchiveSession, options: Options) -> bool:
    if session.project == UNASSIGNED or (options.to_prearchive and options.archive is None):
        return False
    return prearchive.archives_itself(db, session) if options.archive is None else options.archive


def file_pieces(path: Path) -> Iterable[bytes]:
    """Return a file's content in pieces."""
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            yield piece
