"""Custom forms: Form.io forms, and where they apply."""

from overread.hub.areas.customforms.routes import ROUTES

__all__ = ["ROUTES"]
