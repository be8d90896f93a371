"""An item as filters of the Event Service and matchers of the Container Service see it.

Keys are those of the Container Service's model objects (``project-id``, ``scan-type``, ``series-description``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.items.folders import Owner, file_path, folder_of, owner_item, resource_folder, session_of
from overread.hub.models import Experiment, Project, Resource, ResourceFile, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Payload = dict[str, Any]


def payload(db: Session, hub: Hub, item: Project | Subject | Experiment | Scan | Resource) -> Payload:
    """Return `item` with its scans, assessors and resources."""
    match item:
        case Project():
            return _project(db, hub, item)
        case Subject():
            return _subject(db, hub, item)
        case Scan():
            return _scan_alone(db, hub, item)
        case Resource():
            return _resource_alone(db, hub, item)
        case Experiment() if item.session_id is not None:
            return _assessor(db, hub, item)
        case _:
            return _session(db, hub, item)


def uri_of(item: Project | Subject | Experiment | Scan) -> str:
    """Return the archive URI of an item, such as ``/archive/experiments/XNAT_E00001``."""
    match item:
        case Project():
            return f"/archive/projects/{item.id}"
        case Subject():
            return f"/archive/subjects/{item.id}"
        case Scan():
            return f"/archive/experiments/{item.session_id}/scans/{item.id}"
        case Experiment() if item.session_id is not None:
            return f"/archive/experiments/{item.session_id}/assessors/{item.id}"
        case _:
            return f"/archive/experiments/{item.id}"


def project_of(db: Session, item: Project | Subject | Experiment | Scan) -> str:
    """Return the ID of the project that an item belongs to."""
    match item:
        case Project():
            return item.id
        case Scan():
            return session_of(db, item).project
        case _:
            return item.project


def _project(db: Session, hub: Hub, item: Project) -> Payload:
    return {
        "id": item.id,
        "label": item.name or item.id,
        "xsiType": "xnat:projectData",
        "uri": uri_of(item),
        "project-id": item.id,
        "directory": str(hub.layout.archive / item.id / "arc001"),
        "resources": _resources(db, hub, [Owner("project", item.id)])[item.id],
    }


def _subject(db: Session, hub: Hub, item: Subject) -> Payload:
    return {
        "id": item.id,
        "label": item.label,
        "xsiType": "xnat:subjectData",
        "uri": uri_of(item),
        "project-id": item.project,
        "group": item.fields.get("group", ""),
        "source": item.fields.get("src", ""),
        "resources": _resources(db, hub, [Owner("subject", item.id)])[item.id],
    }


def _experiment(item: Experiment, folder: Path, resources: Sequence[Payload]) -> Payload:
    return {
        "id": item.id,
        "label": item.label,
        "xsiType": item.xsi_type,
        "uri": uri_of(item),
        "project-id": item.project,
        "directory": str(folder),
        "date": item.date,
        "time": item.time,
        "resources": list(resources),
    }


def _session(db: Session, hub: Hub, item: Experiment) -> Payload:
    scans = list(db.scalars(select(Scan).where(Scan.session_id == item.id).order_by(Scan.pk)))
    assessors = list(db.scalars(select(Experiment).where(Experiment.session_id == item.id).order_by(Experiment.id)))
    own = _resources(db, hub, [Owner("experiment", item.id), *(Owner("experiment", one.id) for one in assessors)])
    of_scans = _resources(db, hub, [Owner("scan", str(scan.pk)) for scan in scans])
    folder = folder_of(db, hub, Owner("experiment", item.id))
    return _experiment(item, folder, own[item.id]) | {
        "subject-id": item.subject_id or "",
        "modality": item.modality,
        "uid": item.uid,
        "scans": [_scan(scan, item, folder, of_scans[str(scan.pk)]) for scan in scans],
        "assessors": [
            _experiment(one, folder / "ASSESSORS" / one.label, own[one.id]) | {"session-id": item.id}
            for one in assessors
        ],
    }


def _assessor(db: Session, hub: Hub, item: Experiment) -> Payload:
    owner = Owner("experiment", item.id)
    resources = _resources(db, hub, [owner])[item.id]
    return _experiment(item, folder_of(db, hub, owner), resources) | {"session-id": item.session_id}


def _scan_alone(db: Session, hub: Hub, item: Scan) -> Payload:
    session = session_of(db, item)
    folder = folder_of(db, hub, Owner("experiment", session.id))
    return _scan(item, session, folder, _resources(db, hub, [Owner("scan", str(item.pk))])[str(item.pk)])


def _scan(item: Scan, session: Experiment, session_folder: Path, resources: Sequence[Payload]) -> Payload:
    values = item.fields
    return {
        "id": item.id,
        "label": item.id,
        "xsiType": item.xsi_type,
        "uri": uri_of(item),
        "directory": str(session_folder / "SCANS" / item.id),
        "project-id": session.project,
        "session-id": item.session_id,
        "integer-id": item.pk,
        "scan-type": item.type,
        "frames": values.get("frames"),
        "note": values.get("note", ""),
        "modality": item.modality,
        "quality": item.quality,
        "scanner": values.get("scanner", ""),
        "scanner-manufacturer": values.get("scanner/manufacturer", ""),
        "scanner-model": values.get("scanner/model", ""),
        "scanner-software-version": values.get("scanner/softwareVersion", ""),
        "series-description": item.series_description,
        "start-time": values.get("startTime", ""),
        "uid": item.uid,
        "datatype-string": item.xsi_type,
        "resources": list(resources),
    }


def _resource_alone(db: Session, hub: Hub, item: Resource) -> Payload:
    owner = owner_item(db, Owner(item.owner_kind, item.owner_id))
    seen = _resource(item, resource_folder(db, hub, item))
    rows = db.scalars(select(ResourceFile).where(ResourceFile.resource_pk == item.pk).order_by(ResourceFile.path))
    seen["files"] = [
        {"name": Path(row.path).name, "path": str(file_path(db, hub, row)), "size": row.size, "tags": row.tags,
         "format": row.format, "content": row.content}
        for row in rows
    ]  # fmt: skip
    return seen | {"uri": f"{uri_of(owner)}/resources/{item.label}", "project-id": project_of(db, owner)}


def _resource(item: Resource, folder: Path) -> Payload:
    return {
        "id": str(item.pk),
        "label": item.label,
        "xsiType": "xnat:resourceCatalog",
        "integer-id": item.pk,
        "directory": str(folder),
        "format": item.format,
        "content": item.content,
        "tags": item.tags,
    }


def _resources(db: Session, hub: Hub, owners: Iterable[Owner]) -> dict[str, list[Payload]]:
    """Return the resources of owners of one kind, by the owner's ID, in one query."""
    owners = list(owners)
    found: dict[str, list[Payload]] = defaultdict(list)
    if not owners:
        return found
    folders = {owner.id: owner for owner in owners}
    rows = db.scalars(
        select(Resource)
        .where(Resource.owner_kind == owners[0].kind, Resource.owner_id.in_(folders))
        .order_by(Resource.pk)
    )
    for row in rows:
        seen = _resource(row, resource_folder(db, hub, row))
        parent = owner_item(db, folders[row.owner_id])
        found[row.owner_id].append(seen | {"uri": f"{uri_of(parent)}/resources/{row.label}"})
    return found
