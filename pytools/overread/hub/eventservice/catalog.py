"""The events that exist and what can be done about them, as the Event Service describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub import events
from overread.hub.models import Command
from overread.hub.runs.documents import is_enabled

CONTAINER_PROVIDER = "org.nrg.containers.services.CommandActionProvider"
_LOGGING = "org.nrg.xnat.eventservice.actions.EventServiceLoggingAction"
LOGGING_ACTION = f"{_LOGGING}:{_LOGGING}"


@dataclass(frozen=True)
class EventType:
    """One kind of event."""

    type: str
    statuses: tuple[str, ...]
    payload: str
    title: str

    def describe(self) -> dict[str, Any]:
        """Return the description that XNAT gives."""
        return {
            "type": self.type,
            "statuses": list(self.statuses),
            "listener": self.type + "Listener",
            "display-name": f"{self.title} Event",
            "description": f"{self.title} {', '.join(word.lower() for word in self.statuses)}.",
            "payload": self.payload,
            "is-xsi-type": True,
            "filter-nodes": {},
            "event-properties": [{"name": name, "replacement-key": f"#{name}#"} for name in PROPERTIES],
            "event-scope": ["SITE", "PROJECT"],
        }


PROPERTIES = ("id", "label", "uri", "xsiType", "project-id")
"""Properties of an event's object that attributes may hold as ``#name#``."""

EVENT_TYPES = {
    known.type: known
    for known in (
        EventType(events.PROJECT, ("CREATED", "DELETED"), "xnat:projectData", "Project"),
        EventType(events.SUBJECT, ("CREATED", "DELETED"), "xnat:subjectData", "Subject"),
        EventType(events.SESSION, ("CREATED", "MERGED", "DELETED"), "xnat:imageSessionData", "Session"),
        EventType(events.SUBJECT_ASSESSOR, ("CREATED", "DELETED"), "xnat:subjectAssessorData", "Subject Assessor"),
        EventType(events.SCAN, ("CREATED",), "xnat:imageScanData", "Scan"),
        EventType(events.IMAGE_ASSESSOR, ("CREATED", "UPDATED"), "xnat:imageAssessorData", "Image Assessor"),
        EventType(events.RESOURCE, ("CREATED", "UPDATED"), "xnat:resourceCatalog", "Resource"),
    )
}


def container_action(wrapper_id: int) -> str:
    """Return the action key of a wrapper."""
    return f"{CONTAINER_PROVIDER}:{wrapper_id}"


def wrapper_of(action_key: str) -> int | None:
    """Return the wrapper id that a container action's key names, None for other keys."""
    provider, _, number = action_key.partition(":")
    return int(number) if provider == CONTAINER_PROVIDER and number.isdecimal() and len(number) < 10 else None  # noqa: PLR2004


def actions(db: Session, project: str | None) -> list[dict[str, Any]]:
    """Return what can be done: wrappers that are enabled (for the site, and in `project` if given), and logging."""
    found = [_action(LOGGING_ACTION, "Logging Action", "Write a line to the hub's log.", _LOGGING, {})]
    for command in db.scalars(select(Command).order_by(Command.id)):
        for wrapper in command.document["xnat"]:
            here = project is None or is_enabled(db, wrapper["id"], project)
            if here and is_enabled(db, wrapper["id"], ""):
                title = wrapper.get("label") or wrapper["name"]
                about = wrapper.get("description") or command.document.get("description") or ""
                key = container_action(wrapper["id"])
                found.append(_action(key, title, about, CONTAINER_PROVIDER, _attributes(command.document, wrapper)))
    return found


def _attributes(command: dict[str, Any], wrapper: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs that a subscription may set: all but the object that the event brings."""
    inputs = [*wrapper["external-inputs"][1:], *command["inputs"]]
    return {
        given["name"]: {
            "description": given.get("description") or "",
            "type": given["type"],
            "default-value": given.get("default-value"),
            "required": given["required"],
            "user-settable": given.get("user-settable", True),
        }
        for given in inputs
    }


def _action(key: str, title: str, about: str, provider: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key.rsplit(":", 1)[-1],
        "action-key": key,
        "display-name": title,
        "description": about,
        "provider": provider,
        "attributes": attributes,
    }
