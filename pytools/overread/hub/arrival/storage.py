"""Files of arriving objects, and the ledger of everything that reached us.

Order of steps, so that no acknowledged object is ever lost and none is stored twice:

1. the file is written below ``HOME/tmp`` (by REST) or ``HOME/spool`` (by DICOM) and synced;
2. in one transaction: is it there already? its session; the file gets a second name at its place, which is synced; its
   line is added to the ledger;
3. its first name is removed.

Who sends by REST gets the answer then; who sends by DICOM has it after the first step, since the spool is filed after
a crash, too (`overread.hub.arrival.intake`). A crash within 2 leaves a file without a line:
`overread.hub.arrival.recovery` puts that in order.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.arrival.assignment import Assignment, Hints, Rules, assign
from overread.hub.arrival.objects import Header, file_stem, read_file_meta, summary, text
from overread.hub.arrival.spooling import Spooled
from overread.hub.database import after_commit, undo
from overread.hub.items.files import digest_of, file_path
from overread.hub.layout import clean_label, sync_file, sync_folder
from overread.hub.models import Experiment, Instance, PrearchiveSession, ReceivedObject, ResourceFile
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 20


# Asked for every object that arrives: statements that are made once, and run without the ORM, take a third of the time.
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
_THERE: Final = tuple(
    select(column).where(column.in_(bindparam("uids", expanding=True)))
    for column in (ReceivedObject.sop_instance_uid, Instance.sop_instance_uid)
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
    original_digest: str = ""  # before it was anonymised


def store(hub: Hub, incoming: Incoming, *, rules: Rules | None = None, hints: Hints | None = None) -> Receipt:
    """Keep an object, in a transaction of its own. When this returns, it is safe.

    Parameters
    ----------
    incoming
        The object; its spooled file is gone afterwards, unless this raises.
    rules, hints
        By which it is assigned to project, subject and session (`overread.hub.arrival.assignment.assign`).
    """
    with hub.database.write() as db, Storing(db, hub) as storing:
        return storing.store(incoming, rules=rules, hints=hints)


def refuse(hub: Hub, spooled: Spooled, *, reason: str, source: str, header: Header | None = None) -> None:
    """Put an object that can't be taken aside in ``HOME/refused``, with a line in the ledger that says why."""
    with hub.database.write() as db, Storing(db, hub) as storing:
        storing.refuse(spooled, reason=reason, source=source, header=header)


