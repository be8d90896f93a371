"""Events inside the hub, published within the transaction that causes them.

What a listener does (such as queueing a container run) is kept or forgotten together with its cause: no crash can
part them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

_PACKAGE = "org.nrg.xnat.eventservice.events."
SESSION = _PACKAGE + "SessionEvent"
SUBJECT = _PACKAGE + "SubjectEvent"
PROJECT = _PACKAGE + "ProjectEvent"
SUBJECT_ASSESSOR = _PACKAGE + "SubjectAssessorEvent"
SCAN = _PACKAGE + "ScanEvent"
IMAGE_ASSESSOR = _PACKAGE + "ImageAssessorEvent"
RESOURCE = _PACKAGE + "ResourceEvent"


@dataclass
class Event:
    """Something happened to an object.

    Parameters
    ----------
    type, status
        XNAT's event class and status (CREATED, UPDATED, MERGED, DELETED).
    project
        The object's project.
    xsi_type, uri, label
        The object; `uri` such as ``/archive/experiments/XNAT_E00001``.
    user
        Login of who caused it.
    describe
        Returns the object as the Event Service serialises it for filters. It costs some queries, and most events are
        of interest to nobody: it is asked when the first listener looks at `payload`, within the same transaction.
    """

    type: str
    status: str
    project: str
    xsi_type: str
    uri: str
    label: str
    user: str
    describe: Callable[[], dict[str, Any]] = field(default=dict, repr=False)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The object as the Event Service serialises it."""
        return self.describe()


Listener = Callable[[Session, Event], None]


class EventBus:
    """Passes events to listeners."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` at every event."""
        self._listeners.append(listener)

    def publish(self, db: Session, event: Event) -> None:
        """Tell all listeners, within the transaction of `db`.

        Who looks at an event's payload later for the first time gets an error: describing the object then would begin a
        transaction that nobody ends.
        """
        for listener in self._listeners:
            listener(db, event)
        event.describe = _too_late


def _too_late() -> dict[str, Any]:
    raise RuntimeError("An event's payload is described while listeners are told of it: look at it then, or never.")
