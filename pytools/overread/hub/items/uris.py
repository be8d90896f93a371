"""From an archive URI to the item it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from overread.hub.errors import bad_request, not_found
from overread.hub.items.experiments import find_experiment
from overread.hub.items.files import find_resource, owner_of
from overread.hub.items.projects import find_project
from overread.hub.items.scans import find_scan
from overread.hub.items.subjects import find_subject
from overread.hub.models import Experiment, Project, Resource, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Found = Project | Subject | Experiment | Scan | Resource


def resolve(db: Session, hub: Hub, uri: str) -> Found:  # noqa: ARG001 - one signature for all of the store
    """Return the item that `uri` names.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    uri
        ``/archive/experiments/E/scans/1/resources/DICOM``, ``/archive/projects/P/subjects/S/experiments/E`` and the
        like, also below ``/data`` or ``/REST``; or the bare ID of a subject or experiment.

    Raises
    ------
    HubError
        404 if there is none, 400 if it is no URI of an item. Rights are the caller's business.
    """
    parts = [part for part in uri.split("/") if part]
    while parts and parts[0] in {"data", "REST", "archive"}:
        parts = parts[1:]
    if len(parts) == 1:
        found: Found | None = db.get(Experiment, parts[0]) or db.get(Subject, parts[0]) or find_project(db, parts[0])
        return _there(found, uri)
    if not parts or len(parts) % 2:
        raise bad_request(f"{uri!r} names no item: write it as /archive/experiments/ID.")
    item: Found | None = None
    for kind, name in zip(parts[::2], parts[1::2], strict=True):
        step = _STEPS.get(kind)
        if step is None:
            raise bad_request(f"{uri!r} names no item: {kind!r} is unknown there.")
        item = _there(step(db, item, name), uri)
    return _there(item, uri)


def _there(found: Found | None, uri: str) -> Found:
    if found is None:
        raise not_found(uri)
    return found


def _project(db: Session, parent: Found | None, name: str) -> Found | None:
    return find_project(db, name) if parent is None else None


def _subject(db: Session, parent: Found | None, name: str) -> Found | None:
    if isinstance(parent, Project):
        return find_subject(db, parent.id, name)
    return db.get(Subject, name) if parent is None else None


def _experiment(db: Session, parent: Found | None, name: str) -> Found | None:
    if isinstance(parent, Project):
        return find_experiment(db, parent.id, name)
    if isinstance(parent, Subject):
        found = find_experiment(db, parent.project, name) or db.get(Experiment, name)
        return found if found is not None and found.subject_id == parent.id else None
    return db.get(Experiment, name) if parent is None else None


def _scan(db: Session, parent: Found | None, name: str) -> Found | None:
    return find_scan(db, parent.id, name) if isinstance(parent, Experiment) else None


def _assessor(db: Session, parent: Found | None, name: str) -> Found | None:
    if not isinstance(parent, Experiment):
        return None
    return find_assessor(db, parent.id, name)


def find_assessor(db: Session, session_id: str, id_or_label: str) -> Experiment | None:
    """Return the assessor of a session with this ID, else with this label."""
    named = or_(Experiment.id == id_or_label, Experiment.label == id_or_label)
    found = db.scalars(select(Experiment).where(Experiment.session_id == session_id, named)).all()
    return next((one for one in found if one.id == id_or_label), found[0] if found else None)


def _resource(db: Session, parent: Found | None, name: str) -> Found | None:
    if parent is None or isinstance(parent, Resource):
        return None
    return find_resource(db, owner_of(parent), name)


_STEPS: dict[str, Callable[[Session, Found | None, str], Found | None]] = {
    "projects": _project,
    "subjects": _subject,
    "experiments": _experiment,
    "scans": _scan,
    "assessors": _assessor,
    "resources": _resource,
}
