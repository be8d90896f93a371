"""Downloads of many sessions at once, in two steps: choose, then fetch what was chosen as XML or zip."""

from overread.hub.areas.downloads.routes import ROUTES

__all__ = ["ROUTES"]
