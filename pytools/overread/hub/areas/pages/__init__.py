"""Pages for people: the first page, logging in and out, and the pages that plugins bring."""

from overread.hub.areas.pages.routes import ROUTES

__all__ = ["ROUTES"]
