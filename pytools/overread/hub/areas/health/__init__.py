"""Health, readiness and measurements."""

from overread.hub.areas.health.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.metrics import Metrics

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its measurements."""
    hub.metrics = Metrics(hub)
