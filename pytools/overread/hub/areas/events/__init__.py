"""The Event Service: ``/xapi/events`` and ``/xapi/projects/{project}/events``."""

from overread.hub.areas.events.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.eventservice.listener import listen

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Let subscriptions hear all events."""
    hub.events.listen(listen(hub))
