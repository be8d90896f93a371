"""A resource made to say again what lies in its folder, after somebody has written into the archive by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError, bad_request
from overread.hub.items.announce import announce
from overread.hub.items.catalogs import is_catalog, touch
from overread.hub.items.files import delete_file, digest_of
from overread.hub.items.folders import resource_folder
from overread.hub.items.instances import index_upload
from overread.hub.layout import safe_path
from overread.hub.models import Resource, ResourceFile

if TYPE_CHECKING:
    from overread.hub.core import Hub


class Operation(Enum):
    """What a refresh does; the values are XNAT's words in lower case."""

    APPEND = "append"  # take in files that the database doesn't know
    CHECKSUM = "checksum"  # digests anew
    DELETE = "delete"  # forget files that are gone
    POPULATE_STATS = "populatestats"  # sizes anew


ALL = frozenset(Operation)


def read_operations(words: Collection[str]) -> frozenset[Operation]:
    """Return the operations that are named; none named, or ``All``, means all."""
    named = {word.strip().lower() for word in words if word.strip()}
    unknown = named - {one.value for one in Operation} - {"all"}
    if unknown:
        raise bad_request(
            f"{', '.join(sorted(unknown))}: a refresh knows all, append, checksum, delete and populateStats."
        )
    return ALL if not named or "all" in named else frozenset(Operation(word) for word in named)


@dataclass(frozen=True)
class Found:
    """What a resource's folder held: by path, size and time of change, and digests where they were asked for."""

    resource_pk: int
    stamps: dict[str, tuple[int, int]]
    digests: dict[str, str]


def look(db: Session, hub: Hub, resource: Resource, operations: frozenset[Operation]) -> Found:
    """Look into a resource's folder. That may take long, so it is done outside of the transaction that writes."""
    folder = resource_folder(db, hub, resource)
    known = set(db.scalars(select(ResourceFile.path).where(ResourceFile.resource_pk == resource.pk)))
    stamps: dict[str, tuple[int, int]] = {}
    digests: dict[str, str] = {}
    for path, file in _files(folder):
        stamps[path] = _stamp(file)
        new = path not in known and Operation.APPEND in operations
        if new or (path in known and Operation.CHECKSUM in operations):
            digests[path] = digest_of(file)
    return Found(resource.pk, stamps, digests)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the regular files below `folder` that can be files of a resource, by their path within it."""
    found = []
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        inside = not any(part.is_symlink() for part in (file, *file.parents) if part.is_relative_to(folder))
        if inside and file.is_file() and not is_catalog(file.name) and _is_safe(path):
            found.append((path, file))
    return found


def _is_safe(path: str) -> bool:
    try:
        return str(safe_path(path)) == path
    except HubError:
        return False


def refresh(db: Session, hub: Hub, found: Found, operations: frozenset[Operation], *, user: str) -> bool:
    """Make the database say what was found; return whether that changed anything."""
    resource = db.get(Resource, found.resource_pk)
    if resource is None:
        return False
    changed = False
    rows = {
        row.path: row for row in db.scalars(select(ResourceFile).where(ResourceFile.resource_pk == resource.pk)).all()
    }
    folder = resource_folder(db, hub, resource)
    # What has changed since the look is as its writer told the database: it is left alone.
    same = {
        path for path, stamp in found.stamps.items() if (folder / path).is_file() and _stamp(folder / path) == stamp
    }
    for path, row in rows.items():
        if path in same:
            changed |= _correct(row, found, operations)
        elif Operation.DELETE in operations and not (folder / path).exists():
            delete_file(db, hub, row)
            changed = True
    if Operation.APPEND in operations:
        for path in sorted((found.digests.keys() - rows.keys()) & same):
            row = ResourceFile(
                resource_pk=resource.pk, path=path, size=found.stamps[path][0], digest=found.digests[path],
                insert_user=user, format="", content="", tags="",
            )  # fmt: skip
            db.add(row)
            db.flush()
            index_upload(db, hub, resource, row)
            changed = True
    touch(db, hub, resource)
    if changed:
        announce(db, hub, resource, "UPDATED", user=user)
    return changed


def _correct(row: ResourceFile, found: Found, operations: frozenset[Operation]) -> bool:
    before = row.size, row.digest
    if Operation.POPULATE_STATS in operations:
        row.size = found.stamps[row.path][0]
    if Operation.CHECKSUM in operations and row.path in found.digests:
        row.digest = found.digests[row.path]
    return (row.size, row.digest) != before
