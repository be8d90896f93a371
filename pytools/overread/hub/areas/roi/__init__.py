"""ROI collections: ``/xapi/roi`` (xnat-rest 6.3)."""

from overread.hub.areas.roi.routes import ROUTES

__all__ = ["ROUTES"]
