"""What an import does: every object goes the way that C-STORE's go; then the sessions are archived, if so asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.areas.prearchive.store import archive_uri
from overread.hub.arrival import prearchive, spooling, storage
from overread.hub.arrival.archive import ArchiveRequest, archive_session
from overread.hub.arrival.assignment import UNASSIGNED, Hints
from overread.hub.arrival.objects import read_file_header
from overread.hub.arrival.storage import Incoming, Receipt
from overread.hub.errors import HubError, bad_request, conflict
from overread.hub.models import Experiment, PrearchiveSession

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass(frozen=True)
class Destination:
    """The parameter ``dest``: where an import goes.

    Parameters
    ----------
    archive
        Whether to the archive; else to the prearchive.
    project, subject, session
        As far as the path names them.
    """

    archive: bool = False
    project: str = ""
    subject: str = ""
    session: str = ""


@dataclass(frozen=True)
class Options:
    """What the sender of an import asks for.

    Parameters
    ----------
    hints
        Where objects belong.
    source
        For the ledger.
    user
        Login.
    commit
        Whether sessions are closed at the end.
    archive
        Whether they are archived then; None leaves it to the project.
    overwrite
        Whether a session that is there already may be added to.
    skip_unreadable
        Whether files that are no DICOM are passed over.
    """

    hints: Hints
    source: str
    user: str
    commit: bool = False
    archive: bool | None = None
    overwrite: Literal["none", "append"] = "none"
    skip_unreadable: bool = False


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


def parse_destination(path: str) -> Destination:
    """Read ``dest``.

    Raises
    ------
    HubError
        400: it is no such path.
    """
    parts = [part for part in path.removeprefix("/data").split("/") if part]
    if not parts:
        return Destination()
    place, *rest = parts
    if place not in {"archive", "prearchive"}:
        raise bad_request(f"dest={path!r}: begin with /archive or /prearchive.")
    names = dict(zip(rest[::2], rest[1::2], strict=False))
    if place == "prearchive":
        return Destination(project=names.get("projects", ""))
    unknown = set(rest[::2]) - {"projects", "subjects", "experiments"}
    if unknown:
        raise bad_request(f"dest={path!r}: {sorted(unknown)[0]!r} has no place in it.")
    return Destination(
        archive=True,
        project=names.get("projects", ""),
        subject=names.get("subjects", ""),
        session=names.get("experiments", ""),
    )


def take_files(hub: Hub, files: Iterable[Iterable[bytes]], options: Options) -> Imported:
    """Store files, each in a transaction of its own.

    Raises
    ------
    HubError
        400: one is no DICOM (unless those are passed over), or none is; 507: the disk is full.
    """
    imported = Imported()
    problem: DataError | None = None
    for pieces in files:
        if not spooling.has_room(hub, 0):
            raise HubError(507, "The hub's disk is full: nothing more was stored.")
        spooled = spooling.spool_file(hub, pieces)
        try:
            incoming = Incoming(spooled, read_file_header(spooled.path), options.source)
            imported.add(storage.store(hub, incoming, hints=options.hints))
        except DataError as fault:
            problem = fault
            imported.unreadable += 1
            if not options.skip_unreadable:
                storage.refuse(hub, spooled, reason=str(fault), source=options.source)
                raise bad_request(f"A file was not taken: {fault}") from fault
        finally:
            spooled.path.unlink(missing_ok=True)
    if not imported.objects:
        raise bad_request(f"No DICOM object was found: {problem}" if problem else "The upload holds no files.")
    return imported


def finish(db: Session, hub: Hub, imported: Imported, options: Options) -> Sequence[str]:
    """Close and archive the sessions of an import, as asked; return the path of each."""
    uris: list[str] = []
    sessions = [db.get_one(PrearchiveSession, pk) for pk in imported.waiting]
    if not sessions and options.archive and options.overwrite == "none":
        raise conflict("Session already exists, retry with overwrite enabled")
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
    if session.project == UNASSIGNED:
        return False
    return prearchive.archives_itself(db, session) if options.archive is None else options.archive


def flag(values: Mapping[str, str], *names: str) -> bool | None:
    """Return the first of these parameters that is given, as yes or no."""
    for name in names:
        if name in values:
            return values[name].lower() == "true"
    return None


def file_pieces(path: Path) -> Iterable[bytes]:
    """Return a file's content in pieces."""
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            yield piece
