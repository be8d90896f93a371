"""Subjects: list, make, change, rename, delete."""

from overread.hub.areas.subjects.routes import ROUTES

__all__ = ["ROUTES"]
