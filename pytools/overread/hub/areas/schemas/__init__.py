"""XSDs of datatypes, and the plugins that brought them."""

from overread.hub.areas.schemas.routes import ROUTES

__all__ = ["ROUTES"]
