"""Headers of DICOM objects as tables."""

from overread.hub.areas.headers.routes import ROUTES

__all__ = ["ROUTES"]
