"""The OHIF viewer's files at ``/viewer/``, as `overread.hub.viewer` prepared them, and ``/xapi/viewer``."""

from overread.hub.areas.viewer.routes import ROUTES

__all__ = ["ROUTES"]
