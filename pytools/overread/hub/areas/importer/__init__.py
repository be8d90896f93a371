"""The import service: ``/data/services/import`` (xnat-rest 3.1)."""

from overread.hub.areas.importer.inbox import Inbox
from overread.hub.areas.importer.routes import ROUTES
from overread.hub.core import Hub

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its inbox."""
    hub.inbox = Inbox()
