"""Exams put through the hub's storing and archiving, without network and services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from helpers.arrivals import file_bytes
from overread.hub.app import assemble
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.archive import ArchiveRequest, archive_session
from overread.hub.arrival.assignment import Hints
from overread.hub.arrival.objects import read_file_header
from overread.hub.arrival.storage import Incoming, Receipt
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.items.files import file_path
from overread.hub.models import Experiment, Instance, PrearchiveSession, Project, ResourceFile
from overread.synthetic.phantoms import make_mr_series

BTS = Hints(project="BTS", subject="SUB1", session="EXAM1")


def resting_hub(folder: Path) -> Hub:
    """Return a hub that does not run, with projects BTS and OTHER."""
    hub = assemble(Hub(HubConfig(home=folder / "home", dicom_port=0, quiet_default_s=10.0)))
    with hub.database.write() as db:
        db.add(Project(id="BTS"))
        db.add(Project(id="OTHER"))
    return hub


def exam(**header: Any) -> list[Dataset]:
    """Return a small MR series."""
    return make_mr_series((6, 16, 20), **header)


def arrive(hub: Hub, images: Sequence[Dataset], hints: Hints = BTS) -> list[Receipt]:
    """Store objects in the prearchive."""
    receipts = []
    for image in images:
        spooled = spooling.spool(hub, [file_bytes(image)])
        receipts.append(storage.store(hub, Incoming(spooled, read_file_header(spooled.path), "test"), hints=hints))
    return receipts


def archive(hub: Hub, **request: Any) -> Experiment:
    """Archive the session that came last."""
    with hub.database.write() as db:
        session = db.scalars(select(PrearchiveSession).order_by(PrearchiveSession.pk.desc())).first()
        assert session is not None
        return archive_session(db, hub, session, ArchiveRequest(user="admin", **request))


def reading(hub: Hub) -> Session:
    """Begin to read."""
    return Session(hub.database.engine)


def files_of(hub: Hub) -> dict[str, Path]:
    """Return SOP Instance UID and path of all objects that the archive has, by the database."""
    with reading(hub) as db:
        return {
            row.sop_instance_uid: file_path(db, hub, db.get_one(ResourceFile, row.file_pk))
            for row in db.scalars(select(Instance))
        }


def newest(hub: Hub) -> PrearchiveSession:
    """Return the session of the prearchive that came last."""
    with reading(hub) as db:
        found = db.scalars(select(PrearchiveSession).order_by(PrearchiveSession.pk.desc())).first()
        assert found is not None
        return found


def make_quiet(hub: Hub) -> None:
    """Let an hour pass for all that has arrived."""
    with hub.database.write() as db:
        for session in db.scalars(select(PrearchiveSession)):
            session.last_modified -= timedelta(hours=1)
            session.receiving_since -= timedelta(hours=1)
