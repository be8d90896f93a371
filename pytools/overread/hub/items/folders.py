"""Whose resources lie where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy.orm import Session

from overread.hub.errors import not_found
from overread.hub.layout import safe_name
from overread.hub.models import Experiment, Project, Resource, ResourceFile, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

_MODELS = {"project": Project, "subject": Subject, "experiment": Experiment}


@dataclass(frozen=True)
class Owner:
    """Whose resources: `kind` is project, subject, experiment or scan; `id` its ID (a scan's ``pk`` as text)."""

    kind: str
    id: str


def owner_of(item: Project | Subject | Experiment | Scan) -> Owner:
    """Return the owner that `item` is."""
    if isinstance(item, Scan):
        return Owner("scan", str(item.pk))
    kind = {Project: "project", Subject: "subject", Experiment: "experiment"}[type(item)]
    return Owner(kind, item.id)


def owner_item(db: Session, owner: Owner) -> Project | Subject | Experiment | Scan:
    """Return the item that `owner` is."""
    found = db.get(Scan, int(owner.id)) if owner.kind == "scan" else db.get(_MODELS[owner.kind], owner.id)
    if found is None:
        raise not_found(f"{owner.kind} {owner.id}")
    return cast("Project | Subject | Experiment | Scan", found)


def session_of(db: Session, item: Scan | Experiment) -> Experiment:
    """Return the session of a scan or an assessor.

    SQLAlchemy forgets an object that nobody holds. A transaction that walks through the files of a session asks for it
    again and again, so it is held until the transaction ends.
    """
    held: dict[str, Experiment] = db.info.setdefault("sessions", {})
    session_id = item.session_id or ""
    if session_id not in held:
        held[session_id] = db.get_one(Experiment, session_id)
    return held[session_id]


def folder_of(db: Session, hub: Hub, owner: Owner) -> Path:
    """Return the folder of an item, below which its resources lie."""
    item = owner_item(db, owner)
    match item:
        case Project():
            return hub.layout.project_resources(item.id)
        case Subject():
            return hub.layout.subject(item.project, item.label)
        case Scan():
            session = session_of(db, item)
            return hub.layout.scan(session.project, session.label, item.id)
        case Experiment() if item.session_id is not None:
            session = session_of(db, item)
            return hub.layout.assessor(session.project, session.label, item.label)
        case _:
            return hub.layout.session(item.project, item.label)


def resource_folder(db: Session, hub: Hub, resource: Resource) -> Path:
    """Return the folder that holds the files of `resource`."""
    owner = Owner(resource.owner_kind, resource.owner_id)
    folder = folder_of(db, hub, owner)
    item = owner_item(db, owner)
    if isinstance(item, Experiment) and item.session_id is None:
        folder = folder / "RESOURCES"
    return folder / safe_name(resource.label)


def file_path(db: Session, hub: Hub, file: ResourceFile) -> Path:
    """Return where `file` lies on disk."""
    return resource_folder(db, hub, db.get_one(Resource, file.resource_pk)) / file.path
