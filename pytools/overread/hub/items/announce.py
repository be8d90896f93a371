"""The events that a change of an item fires, with XNAT's types and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from overread.hub import events
from overread.hub.events import Event
from overread.hub.items.serialise import payload
from overread.hub.models import Experiment, Project, Resource, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

_EXPERIMENTS = (
    ("xnat:imageSessionData", events.SESSION),
    ("xnat:imageAssessorData", events.IMAGE_ASSESSOR),
    ("xnat:subjectAssessorData", events.SUBJECT_ASSESSOR),
)


def announce(
    db: Session, hub: Hub, item: Project | Subject | Experiment | Scan | Resource, status: str, *, user: str
) -> None:
    """Publish that something happened to `item`, within the transaction of `db`.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    item
        The item as it is now.
    status
        XNAT's status: CREATED, UPDATED, MERGED or DELETED.
    user
        Login of who caused it.
    """
    event_type = _event_type(hub, item)
    if event_type is None:
        return
    seen = payload(db, hub, item)
    hub.events.publish(
        db,
        Event(
            type=event_type,
            status=status,
            project=seen["project-id"],
            xsi_type=seen["xsiType"],
            uri=seen["uri"],
            label=seen["label"],
            user=user,
            payload=seen,
        ),
    )


def _event_type(hub: Hub, item: Project | Subject | Experiment | Scan | Resource) -> str | None:
    if isinstance(item, Experiment):
        return next((event for base, event in _EXPERIMENTS if hub.schemas.is_a(item.xsi_type, base)), None)
    return {Project: events.PROJECT, Subject: events.SUBJECT, Scan: events.SCAN, Resource: events.RESOURCE}[type(item)]
