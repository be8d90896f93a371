"""Image assessors of a session: list, make, change, delete."""

from overread.hub.areas.assessors.routes import ROUTES

__all__ = ["ROUTES"]
