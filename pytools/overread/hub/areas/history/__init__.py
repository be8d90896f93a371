"""Histories of items: who changed what, when."""

from overread.hub.areas.history.routes import ROUTES

__all__ = ["ROUTES"]
