"""Searching: which datatypes and fields there are, and queries over them."""

from overread.hub.areas.search.routes import ROUTES

__all__ = ["ROUTES"]
