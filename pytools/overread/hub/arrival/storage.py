"""Files of arriving objects, and the ledger of everything that reached us.

Order of steps, so that no acknowledged object is ever lost and none is stored twice:

1. the file is written below ``HOME/tmp`` and synced;
2. in one transaction: is it there already? its session; the file is renamed to its place; its line is added to the
   ledger;
3. the folder is synced, which others need not wait for;
4. only then does the sender get its answer.

A crash between 2 and 3 leaves a file without a line or a line without a file, and a sender without an answer:
`overread.hub.arrival.recovery` puts that in order.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.arrival.assignment import Assignment, Hints, Rules, assign
from overread.hub.arrival.objects import Header, file_stem, read_file_meta, summary, text
from overread.hub.arrival.spooling import Spooled
from overread.hub.database import undo
from overread.hub.items.files import digest_of, file_path
from overread.hub.layout import clean_label, sync_folder
from overread.hub.models import Experiment, Instance, PrearchiveSession, ReceivedObject, ResourceFile
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 20


# Asked for every object that arrives: statements that are made once take half the time.
_IN_PREARCHIVE: Final = (
    select(ReceivedObject.digest, ReceivedObject.path, ReceivedObject.prearchive_pk)
    .join(PrearchiveSession, PrearchiveSession.pk == ReceivedObject.prearchive_pk)
    .where(
        ReceivedObject.sop_instance_uid == bindparam("uid"),
        ReceivedObject.state == "received",
        PrearchiveSession.project == bindparam("project"),
        PrearchiveSession.name == bindparam("label"),
    )
    .limit(1)
)
_IN_ARCHIVE: Final = (
    select(Instance.file_pk, Instance.session_id)
    .join(Experiment, Experiment.id == Instance.session_id)
    .where(
        Instance.sop_instance_uid == bindparam("uid"),
        Experiment.project == bindparam("project"),
        Experiment.label == bindparam("label"),
    )
    .limit(1)
)


class Fate(Enum):
    """What became of an object."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the same object, byte by byte, is here already
    SET_ASIDE = "set aside"  # another object of this UID is here already: that one stays


@dataclass(frozen=True)
class Incoming:
    """An object that arrives.

    Parameters
    ----------
    spooled
        Its file.
    header
        Its attributes.
    source
        How it came, for the ledger: receiver and calling AE title, or the REST route.
    """

    spooled: Spooled
    header: Header
    source: str


@dataclass(frozen=True)
class Receipt:
    """What became of an object, and where it belongs.

    Parameters
    ----------
    fate
        What became of it.
    prearchive_pk
        Session of the prearchive in which it, or the one that was there before, lies.
    session_id
        Session of the archive that has it already.
    """

    fate: Fate
    prearchive_pk: int | None = None
    session_id: str | None = None


@dataclass(frozen=True)
class _Known:
    """The object of the same UID that came before."""

    digest: str
    path: Path
    prearchive_pk: int | None = None
    session_id: str | None = None


def store(hub: Hub, incoming: Incoming, *, rules: Rules | None = None, hints: Hints | None = None) -> Receipt:
    """Keep an object, in a transaction of its own. When this returns, it is safe.

    Parameters
    ----------
    incoming
        The object; its spooled file is gone afterwards, unless this raises.
    rules, hints
        By which it is assigned to project, subject and session (`overread.hub.arrival.assignment.assign`).
    """
    header = incoming.header
    placed: Path | None = None
    with hub.database.write() as db:
        assignment = assign(db, header.dataset, rules=rules, hints=hints)
        receipt = _settle(db, hub, incoming, assignment)
        if receipt is None:
            session = prearchive.open_session(db, assignment, header.study_instance_uid)
            placed = _place(db, hub, session, incoming)
            receipt = Receipt(Fate.STORED, session.pk)
    if placed is not None:
        sync_folder(placed.parent)
    if receipt.fate is Fate.DUPLICATE:
        incoming.spooled.path.unlink(missing_ok=True)
    return receipt


def refuse(hub: Hub, spooled: Spooled, *, reason: str, source: str, header: Header | None = None) -> None:
    """Put an object that can't be taken aside in ``HOME/refused``, with a line in the ledger that says why."""
    with hub.database.write() as db:
        _set_aside(db, hub, _line(source, spooled, header), spooled, reason=reason)


