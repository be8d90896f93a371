"""Words that a site uses: qualities of scans, scanners, investigators."""

from overread.hub.areas.vocabulary.routes import ROUTES

__all__ = ["ROUTES"]
