"""``/xapi/overread/audit``: who saw, changed, launched, took out, and who was refused."""

from overread.hub.areas.audit.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.upkeep.housekeeping import Housekeeping

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Have old lines put away, and failed logins forgotten."""
    hub.services.append(Housekeeping(hub))
