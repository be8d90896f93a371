"""The import service: ``/data/services/import`` (xnat-rest 3.1)."""

from overread.hub.areas.importer.routes import ROUTES

__all__ = ["ROUTES"]
