"""Workflows: what was done to an object, and how it went."""

from overread.hub.areas.workflows.routes import ROUTES

__all__ = ["ROUTES"]
