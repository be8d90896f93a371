"""Subjects and experiments go to another project, or get another label: rows, files and the ledger together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict
from overread.hub.items.deletion import unshare
from overread.hub.items.experiments import find_experiment
from overread.hub.items.files import folder_of, move_folder, owner_of
from overread.hub.items.ledger import follow_folder
from overread.hub.items.sharing import share
from overread.hub.items.subjects import find_subject
from overread.hub.layout import safe_name
from overread.hub.models import Experiment, Project, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub


def move_experiment(
    db: Session,
    hub: Hub,
    experiment: Experiment,
    project: Project,
    *,
    label: str = "",
    assessors: Collection[str] | None = None,
) -> None:
    """Make `project` the one to which an experiment belongs.

    A session takes its scans and files along, and its assessors: those named by ID or label, or all. The subject is
    lent to `project` if it is not seen there yet. Where the experiment was lent to `project`, it no longer is.

    Parameters
    ----------
    label
        Its label there; "" keeps it, or takes the one under which it was lent.

    Raises
    ------
    HubError
        409: it belongs there already, or a label is in use.
    """
    if experiment.project == project.id:
        raise conflict(f"Already assigned to project: {project.id}")
    owner = owner_of(experiment)
    label = safe_name(label or experiment.label)
    unshare(db, owner, project.id)
    _check_free(find_experiment(db, project.id, label), label, project)
    before = folder_of(db, hub, owner)
    origin = experiment.project
    following = _following(db, experiment, origin, assessors)
    for one in following:
        _check_free(find_experiment(db, project.id, one.label), one.label, project)
    experiment.project, experiment.label = project.id, label
    for one in following:
        unshare(db, owner_of(one), project.id)
        one.project = project.id
    if experiment.session_id is None and experiment.subject_id:
        _show_subject(db, db.get_one(Subject, experiment.subject_id), project)
    db.flush()
    after = folder_of(db, hub, owner)
    if before != after:  # an assessor lies with its session
        move_folder(db, hub, before, after)
        follow_folder(db, hub, experiment.id, before, after)


def move_subject(db: Session, hub: Hub, subject: Subject, project: Project, *, label: str = "") -> None:
    """Make `project` the one to which a subject belongs. Its experiments stay where they are.

    The project that it leaves goes on seeing it as long as it has experiments of it.

    Raises
    ------
    HubError
        409: it belongs there already, or the label is in use.
    """
    if subject.project == project.id:
        raise conflict(f"Already assigned to project: {project.id}")
    owner = owner_of(subject)
    label = safe_name(label or subject.label)
    unshare(db, owner, project.id)
    other = find_subject(db, project.id, label)
    if other is not None:
        raise conflict(f"Label already in use: {label}")
    before, origin, former = folder_of(db, hub, owner), db.get_one(Project, subject.project), subject.label
    subject.project, subject.label = project.id, label
    db.flush()
    left = select(Experiment.id).where(Experiment.subject_id == subject.id, Experiment.project == origin.id).limit(1)
    if db.scalar(left) is not None:
        share(db, subject, origin, label=former)
    move_folder(db, hub, before, folder_of(db, hub, owner))


def _following(db: Session, experiment: Experiment, origin: str, assessors: Collection[str] | None) -> list[Experiment]:
    query = select(Experiment).where(Experiment.session_id == experiment.id, Experiment.project == origin)
    found = db.scalars(query).all()
    return [one for one in found if assessors is None or {one.id, one.label} & set(assessors)]


def _check_free(other: Experiment | None, label: str, project: Project) -> None:
    if other is not None:
        raise conflict(f"Specified label is already in use: {label} is {other.id} in project {project.id}.")


def _show_subject(db: Session, subject: Subject, project: Project) -> None:
    if subject.project == project.id or find_subject(db, project.id, subject.id) is not None:
        return
    if find_subject(db, project.id, subject.label) is not None:
        raise conflict(
            f"Project {project.id} has another subject {subject.label}: share the subject first, under a free label."
        )
    share(db, subject, project)
