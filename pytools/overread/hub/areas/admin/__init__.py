"""``/xapi/overread``: what the administration's pages need and XNAT's REST does not give.

Administrators see all, owners what is of their projects. Lists come in pages (``page``, ``size``).
"""

from overread.hub.areas.admin import (
    associations,
    bundle,
    commands,
    deliveries,
    objects,
    projects,
    receivers,
    refused,
    runs,
    sessions,
    storage,
    users,
)

ROUTES = [
    *sessions.ROUTES,
    *runs.ROUTES,
    *bundle.ROUTES,
    *projects.ROUTES,
    *commands.ROUTES,
    *deliveries.ROUTES,
    *receivers.ROUTES,
    *objects.ROUTES,
    *associations.ROUTES,
    *refused.ROUTES,
    *users.ROUTES,
    *storage.ROUTES,
]

__all__ = ["ROUTES"]
