"""Orchestrations (``/xapi/orchestration``) and the progress of bulk launches (``/xapi/event_tracking``)."""

from overread.hub.areas.orchestrations.routes import ROUTES

__all__ = ["ROUTES"]
