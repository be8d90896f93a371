"""From the prearchive into the archive, in one transaction: subject, session, scans, files, ledger, event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.arrival.describe import session_fields, session_modality, session_type
from overread.hub.arrival.filing import ArrivedSeries, Filing, series_of
from overread.hub.errors import bad_request, conflict
from overread.hub.items.announce import announce
from overread.hub.items.experiments import SESSION_BASE, NewExperiment, find_experiment, save_experiment
from overread.hub.items.subjects import ensure_subject
from overread.hub.layout import clean_label
from overread.hub.models import Experiment, PrearchiveSession, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """How a session is to be archived.

    Parameters
    ----------
    user
        Login of who archives.
    overwrite
        What to do with a session of that label: ``none`` refuses, ``append`` adds what it lacks.
    project, subject, label
        Where to; "" leaves it as it was assigned.
    same_study
        Whether a session of the same study under another label counts as the one to append to: late images of a
        session that was renamed.
    reason
        Why now, in words.
    """

    user: str
    overwrite: Literal["none", "append"] = "none"
    project: str = ""
    subject: str = ""
    label: str = ""
    same_study: bool = False
    reason: str = ""


def archive_session(db: Session, hub: Hub, session: PrearchiveSession, request: ArchiveRequest) -> Experiment:
    """Archive a session of the prearchive, within the transaction of `db`.

    Returns
    -------
    Experiment
        The session in the archive. It has fired SessionEvent CREATED, or MERGED if it was there before and something
        was added to it.

    Raises
    ------
    HubError
        409: something else stands in its place; 400: it does not say where it belongs.
    """
    project = request.project or session.project
    if project == UNASSIGNED:
        raise bad_request("The session belongs to no project: move it into one first, or name one.")
    series = series_of(hub, prearchive.objects_of(db, session))
    if not series:
        raise conflict("The session has no objects: there is nothing to archive.")
    label = clean_label(request.label) or session.name
    subject = clean_label(request.subject) or session.subject
    target = find_experiment(db, project, label)
    if target is None and request.same_study:
        target = session_of_study(db, project, session.study_instance_uid)
    if target is None:
        status = "CREATED"
        target = _make_session(db, hub, NewExperiment("", project, label), subject, series=series, user=request.user)
    else:
        status = "MERGED"
        if request.overwrite == "none":
            raise conflict("Session already exists, retry with overwrite enabled")
        _check_mergeable(db, hub, target, session, subject=subject)
    filing = Filing(db, hub, target, user=request.user)
    added = sum(filing.file(one) for one in series)
    session.status, session.session_id, session.reason = prearchive.ARCHIVED, target.id, request.reason
    prearchive.remove_folder_later(db, hub, session)
    db.flush()
    if added or status == "CREATED":
        announce(db, hub, target, status, user=request.user)
    return target


def session_of_study(db: Session, project: str, study_instance_uid: str) -> Experiment | None:
    """Return the session of a study in a project's archive, None if there is none or more than one."""
    query = select(Experiment).where(
        Experiment.project == project, Experiment.uid == study_instance_uid, Experiment.session_id.is_(None)
    )
    found = db.scalars(query).all()
    return found[0] if len(found) == 1 else None


def _check_mergeable(db: Session, hub: Hub, target: Experiment, session: PrearchiveSession, *, subject: str) -> None:
    if not hub.schemas.is_a(target.xsi_type, SESSION_BASE):
        raise conflict(f"Label {target.label} is in use for {target.id}, which is no image session: take another.")
    if target.uid and target.uid != session.study_instance_uid:
        raise conflict(f"Session {target.label} is of another study, {target.uid}: take another label.")
    owner = db.get(Subject, target.subject_id)
    if subject and owner is not None and subject not in {owner.label, owner.id}:
        raise conflict(f"Session {target.label} belongs to another subject: correct the subject first.")


def _make_session(
    db: Session, hub: Hub, place: NewExperiment, subject_label: str, *, series: Sequence[ArrivedSeries], user: str
) -> Experiment:
    if not subject_label:
        raise bad_request("The objects do not say whose they are (no subject): archive the session with a subject.")
    subject = ensure_subject(db, hub, project=place.project, label=subject_label, user=user)
    modalities = [one.modality for one in series if one.is_image] or [one.modality for one in series]
    xsi_type = session_type(hub.schemas, modalities)
    fields = session_fields(hub.schemas, xsi_type, series[0].dataset, modality=session_modality(modalities))
    new = NewExperiment(xsi_type, place.project, place.label, subject_id=subject.id, fields=fields)
    return save_experiment(db, hub, new, user=user, notify=False)[0]
