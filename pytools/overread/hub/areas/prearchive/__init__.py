"""Sessions that are arriving: ``/data/prearchive``, and ``/data/services/{archive,prearchive}`` (xnat-rest 3.2)."""

from __future__ import annotations

from overread.hub.areas.prearchive.routes import ROUTES
from overread.hub.arrival.completion import ArrivalService
from overread.hub.core import Hub

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub the service that archives what is whole."""
    hub.arrival = ArrivalService(hub)
    hub.services.append(hub.arrival)
