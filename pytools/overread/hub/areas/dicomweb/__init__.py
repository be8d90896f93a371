"""DICOMweb of a project (PS3.18): QIDO-RS, WADO-RS, STOW-RS below ``/xapi/dicomweb/projects/{project}``.

``query``      QIDO-RS: which studies, series, instances, and what matches
``metadata``   attributes as DICOM JSON, kept ready
``pixels``     frames and other bulk data, as they lie in the file
``multipart``  bodies of several parts, both ways
``accept``     what a client wants, by its Accept header
``stow``       what is stored: images like C-STORE's, segmentations as ROI collections
"""

from __future__ import annotations

from overread.hub.areas.dicomweb.metadata import MetadataCache
from overread.hub.areas.dicomweb.routes import ROUTES
from overread.hub.core import Hub

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its store of metadata that is ready to be sent."""
    hub.metadata = MetadataCache()
