"""Commands, wrappers, where they are enabled, their defaults, and launching."""

from overread.hub.areas.commands import commands, launching, settings

__all__ = ["ROUTES"]

ROUTES = [*commands.ROUTES, *settings.ROUTES, *launching.ROUTES]
