"""Which items may be seen by whom may read certain projects.

A session lent to another project does not lend its assessors, and a subject not its experiments (as in XNAT): whoever
walks from one item to those that hang on it asks here.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from overread.hub.models import Experiment, Share, Subject


def visible(model: type[Experiment | Subject], readable: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that the project of a row, or one that the row is shared into, is among `readable`."""
    kind = "experiment" if model is Experiment else "subject"
    shared = select(Share.object_id).where(Share.kind == kind, Share.project.in_(readable))
    return or_(model.project.in_(readable), model.id.in_(shared))


def assessors_of(db: Session, session_id: str, readable: Collection[str] | None) -> list[Experiment]:
    """Return the assessors of a session, in the order of their IDs; `readable` None means all."""
    query = select(Experiment).where(Experiment.session_id == session_id).order_by(Experiment.id)
    if readable is not None:
        query = query.where(visible(Experiment, readable))
    return list(db.scalars(query))


def lent_to(db: Session, project: str) -> str:
    """Return the project's ID if anything of another is shared into it, else ""."""
    return project if db.scalar(select(Share.pk).where(Share.project == project).limit(1)) is not None else ""
