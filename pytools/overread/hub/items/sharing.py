"""Lending a subject or an experiment to another project."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict
from overread.hub.items.experiments import find_experiment
from overread.hub.items.folders import owner_of
from overread.hub.items.subjects import find_subject
from overread.hub.layout import safe_name
from overread.hub.models import Experiment, Project, Share, Subject


def share(db: Session, item: Subject | Experiment, project: Project, *, label: str = "") -> None:
    """Lend `item` to `project`, there under `label` (its own one if "")."""
    owner = owner_of(item)
    known = select(Share.pk).where(Share.kind == owner.kind, Share.object_id == owner.id, Share.project == project.id)
    if item.project == project.id or db.scalar(known) is not None:
        raise conflict(f"Already assigned to project {project.id}")
    name = safe_name(label or item.label)
    find = find_subject if isinstance(item, Subject) else find_experiment
    other = find(db, project.id, name)
    if other is not None:
        raise conflict(f"Label {name} is in use in project {project.id}.")
    db.add(Share(kind=owner.kind, object_id=owner.id, project=project.id, label=name))
    db.flush()


def projects_of(db: Session, item: Subject | Experiment) -> list[tuple[str, Project]]:
    """Return the projects in which `item` is seen, with its label there, its own first."""
    owner = owner_of(item)
    own = db.get_one(Project, item.project)
    lent = db.execute(
        select(Share.label, Project)
        .join(Project, Project.id == Share.project)
        .where(Share.kind == owner.kind, Share.object_id == owner.id)
        .order_by(Share.pk)
    )
    return [(item.label, own), *((label or item.label, project) for label, project in lent)]
