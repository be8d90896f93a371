"""Taking items away, with all that hangs on them.

The database forgets them at once; their folders are moved out of the way within the transaction and deleted once it
is kept. Without ``remove_files`` XNAT leaves the files of an experiment where they are, and so does the hub.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict
from overread.hub.items.announce import announce
from overread.hub.items.files import Owner, folder_of, forget_resources, owner_of, remove_later
from overread.hub.models import (
    ButtonSecret,
    ConfigEntry,
    CustomFields,
    Experiment,
    Instance,
    Membership,
    Project,
    Resource,
    Scan,
    Share,
    Subject,
)

if TYPE_CHECKING:
    from overread.hub.core import Hub


def delete_scan(db: Session, hub: Hub, scan: Scan) -> None:
    """Take a scan away, and its folder."""
    folder = folder_of(db, hub, owner_of(scan))
    _forget(db, "scan", [str(scan.pk)])
    db.delete(scan)
    db.flush()
    remove_later(db, hub, folder)


def delete_experiment(db: Session, hub: Hub, experiment: Experiment, *, user: str, remove_files: bool) -> None:
    """Take an experiment away; a session with its scans and assessors."""
    announce(db, hub, experiment, "DELETED", user=user)
    folder = folder_of(db, hub, owner_of(experiment))
    scans = list(db.scalars(select(Scan.pk).where(Scan.session_id == experiment.id)))
    assessors = list(db.scalars(select(Experiment).where(Experiment.session_id == experiment.id)))
    _forget(db, "scan", [str(pk) for pk in scans])
    _forget(db, "experiment", [experiment.id, *(assessor.id for assessor in assessors)])
    db.execute(delete(Instance).where(Instance.session_id == experiment.id))
    db.execute(delete(Scan).where(Scan.session_id == experiment.id))
    for assessor in assessors:
        db.delete(assessor)
    db.flush()
    db.delete(experiment)
    db.flush()
    if remove_files:
        remove_later(db, hub, folder)


def delete_subject(db: Session, hub: Hub, subject: Subject, *, user: str, remove_files: bool) -> None:
    """Take a subject away, with its experiments.

    Raises
    ------
    HubError
        409: it has experiments in other projects, which are not its own project's to delete.
    """
    _refuse_others(db, subject)
    announce(db, hub, subject, "DELETED", user=user)
    for experiment in db.scalars(select(Experiment).where(Experiment.subject_id == subject.id)).all():
        delete_experiment(db, hub, experiment, user=user, remove_files=remove_files)
    folder = folder_of(db, hub, owner_of(subject))
    _forget(db, "subject", [subject.id])
    db.delete(subject)
    db.flush()
    if remove_files:
        remove_later(db, hub, folder)


def delete_project(db: Session, hub: Hub, project: Project, *, user: str, remove_files: bool) -> None:
    """Take a project away, with its subjects and experiments. Its ID stays taken for good, as in XNAT.

    Raises
    ------
    HubError
        409: one of its subjects has experiments in other projects.
    """
    announce(db, hub, project, "DELETED", user=user)
    for subject in db.scalars(select(Subject).where(Subject.project == project.id)).all():
        delete_subject(db, hub, subject, user=user, remove_files=remove_files)
    # What hangs on a subject or session of another project belongs to this one all the same; sessions come first.
    own = select(Experiment).where(Experiment.project == project.id).order_by(Experiment.session_id.is_not(None))
    while (experiment := db.scalar(own.limit(1))) is not None:
        delete_experiment(db, hub, experiment, user=user, remove_files=remove_files)
    _forget(db, "project", [project.id])
    db.execute(delete(Share).where(Share.project == project.id))
    db.execute(delete(Membership).where(Membership.project == project.id))
    db.execute(delete(ConfigEntry).where(ConfigEntry.project == project.id))
    db.execute(delete(ButtonSecret).where(ButtonSecret.project == project.id))
    project.deleted, project.accessibility, project.aliases = True, "private", []
    project.name = project.secondary_id = project.id
    db.flush()
    if remove_files:
        remove_later(db, hub, hub.layout.archive / project.id)


def _refuse_others(db: Session, subject: Subject) -> None:
    """Refuse to delete a subject that other projects have experiments of: its owner has no right to delete those."""
    others = select(func.count()).where(Experiment.subject_id == subject.id, Experiment.project != subject.project)
    number = db.scalar(others)
    if number:
        raise conflict(
            f"Subject {subject.label} has {number} experiment{'s' if number > 1 else ''} in other projects: make one of"
            " these the subject's own first (PUT .../projects/OTHER?primary=true), or delete them there."
        )


def _forget(db: Session, kind: str, ids: Collection[str]) -> None:
    """Take resources, shares and custom fields of owners out of the database."""
    pks = list(db.scalars(select(Resource.pk).where(Resource.owner_kind == kind, Resource.owner_id.in_(ids))))
    forget_resources(db, pks)
    db.execute(delete(Share).where(Share.kind == kind, Share.object_id.in_(ids)))
    db.execute(delete(CustomFields).where(CustomFields.owner_kind == kind, CustomFields.owner_id.in_(ids)))


def unshare(db: Session, owner: Owner, project: str) -> bool:
    """Take an object out of a project it is shared into; say whether it was."""
    share = db.scalar(
        select(Share).where(Share.kind == owner.kind, Share.object_id == owner.id, Share.project == project)
    )
    if share is None:
        return False
    db.delete(share)
    db.flush()
    return True
