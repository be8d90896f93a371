"""What may be a collection of a session, in the order in which XNAT asks."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.objects import text
from overread.hub.errors import unprocessable
from overread.hub.models import Experiment, Instance, Scan
from overread.hub.roi.references import Referenced, references_of

DICOM_TYPES: Final = {
    "SEG": frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}),
    "RTSTRUCT": frozenset({"1.2.840.10008.5.1.4.1.1.481.3"}),
}
"""SOP classes of the kinds of collections that are DICOM objects."""
_MODALITIES: Final = frozenset({"MR", "CT", "PT", "US"})


def check_modality(session: Experiment, collection_type: str) -> None:
    """Refuse with 422 a collection on a session whose modality the viewer does not draw on."""
    if session.modality not in _MODALITIES:
        raise unprocessable(f"Collection type {collection_type} not supported for modality {session.modality}")


def check_content(db: Session, session: Experiment, dataset: Dataset, collection_type: str) -> Referenced:
    """Refuse with 422 an object of another kind, or one that refers to images that the session has not.

    Returns
    -------
    Referenced
        What it refers to.
    """
    if text(dataset, "SOPClassUID") not in DICOM_TYPES[collection_type]:
        raise unprocessable(f"The object is no {collection_type}: send it with its own type.")
    found = references_of(dataset)
    if found.studies != {session.uid}:
        raise unprocessable("Missing dependencies: study UID")
    series = set(db.scalars(select(Scan.uid).where(Scan.session_id == session.id)))
    if not found.series or not found.series <= series:
        raise unprocessable("Missing dependencies: series UID")
    instances = set(db.scalars(select(Instance.sop_instance_uid).where(Instance.session_id == session.id)))
    if not found.instances <= instances:
        raise unprocessable("Missing dependencies: SOP instance UID")
    return found
