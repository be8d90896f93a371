"""Accounts, their roles and groups, and what the caller may see."""

from overread.hub.areas.users.access import ROUTES as ACCESS
from overread.hub.areas.users.routes import ROUTES as USERS

ROUTES = [*USERS, *ACCESS]

__all__ = ["ROUTES"]
