"""Do database, ledger and disk say the same? Nothing is changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.items.files import digest_of
from overread.hub.models import (
    Container,
    Experiment,
    Instance,
    PrearchiveSession,
    ReceivedObject,
    Resource,
    ResourceFile,
    Workflow,
)
from overread.hub.runs import states
from overread.hub.upkeep.inventory import Stray, named_files

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass(frozen=True, order=True)
class Finding:
    """Something that does not agree.

    Parameters
    ----------
    what
        In words, without any name or number of a patient.
    where
        Path below the home, or the row's table and key.
    """

    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(hub: Hub, *, digests: bool = False) -> list[Finding]:
    """Compare database, ledger and disk.

    Parameters
    ----------
    hub
        The hub; it need not run. If it does, what is just being received or stored may be told: look twice.
    digests
        Also read every file and compare its MD5.

    Returns
    -------
    list of Finding
        What does not agree, sorted; empty if all is well.
    """
    with hub.database.read() as db:
        look = _Look(db, hub, digests=digests)
        found = {*look.files(), *look.waiting(), *look.instances(), *look.sessions(), *look.runs()}
        found |= set(look.strangers())
    return sorted(found)


class _Look:
    """One look at a home, within one reading transaction."""

    def __init__(self, db: Session, hub: Hub, *, digests: bool) -> None:
        self._db, self._hub, self._digests = db, hub, digests
        self._known: set[str] = set()

    def files(self) -> Iterator[Finding]:
        """Look for files that the database has and the disk has not, or not as they were."""
        for one in named_files(self._db, self._hub):
            if isinstance(one, Stray):
                yield Finding("it belongs to nothing", one.where)
                continue
            self._known.add(one.path)
            if one.needed:
                yield from self._file(self._hub.layout.home / one.path, one.size, one.digest)

    def waiting(self) -> Iterator[Finding]:
        """Look for objects that wait in a session that is gone."""
        query = (
            select(ReceivedObject.pk)
            .outerjoin(PrearchiveSession, PrearchiveSession.pk == ReceivedObject.prearchive_pk)
            .where(ReceivedObject.state == "received")
            .where(or_(PrearchiveSession.pk.is_(None), PrearchiveSession.status.in_(prearchive.GONE)))
        )
        for pk in self._db.scalars(query):
            yield Finding("the object waits in a session that is gone", f"received_object {pk}")

    def instances(self) -> Iterator[Finding]:
        """Look for archived objects that are no file of their session, or more than one."""
        rows = self._db.execute(
            select(Instance.session_id, Instance.sop_instance_uid, func.count())
            .join(Experiment, Experiment.id == Instance.session_id)
            .join(ResourceFile, ResourceFile.pk == Instance.file_pk)
            .join(Resource, Resource.pk == ResourceFile.resource_pk)
            .where(Resource.owner_kind == "scan")
            .group_by(Instance.session_id, Instance.sop_instance_uid)
            .having(func.count() > 1)
        )
        for session_id, uid, count in rows:
            yield Finding(f"object {uid} is there {count} times", f"experiment {session_id}")
        there = select(Instance.pk).where(
            Instance.session_id == ReceivedObject.session_id,
            Instance.sop_instance_uid == ReceivedObject.sop_instance_uid,
        )
        lost = select(ReceivedObject.pk, ReceivedObject.sop_instance_uid, ReceivedObject.path).where(
            ReceivedObject.state == "archived", ~there.exists()
        )
        for pk, uid, path in self._db.execute(lost):
            if path and (self._hub.layout.home / path).exists():
                yield Finding(f"object {uid} is on disk, but no file of its session", f"received_object {pk}")

    def sessions(self) -> Iterator[Finding]:
        """Look for folders of sessions that have left the prearchive, and for studies that are two sessions."""
        for session in self._db.scalars(select(PrearchiveSession)):
            folder = prearchive.folder_of(self._hub, session)
            if session.status in prearchive.GONE and folder.exists():
                yield Finding("the session has left the prearchive, its folder has not", self._name(folder))
        same = (
            select(Experiment.project, Experiment.uid, func.count())
            .where(Experiment.uid != "", Experiment.session_id.is_(None))
            .group_by(Experiment.project, Experiment.uid)
            .having(func.count() > 1)
        )
        for project, uid, count in self._db.execute(same):
            yield Finding(f"study {uid} is {count} sessions", f"project {project}")

    def runs(self) -> Iterator[Finding]:
        """Look for runs that differ from their workflows, and for two that did the same."""
        pairs = select(Container.id, Container.status, Workflow.status).join(
            Workflow, Workflow.id == Container.workflow_id
        )
        for number, status, of_workflow in self._db.execute(pairs):
            if status != of_workflow:
                yield Finding(f"the run is {status}, its workflow {of_workflow}", f"container {number}")
        once = select(Container.once_key, Container.id).where(
            Container.once_key.is_not(None), Container.status == states.COMPLETE
        )
        counts = Counter(key for key, _ in self._db.execute(once))
        for key, count in counts.items():
            if count > 1:
                yield Finding(f"{count} runs did the same", f"once-key {key}")

    def strangers(self) -> Iterator[Finding]:
        """Look for files that the database does not know. Call it last."""
        layout = self._hub.layout
        for root, what in (
            (layout.archive, "the file belongs to no resource"),
            (layout.prearchive, "the file is not in the ledger"),
            (layout.refused, "the file is not in the ledger"),
        ):
            for path in _files(root):
                if self._name(path) not in self._known and not path.name.endswith("_catalog.xml"):
                    yield Finding(what, self._name(path))
        numbers = {str(number) for number in self._db.scalars(select(Container.id))}
        for folder in layout.runs.iterdir():
            if folder.is_dir() and folder.name.isdigit() and folder.name not in numbers:
                yield Finding("the folder belongs to no run", self._name(folder))

    def _file(self, path: Path, size: int, digest: str) -> Iterator[Finding]:
        name = self._name(path)
        try:
            found = path.stat().st_size
        except OSError:
            yield Finding("the file is missing", name)
            return
        if found != size:
            yield Finding(f"the file has {found} bytes, the database says {size}", name)
        elif self._digests and digest_of(path) != digest:
            yield Finding("the file is not the one that was stored: its MD5 is another", name)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._hub.layout.home).as_posix()


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder, name)
