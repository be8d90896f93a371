"""The site's preferences, version and build."""

from overread.hub.areas.site.routes import ROUTES
from overread.hub.areas.site.store import preference

__all__ = ["ROUTES", "preference"]
