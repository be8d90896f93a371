"""From the prearchive into the archive, in one transaction: subject, session, scans, files, ledger, event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival import conflicts, prearchive
from overread.hub.arrival.anonymising import AnonymisationError, anonymise
from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.arrival.conflicts import Notice
from overread.hub.arrival.describe import session_fields, session_modality, session_type
from overread.hub.arrival.filing import ArrivedSeries, Filing, series_of
from overread.hub.database import undo
from overread.hub.errors import HubError, bad_request, conflict
from overread.hub.items.announce import announce
from overread.hub.items.experiments import NewExperiment, find_experiment, save_experiment
from overread.hub.items.subjects import ensure_subject
from overread.hub.layout import clean_label
from overread.hub.models import Experiment, PrearchiveSession, ReceivedObject

if TYPE_CHECKING:
    from overread.hub.core import Hub

Overwrite = Literal["none", "append", "delete"]


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """How a session is to be archived.

    Parameters
    ----------
    user
        Login of who archives.
    overwrite
        What to do with a session of that label: ``none`` refuses, ``append`` adds what it lacks, ``delete`` also puts
        objects in the place of those with the same UID.
    project, subject, label
        Where to; "" leaves it as it was assigned.
    same_study
        Whether a session of the same study under another label counts as the one to append to: late images of a
        session that was renamed.
    reason
        Why now, in words.
    """

    user: str
    overwrite: Overwrite = "none"
    project: str = ""
    subject: str = ""
    label: str = ""
    same_study: bool = False
    reason: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a session is to go."""

    project: str
    subject: str
    label: str

    @classmethod
    def of(cls, session: PrearchiveSession, request: ArchiveRequest) -> _Place:
        return cls(
            request.project or session.project,
            clean_label(request.subject) or session.subject,
            clean_label(request.label) or session.name,
        )


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
        409: something else stands in its place, the session is a CONFLICT afterwards; 500: a script could not
        anonymise it, it is an ERROR afterwards; 403: something else is done with it; 400: it does not say where it
        belongs. Either way it stays where it is.
    """
    if prearchive.is_locked(session):
        raise HubError(403, "Operation already in progress on this prearchive entry.")
    try:
        return _archive(db, hub, session, request)
    except AnonymisationError as problem:
        _mark_later(db, hub, session, prearchive.ERROR, str(problem))
        raise HubError(500, f"The session was not archived. {problem}") from problem
    except HubError as problem:
        if problem.status == 409:  # noqa: PLR2004 - conflict
            _mark_later(db, hub, session, prearchive.CONFLICT, problem.reason)
        raise


def _mark_later(db: Session, hub: Hub, session: PrearchiveSession, status: str, reason: str) -> None:
    """Let a session say why it could not be archived, once what was tried is forgotten."""
    pk = session.pk
    undo(db, lambda: prearchive.mark(hub, pk, status, reason))


def validate(db: Session, hub: Hub, session: PrearchiveSession, request: ArchiveRequest) -> list[Notice]:
    """Return what stands against archiving a session, without doing anything."""
    place = _Place.of(session, request)
    lines = prearchive.objects_of(db, session)
    target = _target(db, place, request, session.study_instance_uid)
    found = list(conflicts.place(db, project=place.project, subject=place.subject, is_new=target is None))
    if target is not None:
        study = session.study_instance_uid
        found += conflicts.existing_session(db, hub, target, project=place.project, study=study, subject=place.subject)
        numbers = {line.series_instance_uid: str(line.header.get("SeriesNumber") or "") for line in lines}
        found += conflicts.scans(db, target, numbers)
    if not lines:
        found.append(Notice(13, "FAIL", "The session has no objects: there is nothing to archive."))
    return sorted(found, key=lambda notice: notice.code)


def _archive(db: Session, hub: Hub, session: PrearchiveSession, request: ArchiveRequest) -> Experiment:
    place = _Place.of(session, request)
    if place.project == UNASSIGNED:
        raise bad_request("The session belongs to no project: move it into one first, or name one.")
    lines = prearchive.objects_of(db, session)
    if not lines:
        raise conflict("The session has no objects: there is nothing to archive.")
    labels = {"project": place.project, "subject": place.subject, "session": place.label}
    anonymise(db, hub, session, lines, labels=labels)
    target, status = _place_for(db, hub, place, request, lines)
    filing = Filing(db, hub, target, user=request.user, replaces=request.overwrite == "delete")
    added = sum(filing.file(one) for one in series_of(hub, lines))
    session.status, session.session_id, session.reason = prearchive.ARCHIVED, target.id, request.reason
    prearchive.remove_folder_later(db, hub, session)
    db.flush()
    if added or status == "CREATED":
        announce(db, hub, target, status, user=request.user)
    return target


def _place_for(
    db: Session, hub: Hub, place: _Place, request: ArchiveRequest, lines: Sequence[ReceivedObject]
) -> tuple[Experiment, Literal["CREATED", "MERGED"]]:
    """Return the session that takes the objects, a new one if need be."""
    study = lines[0].study_instance_uid
    target = _target(db, place, request, study)
    if target is None:
        return _make_session(db, hub, place, series_of(hub, lines), user=request.user), "CREATED"
    for notice in conflicts.existing_session(
        db, hub, target, project=place.project, study=study, subject=place.subject
    ):
        if notice.type == "FAIL" or request.overwrite == "none":
            raise conflict(notice.message)
    return target, "MERGED"


def _target(db: Session, place: _Place, request: ArchiveRequest, study: str) -> Experiment | None:
    target = find_experiment(db, place.project, place.label)
    if target is None and request.same_study:
        target = session_of_study(db, place.project, study)
    return target


def session_of_study(db: Session, project: str, study_instance_uid: str) -> Experiment | None:
    """Return the session of a study in a project's archive, None if there is none or more than one."""
    query = select(Experiment).where(
        Experiment.project == project, Experiment.uid == study_instance_uid, Experiment.session_id.is_(None)
    )
    found = db.scalars(query).all()
    return found[0] if len(found) == 1 else None


def _make_session(db: Session, hub: Hub, place: _Place, series: Sequence[ArrivedSeries], *, user: str) -> Experiment:
    if not place.subject:
        raise bad_request("The objects do not say whose they are (no subject): archive the session with a subject.")
    subject = ensure_subject(db, hub, project=place.project, label=place.subject, user=user)
    modalities = [one.modality for one in series if one.is_image] or [one.modality for one in series]
    xsi_type = session_type(hub.schemas, modalities)
    fields = session_fields(hub.schemas, xsi_type, series[0].dataset, modality=session_modality(modalities))
    new = NewExperiment(xsi_type, place.project, place.label, subject_id=subject.id, fields=fields)
    return save_experiment(db, hub, new, user=user, notify=False)[0]