def _settle(db: Session, hub: Hub, incoming: Incoming, assignment: Assignment) -> Receipt | None:
    """Settle what becomes of an object that its session has already; None if it has not."""
    spooled, header = incoming.spooled, incoming.header
    known = _waiting(db, hub, assignment, header)
    if known is None:
        known = _archived(db, hub, assignment, header)
    if known is not None and known.session_id and assignment.replaces and known.digest != spooled.digest:
        known = None  # the one in the archive gives way when the session is archived
    if known is None:
        return None
    line = _line(incoming.source, spooled, header)
    if known.digest == spooled.digest or _same_dataset(known.path, spooled.path):
        line.state, line.reason = "duplicate", "the same object came before"
        db.add(line)
        return Receipt(Fate.DUPLICATE, known.prearchive_pk, known.session_id)
    reason = "another object with this SOP Instance UID came before; that one is kept in use"
    _set_aside(db, hub, line, spooled, reason=reason)
    return Receipt(Fate.SET_ASIDE, known.prearchive_pk, known.session_id)


def _waiting(db: Session, hub: Hub, assignment: Assignment, header: Header) -> _Known | None:
    """Find an object in the prearchive."""
    found = db.execute(_IN_PREARCHIVE, _place_of_object(assignment, header)).first()
    return None if found is None else _Known(found.digest, hub.layout.home / found.path, found.prearchive_pk)


def _archived(db: Session, hub: Hub, assignment: Assignment, header: Header) -> _Known | None:
    """Find an object in the archive."""
    found = db.execute(_IN_ARCHIVE, _place_of_object(assignment, header)).first()
    if found is None:
        return None
    file = db.get_one(ResourceFile, found.file_pk)
    return _Known(file.digest, file_path(db, hub, file), session_id=found.session_id)


def _place_of_object(assignment: Assignment, header: Header) -> dict[str, str]:
    return {"uid": header.sop_instance_uid, "project": assignment.project, "label": assignment.session}


def _same_dataset(left: Path, right: Path) -> bool:
    """Whether two files hold the same dataset, encoded alike: file meta information may differ."""
    try:
        with left.open("rb") as a, right.open("rb") as b:
            first, second = (text(read_file_meta(stream), "TransferSyntaxUID") for stream in (a, b))
            if first != second:
                return False
            while True:
                one, other = a.read(_CHUNK), b.read(_CHUNK)
                if one != other:
                    return False
                if not one:
                    return True
    except OSError:
        return False


def _place(db: Session, hub: Hub, session: PrearchiveSession, incoming: Incoming) -> Path:
    target = place_of(hub, session, incoming.header)
    make_folder(target.parent)
    incoming.spooled.path.replace(target)
    undo(db, lambda: target.unlink(missing_ok=True))
    line = _line(incoming.source, incoming.spooled, incoming.header)
    line.prearchive_pk, line.path = session.pk, target.relative_to(hub.layout.home).as_posix()
    db.add(line)
    return target


def place_of(hub: Hub, session: PrearchiveSession, header: Header) -> Path:
    """Return where an object lies in the prearchive.

    Scans get their ids when the session is archived. Until then a series' folder has its number and a part of its
    UID's digest in the name, which needs no look at what came before.
    """
    number = clean_label(text(header.dataset, "SeriesNumber"))[:12] or "0"
    mark = hashlib.sha256(header.series_instance_uid.encode()).hexdigest()[:8]
    folder = prearchive.folder_of(hub, session) / "SCANS" / f"{number}-{mark}" / "DICOM"
    return folder / f"{file_stem(header.sop_instance_uid)}.dcm"


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; each new name survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def adopt(db: Session, hub: Hub, session: PrearchiveSession, path: Path, header: Header) -> None:
    """Add the ledger's line of a file that lies at its place in the prearchive already."""
    line = _line("found in the prearchive", Spooled(path, digest_of(path), path.stat().st_size), header)
    line.prearchive_pk, line.path = session.pk, path.relative_to(hub.layout.home).as_posix()
    db.add(line)


def _set_aside(db: Session, hub: Hub, line: ReceivedObject, spooled: Spooled, *, reason: str) -> None:
    target = hub.layout.refused / f"{utc_now():%Y%m%d_%H%M%S%f}_{secrets.token_hex(4)}.dcm"
    spooled.path.replace(target)
    sync_folder(hub.layout.refused)
    line.state, line.reason, line.path = "refused", reason, target.relative_to(hub.layout.home).as_posix()
    db.add(line)
    log.warning("refused an object from %s: %s", line.source, reason)


def _line(source: str, spooled: Spooled, header: Header | None) -> ReceivedObject:
    line = ReceivedObject(state="received", source=source, size=spooled.size, digest=spooled.digest)
    if header is not None:
        line.study_instance_uid = header.study_instance_uid
        line.series_instance_uid = header.series_instance_uid
        line.sop_instance_uid = header.sop_instance_uid
        line.sop_class_uid = header.sop_class_uid
        line.transfer_syntax_uid = header.transfer_syntax_uid
        line.header = summary(header.dataset)
    return line
