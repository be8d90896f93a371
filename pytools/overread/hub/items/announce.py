"""The events that a change of an item fires, with XNAT's types and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from overread.hub import events
from overread.hub.events import Event
from overread.hub.items.folders import Owner, owner_item
from overread.hub.items.serialise import payload, project_of, uri_of
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
    uri, project = _place(db, item)
    hub.events.publish(
        db,
        Event(
            type=event_type,
            status=status,
            project=project,
            xsi_type=_xsi_type(item),
            uri=uri,
            label=_label(item),
            user=user,
            describe=lambda: payload(db, hub, item),
        ),
    )


def _place(db: Session, item: Project | Subject | Experiment | Scan | Resource) -> tuple[str, str]:
    """Return the archive URI of an item and its project."""
    if isinstance(item, Resource):
        owner = owner_item(db, Owner(item.owner_kind, item.owner_id))
        return f"{uri_of(owner)}/resources/{item.label}", project_of(db, owner)
    return uri_of(item), project_of(db, item)


def _xsi_type(item: Project | Subject | Experiment | Scan | Resource) -> str:
    if isinstance(item, Experiment | Scan):
        return item.xsi_type
    return {Project: "xnat:projectData", Subject: "xnat:subjectData", Resource: "xnat:resourceCatalog"}[type(item)]


def _label(item: Project | Subject | Experiment | Scan | Resource) -> str:
    match item:
        case Project():
            return item.name or item.id
        case Scan():
            return item.id
        case _:
            return item.label


def _event_type(hub: Hub, item: Project | Subject | Experiment | Scan | Resource) -> str | None:
    if isinstance(item, Experiment):
        return next((event for base, event in _EXPERIMENTS if hub.schemas.is_a(item.xsi_type, base)), None)
    return {Project: events.PROJECT, Subject: events.SUBJECT, Scan: events.SCAN, Resource: events.RESOURCE}[type(item)]
