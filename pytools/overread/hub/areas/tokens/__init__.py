"""Alias tokens: short-lived stand-ins for a name and password."""

from overread.hub.areas.tokens.routes import ROUTES
from overread.hub.areas.tokens.store import invalidate_token, issue_token

__all__ = ["ROUTES", "invalidate_token", "issue_token"]
