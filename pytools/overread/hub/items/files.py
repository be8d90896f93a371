"""Resources (labelled folders of files) and the files in them, on disk and in the database together."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from overread.hub.database import undo
from overread.hub.errors import conflict
from overread.hub.items import journal
from overread.hub.items.announce import announce
from overread.hub.items.catalogs import refuse_catalog, touch
from overread.hub.items.folders import Owner, file_path, folder_of, owner_item, owner_of, resource_folder
from overread.hub.items.history import note_removed
from overread.hub.items.ledger import note_deleted
from overread.hub.layout import safe_name, safe_path, sync_file, sync_folder
from overread.hub.models import Instance, Resource, ResourceFile
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

__all__ = [
    "Owner",
    "add_file",
    "delete_file",
    "delete_resource",
    "digest_of",
    "ensure_resource",
    "file_path",
    "find_resource",
    "folder_of",
    "forget_resources",
    "move_folder",
    "owner_item",
    "owner_of",
    "remove_later",
    "resource_folder",
]


def find_resource(db: Session, owner: Owner, label_or_pk: str) -> Resource | None:
    """Return a resource of `owner` by its label, else by its number."""
    of_owner = select(Resource).where(Resource.owner_kind == owner.kind, Resource.owner_id == owner.id)
    found = db.scalar(of_owner.where(Resource.label == label_or_pk))
    if found is None and label_or_pk.isdecimal() and len(label_or_pk) < 19:  # noqa: PLR2004 - fits 64 bits
        found = db.scalar(of_owner.where(Resource.pk == int(label_or_pk)))
    return found


def ensure_resource(
    db: Session,
    hub: Hub,
    owner: Owner,
    label: str,
    *,
    format: str = "",  # noqa: A002 - XNAT's word
    content: str = "",
    tags: str = "",
    description: str = "",
    user: str,
) -> Resource:
    """Return the resource `label` of `owner`, made now if it is not there."""
    found = db.scalar(
        select(Resource).where(
            Resource.owner_kind == owner.kind, Resource.owner_id == owner.id, Resource.label == label
        )
    )
    if found is not None:
        return found
    owner_item(db, owner)
    resource = Resource(
        owner_kind=owner.kind,
        owner_id=owner.id,
        label=safe_name(label),
        format=format,
        content=content,
        tags=tags,
        description=description,
        insert_user=user,
    )
    db.add(resource)
    db.flush()
    announce(db, hub, resource, "CREATED", user=user)
    return resource


def add_file(
    db: Session,
    hub: Hub,
    resource: Resource,
    relative_path: str,
    source: Path,
    *,
    user: str,
    overwrite: bool = True,
    move: bool = True,
    format: str = "",  # noqa: A002 - XNAT's word
    content: str = "",
    tags: str = "",
) -> ResourceFile | None:
    """Store a file in `resource`: synced to disk, then renamed to its place, put back if the transaction is not kept.

    Parameters
    ----------
    db, hub, resource
        Transaction, hub and the resource.
    relative_path
        Path within the resource, with forward slashes.
    source
        The file.
    user
        Login of who stores.
    overwrite
        Whether a file of that path is replaced.
    move
        Whether `source` may be taken away; else it is copied.
    format, content, tags
        What the catalog says of the file.

    Returns
    -------
    ResourceFile or None
        None if a file of that path was there and is kept.
    """
    path = str(safe_path(relative_path))
    refuse_catalog(resource, path)
    row = db.scalar(select(ResourceFile).where(ResourceFile.resource_pk == resource.pk, ResourceFile.path == path))
    if row is not None and not overwrite:
        return None
    folder = resource_folder(db, hub, resource)
    staged = _stage(hub, source, move=move)
    digest, size = digest_of(staged), staged.stat().st_size
    _put(db, hub, staged, folder / path)
    if row is None:
        row = ResourceFile(resource_pk=resource.pk, path=path, insert_user=user)
        db.add(row)
    row.size, row.digest = size, digest
    row.format, row.content, row.tags = format or row.format or "", content or row.content or "", tags or row.tags or ""
    row.last_modified = utc_now()
    db.flush()
    touch(db, hub, resource)
    return row


def delete_file(db: Session, hub: Hub, file: ResourceFile) -> None:
    """Take a file away, from the database now and from disk once the transaction is kept."""
    path = file_path(db, hub, file)
    note_deleted(db, select(ResourceFile.pk).where(ResourceFile.pk == file.pk))
    db.execute(delete(Instance).where(Instance.file_pk == file.pk))
    db.delete(file)
    db.flush()
    touch(db, hub, db.get_one(Resource, file.resource_pk))
    remove_later(db, hub, path)


def delete_resource(db: Session, hub: Hub, resource: Resource) -> None:
    """Take a resource and its files away."""
    folder = resource_folder(db, hub, resource)
    note_removed(db, resource)
    forget_resources(db, [resource.pk])
    remove_later(db, hub, folder)


def forget_resources(db: Session, pks: list[int]) -> None:
    """Take resources out of the database, with their files and instances."""
    files = select(ResourceFile.pk).where(ResourceFile.resource_pk.in_(pks))
    note_deleted(db, files)
    db.execute(delete(Instance).where(Instance.file_pk.in_(files)))
    db.execute(delete(ResourceFile).where(ResourceFile.resource_pk.in_(pks)))
    db.execute(delete(Resource).where(Resource.pk.in_(pks)))


def remove_later(db: Session, hub: Hub, path: Path) -> None:
    """Move `path` out of the way now, delete it once the transaction is kept, put it back if it is not."""
    if path.exists():
        journal.set_aside(db, hub, path)


def move_folder(db: Session, hub: Hub, source: Path, target: Path) -> None:
    """Rename a folder of the archive, back again if the transaction is not kept."""
    if not source.exists():
        return
    if target.exists():
        raise conflict(f"The folder {target.name} is in the way: it belongs to no item, an administrator must look.")
    journal.rename(db, hub, source, target)


def digest_of(path: Path) -> str:
    """Return the MD5 of a file in hex, as XNAT's catalogs have it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _stage(hub: Hub, source: Path, *, move: bool) -> Path:
    staged = hub.layout.tmp / f"stored-{uuid.uuid4().hex}"
    if move:
        shutil.move(source, staged)  # a rename on one file system
    else:
        shutil.copyfile(source, staged)
    staged.chmod(0o640)
    sync_file(staged)
    return staged


def _put(db: Session, hub: Hub, staged: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        staged.unlink()
        raise conflict(f"A file stands where {target.parent.name!r} should be a folder.") from None
    if target.is_dir():
        staged.unlink()
        raise conflict(f"{target.name!r} is a folder: a file can't replace it.")
    if target.exists():
        journal.keep(db, hub, target)
    else:
        undo(db, lambda: target.unlink(missing_ok=True))
    staged.replace(target)
    sync_folder(target.parent)
