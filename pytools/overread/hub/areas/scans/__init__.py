"""Scans of a session: list, make, change, delete."""

from overread.hub.areas.scans.routes import ROUTES

__all__ = ["ROUTES"]
