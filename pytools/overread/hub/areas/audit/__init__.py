"""``/xapi/overread/audit``: who saw, changed, launched, took out, and who was refused."""

from overread.hub.areas.audit.routes import ROUTES

__all__ = ["ROUTES"]
