"""Catalogs of resources: kept on disk beside the files, and refreshed from what lies there."""

from overread.hub.areas.catalogs.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.items.catalogs import CatalogWriter

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its writer of catalogs."""
    hub.catalogs = CatalogWriter(hub)
    hub.services.append(hub.catalogs)
