"""The JSON from which XNAT's OHIF viewer shows a session: studies, series, and for each image its header and file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from pydicom.datadict import tag_for_keyword
from sqlalchemy import String, cast, select
from sqlalchemy.orm import Session

from overread.hub.areas.dicomweb.metadata import Json
from overread.hub.areas.dicomweb.store import Root, with_files
from overread.hub.core import Hub
from overread.hub.models import Experiment, Instance, Resource, ResourceFile, Scan

_STUDY: Final = ("StudyDescription", "StudyDate", "StudyTime", "PatientName", "PatientID")
_SERIES: Final = ("SeriesDescription", "SeriesNumber", "Modality")
_INSTANCE: Final = (
    "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing",
    "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient",
    "FrameOfReferenceUID", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "ImageType",
    "AcquisitionNumber", "SeriesInstanceUID", "StudyInstanceUID", "Modality",
)  # fmt: skip
_MANY: Final = frozenset({"PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"})
"""Lists even of one value."""


def describe(db: Session, hub: Hub, session: Experiment) -> Json:
    """Return the JSON of a session, with no study if it has no image in a scan.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    session
        An image session.
    """
    found = db.execute(
        select(Instance, Scan.id, Resource.pk, ResourceFile.path)
        .join(ResourceFile, ResourceFile.pk == Instance.file_pk)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .join(Scan, (Resource.owner_kind == "scan") & (Resource.owner_id == cast(Scan.pk, String)))
        .where(Instance.session_id == session.id, Instance.modality != "SEG")
        .order_by(Instance.series_number, Instance.series_instance_uid, Instance.instance_number, Instance.pk)
    ).all()
    urls = {instance.pk: _url(session, scan, resource, path) for instance, scan, resource, path in found}
    root = Root(hub, session.project, f"/xapi/dicomweb/projects/{session.project}")
    studies: dict[str, Json] = {}
    series: dict[str, Json] = {}
    for item in with_files(db, hub, [instance for instance, *_ in found]):
        instance, header = item.instance, root.document(item)
        study = studies.get(instance.study_instance_uid)
        if study is None:
            study = {
                "StudyInstanceUID": instance.study_instance_uid,
                **_values(header, _STUDY, text=True),
                "series": [],
            }
            studies[instance.study_instance_uid] = study
        one = series.get(instance.series_instance_uid)
        if one is None:
            one = {
                "SeriesInstanceUID": instance.series_instance_uid,
                **_values(header, _SERIES, text=True),
                "instances": [],
            }
            series[instance.series_instance_uid] = one
            study["series"].append(one)
        one["instances"].append({"metadata": _values(header, _INSTANCE), "url": urls[instance.pk]})
    return {"transactionId": session.id, "studies": list(studies.values()), "isDicomWeb": False}


def _url(session: Experiment, scan: str, resource: int, path: str) -> str:
    """Return where a file is read; the viewer looks for ``/data/archive/`` in it."""
    return (
        f"/data/archive/experiments/{session.id}/scans/{quote(scan, safe='')}/resources/{resource}/files/{quote(path)}"
    )


def _values(header: Json, keywords: Sequence[str], *, text: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in keywords:
        values = header.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value")
        if not values:
            continue
        value = values if keyword in _MANY or len(values) > 1 else values[0]
        if isinstance(value, dict):  # a person's name
            value = value.get("Alphabetic", "")
        found[keyword] = str(value) if text else value
    return found
