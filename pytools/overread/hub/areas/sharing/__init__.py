"""Sharing subjects and experiments into further projects."""

from overread.hub.areas.sharing.routes import ROUTES

__all__ = ["ROUTES"]
