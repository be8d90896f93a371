"""Subjects: finding and saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict, unprocessable
from overread.hub.items.announce import announce
from overread.hub.items.fields import apply_children, apply_fields, clean_children, clean_fields
from overread.hub.items.files import move_folder
from overread.hub.items.ids import new_subject_id
from overread.hub.layout import safe_name
from overread.hub.models import Project, Share, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

SUBJECT_TYPE = "xnat:subjectData"


def find_subject(db: Session, project: str, label_or_id: str) -> Subject | None:
    """Return the subject of `project` (or shared into it) with this label, else with this ID."""
    own = db.scalar(select(Subject).where(Subject.project == project, Subject.label == label_or_id))
    if own is not None:
        return own
    shared = select(Share.object_id).where(
        Share.kind == "subject", Share.project == project, Share.label == label_or_id
    )
    found = db.scalar(select(Subject).where(Subject.id.in_(shared)))
    if found is not None:
        return found
    by_id = db.get(Subject, label_or_id)
    if by_id is None:
        return None
    if by_id.project == project:
        return by_id
    lent = select(Share.pk).where(Share.kind == "subject", Share.project == project, Share.object_id == by_id.id)
    return by_id if db.scalar(lent) is not None else None


def ensure_subject(db: Session, hub: Hub, *, project: str, label: str, user: str) -> Subject:
    """Return the subject `label` of `project`, made now if it is not there."""
    return find_subject(db, project, label) or save_subject(db, hub, project=project, label=label, user=user)[0]


def save_subject(
    db: Session,
    hub: Hub,
    *,
    project: str,
    label: str,
    user: str,
    fields: Mapping[str, object] | None = None,
    children: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
    replace: bool = False,
) -> tuple[Subject, bool]:
    """Make the subject `label` of `project`, or lay the values over what is there.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    project, label
        Which subject.
    user
        Login of who saves.
    fields, children
        Values by path below ``xnat:subjectData``.
    replace
        Whether values that are not named are cleared.

    Returns
    -------
    tuple of Subject and bool
        The subject, and whether it is new.
    """
    kind = hub.schemas.known(SUBJECT_TYPE)
    values = clean_fields(kind, fields or {})
    repeated = clean_children(hub.schemas, kind, children or {})
    subject = find_subject(db, project, label)
    created = subject is None
    if subject is None:
        if db.get(Project, project) is None:
            raise unprocessable(f"Unable to identify project {project}")
        subject = Subject(id=new_subject_id(db, hub), project=project, label=safe_name(label), insert_user=user)
        subject.fields, subject.children = {}, {}
        db.add(subject)
    elif subject.project != project:
        raise conflict(f"Subject {subject.id} belongs to project {subject.project}: change it there.")
    apply_fields(subject, values, replace=replace)
    apply_children(subject, repeated, replace=replace)
    db.flush()
    if created:
        announce(db, hub, subject, "CREATED", user=user)
    return subject, created


def rename_subject(db: Session, hub: Hub, subject: Subject, label: str) -> None:
    """Give a subject another label and move its files."""
    if label == subject.label:
        return
    other = find_subject(db, subject.project, safe_name(label))
    if other is not None:
        raise conflict(f"Label {label} is in use for {other.id}.")
    before = hub.layout.subject(subject.project, subject.label)
    subject.label = label
    db.flush()
    move_folder(db, hub, before, hub.layout.subject(subject.project, label))
