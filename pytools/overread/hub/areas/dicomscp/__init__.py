"""DICOM receivers: ``/xapi/dicomscp`` (xnat-rest 3.4). What is changed holds for the next association."""

from __future__ import annotations

from overread.hub.areas.dicomscp.routes import ROUTES
from overread.hub.arrival.commitments import Commitments
from overread.hub.arrival.intake import Intake
from overread.hub.core import Hub
from overread.hub.receiver.refusals import Refusals
from overread.hub.receiver.service import Receivers

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its DICOM receivers, and the services that file and confirm what they take."""
    hub.intake = Intake(hub)
    hub.commitments = Commitments(hub)
    hub.refusals = Refusals(hub)
    hub.receivers = Receivers(hub)
    hub.services += [hub.intake, hub.commitments, hub.refusals, hub.receivers]
