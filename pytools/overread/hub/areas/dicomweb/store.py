"""The objects of a project as DICOMweb sees them: each SOP instance once, with its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.areas.dicomweb.metadata import Json
from overread.hub.items.folders import resource_folder
from overread.hub.items.instances import find_instances
from overread.hub.models import Instance, Resource, ResourceFile

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass(frozen=True)
class StoredObject:
    """An object and where it lies."""

    instance: Instance
    path: Path
    digest: str


@dataclass(frozen=True)
class Root:
    """The DICOMweb root of a project: `url` without a slash at its end."""

    hub: Hub
    project: str
    url: str

    def instance_url(self, instance: Instance) -> str:
        """Return the URL of an object."""
        return (
            f"{self.url}/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
            f"/instances/{instance.sop_instance_uid}"
        )

    def metadata(self, item: StoredObject) -> bytes:
        """Return an object's attributes as JSON text."""
        return self.hub.metadata.get(
            item.path, digest=item.digest, bulk_uri=f"{self.instance_url(item.instance)}/bulkdata/"
        )

    def document(self, item: StoredObject) -> Json:
        """Return an object's attributes as a JSON document."""
        return self.hub.metadata.document(
            item.path, digest=item.digest, bulk_uri=f"{self.instance_url(item.instance)}/bulkdata/"
        )


def objects(
    db: Session, hub: Hub, project: str, *, study: str | None = None, series: str | None = None, sop: str | None = None
) -> Sequence[StoredObject]:
    """Return the objects of a project by series and instance number; one that lies in two places counts once."""
    found = find_instances(db, project=project, study=study, series=series, sop=sop)
    return with_files(db, hub, found)


def with_files(db: Session, hub: Hub, instances: Sequence[Instance]) -> Sequence[StoredObject]:
    """Return where objects lie."""
    first: dict[str, Instance] = {}
    for instance in instances:
        first.setdefault(instance.sop_instance_uid, instance)
    pks = [instance.file_pk for instance in first.values()]
    files: dict[int, ResourceFile] = {}
    for start in range(0, len(pks), 500):  # a query may not have any number of parameters
        chunk = pks[start : start + 500]
        files.update({file.pk: file for file in db.scalars(select(ResourceFile).where(ResourceFile.pk.in_(chunk)))})
    folders: dict[int, Path] = {}
    stored = []
    for instance in first.values():
        file = files[instance.file_pk]
        if file.resource_pk not in folders:
            folders[file.resource_pk] = resource_folder(db, hub, db.get_one(Resource, file.resource_pk))
        stored.append(StoredObject(instance, folders[file.resource_pk] / file.path, file.digest))
    return stored
