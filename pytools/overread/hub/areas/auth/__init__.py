"""Logging in and out: ``/data/services/auth``, ``/data/JSESSION``, ``/data/auth``."""

from overread.hub.areas.auth.routes import ROUTES

__all__ = ["ROUTES"]
