"""The configuration service: texts by tool and path, for the site and for projects, with all their versions."""

from overread.hub.areas.config.routes import ROUTES
from overread.hub.areas.config.store import current_config, put_config

__all__ = ["ROUTES", "current_config", "put_config"]
