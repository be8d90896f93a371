"""Anonymisation scripts: ``/xapi/anonymize`` (xnat-rest 3.7)."""

from overread.hub.areas.anonymize.routes import ROUTES

__all__ = ["ROUTES"]
