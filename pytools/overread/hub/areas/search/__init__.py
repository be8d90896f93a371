"""Searching: which datatypes and fields there are, and queries over them."""

from overread.hub.areas.search import routes, saved

ROUTES = [*routes.ROUTES, *saved.ROUTES]

__all__ = ["ROUTES"]
