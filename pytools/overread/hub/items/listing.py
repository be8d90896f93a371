"""The files of items, listed in one query whatever their number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.hub.items.archives import Entry
from overread.hub.items.folders import owner_of, resource_folder, session_of
from overread.hub.items.visibility import assessors_of
from overread.hub.models import Experiment, Project, Resource, ResourceFile, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Item = Project | Subject | Experiment | Scan


@dataclass(frozen=True)
class Listed:
    """One file with the item and resource it belongs to."""

    item: Item
    resource: Resource
    file: ResourceFile


@dataclass(frozen=True)
class ResourceCount:
    """A resource with the item it belongs to and what it holds."""

    item: Item
    resource: Resource
    files: int
    size: int


def list_resources(db: Session, items: Iterable[Item]) -> list[ResourceCount]:
    """Return the resources of `items` with counts."""
    found = []
    for kind, by_id in _by_kind(items).items():
        rows = db.execute(
            select(Resource, func.count(ResourceFile.pk), func.coalesce(func.sum(ResourceFile.size), 0))
            .outerjoin(ResourceFile, ResourceFile.resource_pk == Resource.pk)
            .where(Resource.owner_kind == kind, Resource.owner_id.in_(by_id))
            .group_by(Resource.pk)
            .order_by(Resource.pk)
        )
        found += [ResourceCount(by_id[row.owner_id], row, count, size) for row, count, size in rows]
    return found


def list_files(db: Session, items: Iterable[Item], *, labels: Sequence[str] = ()) -> list[Listed]:
    """Return the files of `items`, of resources named by `labels` (labels or numbers) if there are any."""
    found = []
    for kind, by_id in _by_kind(items).items():
        query = (
            select(Resource, ResourceFile)
            .join(ResourceFile, ResourceFile.resource_pk == Resource.pk)
            .where(Resource.owner_kind == kind, Resource.owner_id.in_(by_id))
            .order_by(Resource.pk, ResourceFile.path)
        )
        for resource, file in db.execute(query):
            if not labels or resource.label in labels or str(resource.pk) in labels:
                found.append(Listed(by_id[resource.owner_id], resource, file))
    return found


def _by_kind(items: Iterable[Item]) -> dict[str, dict[str, Item]]:
    found: dict[str, dict[str, Item]] = {}
    for item in items:
        owner = owner_of(item)
        found.setdefault(owner.kind, {})[owner.id] = item
    return found


def children_of(db: Session, item: Item, readable: Collection[str]) -> list[Item]:
    """Return the items whose resources count as children's: scans, and assessors in projects among `readable`."""
    if not isinstance(item, Experiment):
        return []
    scans = db.scalars(select(Scan).where(Scan.session_id == item.id).order_by(Scan.pk))
    return [*scans, *assessors_of(db, item.id, readable)]


def category_of(item: Item) -> tuple[str, str]:
    """Return XNAT's category of an item's resources, and the ID that goes with it."""
    match item:
        case Scan():
            return "scans", item.id
        case Experiment() if item.session_id is not None:
            return "assessors", item.id
        case _:
            return "resources", ""


def archive_entries(db: Session, hub: Hub, files: Iterable[Listed]) -> list[Entry]:
    """Return `files` with XNAT's names for them in an archive: ``<session>/scans/<id>-<type>/resources/...``."""
    folders: dict[int, tuple[str, Path]] = {}
    entries = []
    for one in files:
        if one.resource.pk not in folders:
            name = f"{_archive_folder(db, one.item)}/resources/{one.resource.label}/files"
            folders[one.resource.pk] = (name, resource_folder(db, hub, one.resource))
        name, folder = folders[one.resource.pk]
        entries.append(Entry(f"{name}/{one.file.path}", folder / one.file.path))
    return entries


def _archive_folder(db: Session, item: Item) -> str:
    match item:
        case Project():
            return item.id
        case Scan():
            session = session_of(db, item)
            kind = "".join(c if c.isalnum() or c in "-_" else "_" for c in item.type)
            return f"{session.label}/scans/{item.id}-{kind}" if kind else f"{session.label}/scans/{item.id}"
        case Experiment() if item.session_id is not None:
            session = session_of(db, item)
            return f"{session.label}/assessors/{item.label}"
        case _:
            return item.label
