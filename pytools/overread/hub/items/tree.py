"""An item with everything that hangs on it (scans, assessors, files, shares), read in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.hub.items.fields import values_of
from overread.hub.items.folders import Owner, owner_of, resource_folder
from overread.hub.items.visibility import assessors_of
from overread.hub.models import Experiment, Project, Resource, ResourceFile, Scan, Share, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Item = Project | Subject | Experiment | Scan


@dataclass(frozen=True)
class Related:
    """One item below another: its datatype, values by path, repeated elements, and what hangs on it in turn."""

    xsi_type: str
    values: Mapping[str, Any]
    children: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    related: Mapping[str, Sequence[Related]] = field(default_factory=dict)


def identity(item: Item) -> tuple[str, dict[str, Any]]:
    """Return an item's datatype, and the values that say which item it is and where it hangs."""
    match item:
        case Project():
            return "xnat:projectData", {"ID": item.id}
        case Subject():
            return "xnat:subjectData", {"ID": item.id, "project": item.project, "label": item.label}
        case Scan():
            return item.xsi_type, {"ID": item.id, "image_session_ID": item.session_id}
        case _:
            values = {"ID": item.id, "project": item.project, "label": item.label}
            place = {"subject_ID": item.subject_id, "imageSession_ID": item.session_id}
            return item.xsi_type, values | {name: value for name, value in place.items() if value is not None}


def whole_item(db: Session, hub: Hub, item: Item, *, readable: Collection[str] | None = None) -> Related:
    """Return `item` with its values and what hangs on it.

    Parameters
    ----------
    db, hub, item
        Transaction, hub and the item.
    readable
        IDs of the projects that the asker may read; None means all.
    """
    xsi_type, values = identity(item)
    children = dict(item.children or {})
    if isinstance(item, Project) and item.aliases:
        children["aliases/alias"] = [{"alias": alias} for alias in item.aliases]
    if isinstance(item, Scan):
        values["xnat_imagescandata_id"] = item.pk
    return Related(xsi_type, {**values, **values_of(item)}, children, _related_of(db, hub, item, readable))


def _related_of(db: Session, hub: Hub, item: Item, readable: Collection[str] | None) -> dict[str, list[Related]]:
    """Return what hangs on `item`, by the path at which its document has it."""
    match item:
        case Scan():
            return {"file": _resources(db, hub, [owner_of(item)])[str(item.pk)]}
        case Experiment() if item.session_id is not None:
            files = _resources(db, hub, [owner_of(item)])[item.id]
            return {"out/file": files, "sharing/share": _shares(db, item)}
        case Experiment():
            return _related_of_session(db, hub, item, readable)
        case Subject():
            files = _resources(db, hub, [owner_of(item)])[item.id]
            return {"resources/resource": files, "sharing/share": _shares(db, item)}
        case _:
            return {"resources/resource": _resources(db, hub, [owner_of(item)])[item.id]}


def _related_of_session(
    db: Session, hub: Hub, item: Experiment, readable: Collection[str] | None
) -> dict[str, list[Related]]:
    scans = list(db.scalars(select(Scan).where(Scan.session_id == item.id).order_by(Scan.pk)))
    assessors = assessors_of(db, item.id, readable)
    of_scans = _resources(db, hub, [owner_of(scan) for scan in scans])
    of_experiments = _resources(db, hub, [owner_of(item), *map(owner_of, assessors)])
    return {
        "scans/scan": [_related(scan, {"file": of_scans[str(scan.pk)]}) for scan in scans],
        "assessors/assessor": [_related(one, {"out/file": of_experiments[one.id]}) for one in assessors],
        "resources/resource": of_experiments[item.id],
        "sharing/share": _shares(db, item),
    }


def _related(item: Scan | Experiment, related: Mapping[str, list[Related]]) -> Related:
    xsi_type, values = identity(item)
    if isinstance(item, Scan):
        values["xnat_imagescandata_id"] = item.pk
    return Related(xsi_type, {**values, **values_of(item)}, item.children or {}, related)


def _shares(db: Session, item: Subject | Experiment) -> list[Related]:
    kind = owner_of(item).kind
    rows = db.scalars(select(Share).where(Share.kind == kind, Share.object_id == item.id).order_by(Share.pk))
    return [Related(f"xnat:{kind}Data_share", {"project": row.project, "label": row.label}) for row in rows]


def _resources(db: Session, hub: Hub, owners: Iterable[Owner]) -> dict[str, list[Related]]:
    owners = list(owners)
    found: dict[str, list[Related]] = defaultdict(list)
    if not owners:
        return found
    rows = db.execute(
        select(Resource, func.count(ResourceFile.pk), func.coalesce(func.sum(ResourceFile.size), 0))
        .outerjoin(ResourceFile, ResourceFile.resource_pk == Resource.pk)
        .where(Resource.owner_kind == owners[0].kind, Resource.owner_id.in_([owner.id for owner in owners]))
        .group_by(Resource.pk)
        .order_by(Resource.pk)
    )
    for resource, count, size in rows:
        folder = resource_folder(db, hub, resource)
        values = {
            "xnat_abstractresource_id": resource.pk,
            "label": resource.label,
            "format": resource.format,
            "content": resource.content,
            "description": resource.description,
            "file_count": count,
            "file_size": size,
            "URI": f"/data/xnat/{folder.relative_to(hub.layout.home)}/{resource.label}_catalog.xml",
        }
        found[resource.owner_id].append(Related("xnat:resourceCatalog", values))
    return found
