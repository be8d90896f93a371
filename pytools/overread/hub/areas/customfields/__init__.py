"""Custom fields: a free JSON object for each item."""

from overread.hub.areas.customfields.routes import ROUTES

__all__ = ["ROUTES"]
