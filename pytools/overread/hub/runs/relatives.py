"""Which objects an input can be derived from which, and how to find them: the Container Service's own table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.items.folders import Owner, owner_item, owner_of
from overread.hub.models import Experiment, Project, Resource, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Item = Project | Subject | Experiment | Scan | Resource

SESSION = "xnat:imageSessionData"
ASSESSOR = "xnat:imageAssessorData"

_MODELS: Mapping[str, type[Item]] = {"Project": Project, "Subject": Subject, "Scan": Scan, "Resource": Resource}


def is_of_type(hub: Hub, kind: str, item: Item) -> bool:
    """Whether `item` can be the value of an input of type `kind`."""
    if isinstance(item, Experiment):
        session, assessor = (hub.schemas.is_a(item.xsi_type, base) for base in (SESSION, ASSESSOR))
        return {"Session": session, "Assessor": assessor, "SubjectAssessor": not assessor}.get(kind, False)
    return kind in _MODELS and isinstance(item, _MODELS[kind])


def owner(db: Session, resource: Resource) -> Project | Subject | Experiment | Scan:
    """Return what a resource belongs to."""
    return owner_item(db, Owner(resource.owner_kind, resource.owner_id))


def find(db: Session, hub: Hub, kind: str, parent: Item) -> list[Item]:
    """Return the objects of type `kind` that can be derived from `parent`: children or parents, none if neither."""
    finder = _FINDERS.get(kind)
    return [item for item in finder(db, parent) if is_of_type(hub, kind, item)] if finder is not None else []


def _projects(db: Session, parent: Item) -> Iterable[Item]:
    if isinstance(parent, Resource):
        return []
    if isinstance(parent, Scan):
        parent = db.get_one(Experiment, parent.session_id)
    return [parent if isinstance(parent, Project) else db.get_one(Project, parent.project)]


def _subjects(db: Session, parent: Item) -> Iterable[Item]:
    if isinstance(parent, Project):
        return db.scalars(select(Subject).where(Subject.project == parent.id).order_by(Subject.id))
    if isinstance(parent, Experiment) and parent.subject_id is not None:
        return [db.get_one(Subject, parent.subject_id)]
    return []


def _experiments(db: Session, parent: Item) -> Iterable[Item]:
    if isinstance(parent, Subject):
        return db.scalars(select(Experiment).where(Experiment.subject_id == parent.id).order_by(Experiment.id))
    if isinstance(parent, Scan | Experiment) and parent.session_id is not None:
        return [db.get_one(Experiment, parent.session_id)]
    return []


def _assessors(db: Session, parent: Item) -> Iterable[Item]:
    if not isinstance(parent, Experiment):
        return []
    return db.scalars(select(Experiment).where(Experiment.session_id == parent.id).order_by(Experiment.id))


def _scans(db: Session, parent: Item) -> Iterable[Item]:
    if isinstance(parent, Resource):
        return [owner(db, parent)]
    if not isinstance(parent, Experiment):
        return []
    return db.scalars(select(Scan).where(Scan.session_id == parent.id).order_by(Scan.pk))


def _resources(db: Session, parent: Item) -> Iterable[Item]:
    if isinstance(parent, Resource):
        return []
    whose = owner_of(parent)
    return db.scalars(
        select(Resource).where(Resource.owner_kind == whose.kind, Resource.owner_id == whose.id).order_by(Resource.pk)
    )


_FINDERS: Mapping[str, Callable[[Session, Item], Iterable[Item]]] = {
    "Project": _projects,
    "Subject": _subjects,
    "Session": _experiments,
    "SubjectAssessor": _experiments,
    "Assessor": _assessors,
    "Scan": _scans,
    "Resource": _resources,
}
