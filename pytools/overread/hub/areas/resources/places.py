"""Whose resources a path means. A scan segment may name several scans: ``1,2``, ``ALL``, ``*``, or a scan type."""

from __future__ import annotations

from sqlalchemy import select

from overread.hub.access import Right
from overread.hub.errors import not_found
from overread.hub.http import Call
from overread.hub.items.files import find_resource, owner_of
from overread.hub.items.listing import Item
from overread.hub.models import Resource, Scan
from overread.hub.rest.locate import experiment_of, item_of

PLACES = (
    "/data/projects/{project}",
    "/data/subjects/{subject}",
    "/data/projects/{project}/subjects/{subject}",
    "/data/experiments/{experiment}",
    "/data/projects/{project}/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
    "/data/experiments/{experiment}/scans/{scan}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/scans/{scan}",
    "/data/experiments/{experiment}/assessors/{assessor}",
    "/data/experiments/{experiment}/assessors/{assessor}/out",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/assessors/{assessor}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/assessors/{assessor}/out",
)
"""Objects that have ``/resources`` and ``/files``. (Of an assessor, XNAT's ``out`` is the same store here.)"""


def items_of(call: Call) -> list[Item]:
    """Return the items that the path means, one unless its scan segment names several."""
    if "scan" not in call.params or not _is_selection(call.params["scan"]):
        return [item_of(call)]
    session = experiment_of(call)
    scans = call.db.scalars(select(Scan).where(Scan.session_id == session.id).order_by(Scan.pk)).all()
    wanted = set(call.params["scan"].split(","))
    if wanted & {"ALL", "*"}:
        return list(scans)
    chosen: list[Item] = [scan for scan in scans if scan.id in wanted or scan.type in wanted]
    if not chosen:
        raise not_found(f"scans {call.params['scan']}")
    return chosen


def _is_selection(segment: str) -> bool:
    return segment in {"ALL", "*"} or "," in segment


def resource_of(call: Call, right: Right = Right.READ) -> Resource:
    """Return the resource of the path, by its label or number."""
    item = item_of(call, right)
    resource = find_resource(call.db, owner_of(item), call.params["resource"])
    if resource is None:
        raise not_found(f"resource {call.params['resource']}")
    return resource