class Storing:
    """Keeps objects within one transaction; folders are synced when its block ends well, before the transaction does.

    Spooled files get their new names at once and lose the old ones when the transaction is kept. What was stored since
    the block began is remembered, so that the database is not asked for it: its lines go there together.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    """

    def __init__(self, db: Session, hub: Hub) -> None:
        self._db, self._hub = db, hub
        self._touched: set[Path] = set()
        self._sessions: dict[tuple[str, str, str], PrearchiveSession] = {}
        self._stored: dict[tuple[str, str, str], _Known] = {}
        self._new: frozenset[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for folder in self._touched:
                sync_folder(folder)

    def expect(self, sop_instance_uids: Iterable[str]) -> None:
        """Look at once which of many objects are new to the hub, wherever they belong: those are not looked for."""
        uids = frozenset(sop_instance_uids)
        asked = {"uids": sorted(uids)}
        there = (uid for query in _THERE for (uid,) in self._db.connection().execute(query, asked))
        self._new = uids.difference(there)

    def store(
        self,
        incoming: Incoming,
        *,
        rules: Rules | None = None,
        hints: Hints | None = None,
        received_at: datetime | None = None,
    ) -> Receipt:
        """Keep an object that came at `received_at` (None: now)."""
        header = incoming.header
        assignment = assign(self._db, header.dataset, rules=rules, hints=hints)
        receipt = self._settle(incoming, assignment, received_at)
        if receipt is None:
            session = self._session(assignment, header.study_instance_uid, received_at)
            path = self._place(session, incoming, received_at)
            mark = (assignment.project, assignment.session, header.sop_instance_uid)
            self._stored[mark] = _Known(incoming.spooled.digest, path, session.pk)
            receipt = Receipt(Fate.STORED, session.pk)
        after_commit(self._db, lambda: incoming.spooled.path.unlink(missing_ok=True))
        return receipt

    def refuse(
        self,
        spooled: Spooled,
        *,
        reason: str,
        source: str,
        header: Header | None = None,
        received_at: datetime | None = None,
    ) -> None:
        """Put an object that can't be taken aside."""
        self._set_aside(_line(source, spooled, header, received_at), spooled, reason=reason)
        after_commit(self._db, lambda: spooled.path.unlink(missing_ok=True))

    def _session(
        self, assignment: Assignment, study_instance_uid: str, received_at: datetime | None
    ) -> PrearchiveSession:
        """Return the session that takes an object."""
        place = (assignment.project, assignment.session, study_instance_uid)
        session = self._sessions.get(place)
        if session is None:
            session = prearchive.open_session(self._db, assignment, study_instance_uid, now=received_at)
            self._sessions[place] = session
        else:
            prearchive.note_arrival(session, now=received_at)
        return session

    def _settle(self, incoming: Incoming, assignment: Assignment, received_at: datetime | None) -> Receipt | None:
        """Settle what becomes of an object that its session has already; None if it has not."""
        spooled, header = incoming.spooled, incoming.header
        known = self._stored.get((assignment.project, assignment.session, header.sop_instance_uid))
        may_be_known = self._new is None or header.sop_instance_uid not in self._new
        if known is None and may_be_known:
            known = _waiting(self._db, self._hub, assignment, header)
        if known is None and may_be_known:
            known = _archived(self._db, self._hub, assignment, header)
        if known is not None and known.session_id and assignment.replaces and known.digest != spooled.digest:
            known = None  # the one in the archive gives way when the session is archived
        if known is None:
            return None
        if _is_one_file(known.path, spooled.path):  # filed before a crash, which left its name in the spool
            return Receipt(Fate.STORED, known.prearchive_pk, known.session_id)
        line = _line(incoming.source, spooled, header, received_at)
        if spooled.digest in {known.digest, known.original_digest} or same_dataset(known.path, spooled.path):
            line.state, line.reason = "duplicate", "the same object came before"
            self._db.add(line)
            return Receipt(Fate.DUPLICATE, known.prearchive_pk, known.session_id)
        reason = "another object with this SOP Instance UID came before; that one is kept in use"
        self._set_aside(line, spooled, reason=reason)
        return Receipt(Fate.SET_ASIDE, known.prearchive_pk, known.session_id)

    def _place(self, session: PrearchiveSession, incoming: Incoming, received_at: datetime | None) -> Path:
        """Give an object its place in a session; return it."""
        target = place_of(self._hub, session, incoming.header)
        if target.parent not in self._touched:
            make_folder(target.parent)
        self._link(incoming.spooled.path, target)
        line = _line(incoming.source, incoming.spooled, incoming.header, received_at)
        line.prearchive_pk, line.path = session.pk, target.relative_to(self._hub.layout.home).as_posix()
        self._db.add(line)
        return target

    def _set_aside(self, line: ReceivedObject, spooled: Spooled, *, reason: str) -> None:
        target = self._hub.layout.refused / f"{utc_now():%Y%m%d_%H%M%S%f}_{secrets.token_hex(4)}.dcm"
        self._link(spooled.path, target)
        line.state, line.reason, line.path = "refused", reason, target.relative_to(self._hub.layout.home).as_posix()
        self._db.add(line)
        log.warning("refused an object from %s: %s", line.source, reason)

    def _link(self, source: Path, target: Path) -> None:
        try:
            link(source, target)
        except FileExistsError:  # left over from an attempt that a crash ended: the ledger does not know it
            target.unlink()
            link(source, target)
        undo(self._db, lambda: target.unlink(missing_ok=True))
        self._touched.add(target.parent)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has no such thing, make a synced copy."""
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)


def _waiting(db: Session, hub: Hub, assignment: Assignment, header: Header) -> _Known | None:
    """Find an object in the prearchive."""
    found = db.connection().execute(_IN_PREARCHIVE, _place_of_object(assignment, header)).first()
    return None if found is None else _Known(found.digest, hub.layout.home / found.path, found.prearchive_pk)


def _archived(db: Session, hub: Hub, assignment: Assignment, header: Header) -> _Known | None:
    """Find an object in the archive."""
    found = db.connection().execute(_IN_ARCHIVE, _place_of_object(assignment, header)).first()
    if found is None:
        return None
    file = db.get_one(ResourceFile, found.file_pk)
    original = select(ReceivedObject.original_digest).where(
        ReceivedObject.sop_instance_uid == header.sop_instance_uid,
        ReceivedObject.session_id == found.session_id,
        ReceivedObject.state == "archived",
    )
    path, before = file_path(db, hub, file), db.scalar(original.limit(1))
    return _Known(file.digest, path, session_id=found.session_id, original_digest=before or "")


def _place_of_object(assignment: Assignment, header: Header) -> dict[str, str]:
    return {"uid": header.sop_instance_uid, "project": assignment.project, "label": assignment.session}


def _is_one_file(left: Path, right: Path) -> bool:
    try:
        return left.samefile(right)
    except OSError:
        return False


def same_dataset(left: Path, right: Path) -> bool:
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


def _line(source: str, spooled: Spooled, header: Header | None, received_at: datetime | None = None) -> ReceivedObject:
    line = ReceivedObject(
        state="received",
        source=source,
        size=spooled.size,
        digest=spooled.digest,
        received_at=received_at or utc_now(),
    )
    if header is not None:
        line.study_instance_uid = header.study_instance_uid
        line.series_instance_uid = header.series_instance_uid
        line.sop_instance_uid = header.sop_instance_uid
        line.sop_class_uid = header.sop_class_uid
        line.transfer_syntax_uid = header.transfer_syntax_uid
        line.header = summary(header.dataset)
    return line
