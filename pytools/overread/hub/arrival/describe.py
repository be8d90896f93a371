"""What XNAT's session and scan say of DICOM objects: datatype by modality, and fields (xnat-rest 3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from pydicom.dataset import Dataset

from overread.dicom.headers import plain_text
from overread.hub.arrival.objects import json_value, text, whole_number
from overread.hub.schemas import SchemaRegistry

_SESSION_TYPES: Final[Mapping[str, str]] = {
    "PT": "xnat:petSessionData", "MR": "xnat:mrSessionData", "CT": "xnat:ctSessionData", "MG": "xnat:mgSessionData",
    "DX": "xnat:dxSessionData", "CR": "xnat:crSessionData", "XA": "xnat:xaSessionData", "RF": "xnat:rfSessionData",
    "NM": "xnat:nmSessionData", "US": "xnat:usSessionData", "ES": "xnat:esSessionData", "OP": "xnat:opSessionData",
    "XC": "xnat:xcSessionData", "SM": "xnat:smSessionData", "RTIMAGE": "xnat:rtSessionData",
    "RTSTRUCT": "xnat:rtSessionData", "RTPLAN": "xnat:rtSessionData", "RTDOSE": "xnat:rtSessionData",
    "SR": "xnat:srSessionData",
}  # fmt: skip
"""The first of these that a study has decides."""
_SCAN_TYPES: Final[Mapping[str, str]] = {
    "PT": "xnat:petScanData", "MR": "xnat:mrScanData", "CT": "xnat:ctScanData", "MG": "xnat:mgScanData",
    "DX": "xnat:dxScanData", "CR": "xnat:crScanData", "XA": "xnat:xaScanData", "RF": "xnat:rfScanData",
    "NM": "xnat:nmScanData", "US": "xnat:usScanData", "ES": "xnat:esScanData", "OP": "xnat:opScanData",
    "XC": "xnat:xcScanData", "SM": "xnat:smScanData", "RTIMAGE": "xnat:rtImageScanData", "SEG": "xnat:segScanData",
    "SR": "xnat:srScanData",
}  # fmt: skip
_PET_MR: Final = "xnat:petmrSessionData"
_OTHER_SESSION, _OTHER_SCAN = "xnat:otherDicomSessionData", "xnat:otherDicomScanData"
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_SECONDARY_CAPTURE_SCAN: Final = "xnat:scScanData"
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d)?(?:\.\d+)?")
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_MAX_TEXT: Final = 255

_SESSION_FIELDS: Final = {
    "UID": "StudyInstanceUID",
    "dcmAccessionNumber": "AccessionNumber",
    "dcmPatientId": "PatientID",
    "dcmPatientName": "PatientName",
    "scanner": "StationName",
    "scanner/manufacturer": "Manufacturer",
    "scanner/model": "ManufacturerModelName",
    "acquisition_site": "InstitutionName",
    "session_type": "StudyDescription",
    "study_id": "StudyID",
    "fieldStrength": "MagneticFieldStrength",
}
_SCAN_FIELDS: Final = {
    "UID": "SeriesInstanceUID",
    "series_description": "SeriesDescription",
    "modality": "Modality",
    "scanner": "StationName",
    "scanner/manufacturer": "Manufacturer",
    "scanner/model": "ManufacturerModelName",
    "scanner/softwareVersion": "SoftwareVersions",
    "coil": "ReceiveCoilName",
    "fieldStrength": "MagneticFieldStrength",
    "parameters/sequence": "SequenceName",
    "parameters/acqType": "MRAcquisitionType",
    "parameters/convolutionKernel": "ConvolutionKernel",
    "parameters/contrastBolus": "ContrastBolusAgent",
}
_SCAN_LISTS: Final = {
    "parameters/imageType": "ImageType",
    "parameters/scanSequence": "ScanningSequence",
    "parameters/seqVariant": "SequenceVariant",
    "parameters/scanOptions": "ScanOptions",
}
_SCAN_NUMBERS: Final = {
    "parameters/tr": "RepetitionTime",
    "parameters/te": "EchoTime",
    "parameters/ti": "InversionTime",
    "parameters/kvp": "KVP",
    "parameters/tubeCurrent": "XRayTubeCurrent",
    "parameters/exposureTime": "ExposureTime",
}


def session_type(schemas: SchemaRegistry, modalities: Iterable[str]) -> str:
    """Return the datatype of a session whose scans have these modalities."""
    present = set(modalities)
    if {"PT", "MR"} <= present:
        return _PET_MR
    wanted = next((name for modality, name in _SESSION_TYPES.items() if modality in present), _OTHER_SESSION)
    return wanted if schemas.type(wanted) is not None else _OTHER_SESSION


def session_modality(modalities: Iterable[str]) -> str:
    """Return the modality that stands for the session: the one that decides about its datatype, else the first."""
    present = list(modalities)
    return next((modality for modality in _SESSION_TYPES if modality in present), present[0] if present else "")


def scan_type(schemas: SchemaRegistry, *, modality: str, sop_class_uid: str) -> str:
    """Return the datatype of a scan."""
    wanted = _SCAN_TYPES.get(modality, _OTHER_SCAN)
    if wanted == _OTHER_SCAN and sop_class_uid.startswith(_SECONDARY_CAPTURE):
        wanted = _SECONDARY_CAPTURE_SCAN
    return wanted if schemas.type(wanted) is not None else _OTHER_SCAN


def session_fields(schemas: SchemaRegistry, xsi_type: str, dataset: Dataset, *, modality: str) -> dict[str, object]:
    """Return a session's fields from one of its images; fields that the datatype lacks are left out."""
    values: dict[str, object] = _texts(_SESSION_FIELDS, dataset)
    values["modality"] = modality
    values["date"] = as_date(text(dataset, "StudyDate")) or as_date(text(dataset, "SeriesDate"))
    values["time"] = as_time(text(dataset, "StudyTime")) or as_time(text(dataset, "SeriesTime"))
    return _known(schemas, xsi_type, values)


def scan_fields(schemas: SchemaRegistry, xsi_type: str, dataset: Dataset, *, frames: int) -> dict[str, object]:
    """Return a scan's fields from one of its images; ``type`` is the series' description, as in XNAT."""
    values: dict[str, object] = _texts(_SCAN_FIELDS, dataset)
    values["type"] = values.get("series_description") or plain_text(text(dataset, "ProtocolName"), limit=_MAX_TEXT)
    values["frames"] = frames
    values["startDate"] = as_date(text(dataset, "SeriesDate")) or as_date(text(dataset, "AcquisitionDate"))
    values["startTime"] = as_time(text(dataset, "SeriesTime")) or as_time(text(dataset, "AcquisitionTime"))
    values["parameters/flip"] = _rounded(dataset, "FlipAngle")
    for path, keyword in _SCAN_LISTS.items():
        found = json_value(dataset, keyword)
        items = found if isinstance(found, list) else [] if found is None else [found]
        values[path] = plain_text("/".join(str(item) for item in items), limit=_MAX_TEXT)
    for path, keyword in _SCAN_NUMBERS.items():
        values[path] = _number(dataset, keyword)
    values.update(_geometry(dataset))
    return _known(schemas, xsi_type, values)


def as_date(value: str) -> str:
    """Return a DICOM date (DA, PS3.5 6.2) as ``YYYY-MM-DD``, "" if it is none."""
    found = _DATE.fullmatch(value)
    if found is None:
        return ""
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return ""


def as_time(value: str) -> str:
    """Return a DICOM time (TM, PS3.5 6.2) as ``HH:MM:SS``, "" if it is none."""
    found = _TIME.fullmatch(value.replace(":", ""))
    return f"{found[1]}:{found[2] or '00'}:{found[3] or '00'}" if found else ""


def _texts(paths: Mapping[str, str], dataset: Dataset) -> dict[str, object]:
    return {path: plain_text(text(dataset, keyword), limit=_MAX_TEXT) for path, keyword in paths.items()}


def _known(schemas: SchemaRegistry, xsi_type: str, values: Mapping[str, object]) -> dict[str, object]:
    kind = schemas.type(xsi_type)
    known = kind.fields if kind is not None else {}
    return {path: value for path, value in values.items() if value not in ("", None) and path in known}


def _geometry(dataset: Dataset) -> dict[str, Any]:
    spacing = json_value(dataset, "PixelSpacing")
    rows, columns = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    if not isinstance(spacing, list) or len(spacing) != 2 or rows is None or columns is None:  # noqa: PLR2004 - row and column
        return {}
    between = _number(dataset, "SpacingBetweenSlices") or _number(dataset, "SliceThickness")
    return {
        "parameters/voxelRes/x": spacing[1],
        "parameters/voxelRes/y": spacing[0],
        "parameters/voxelRes/z": between,
        "parameters/voxelRes/units": "mm",
        "parameters/fov/x": round(spacing[1] * columns),
        "parameters/fov/y": round(spacing[0] * rows),
        "parameters/matrix/x": columns,
        "parameters/matrix/y": rows,
    }


def _number(dataset: Dataset, keyword: str) -> float | None:
    try:
        return float(text(dataset, keyword))
    except ValueError:
        return None


def _rounded(dataset: Dataset, keyword: str) -> int | None:
    number = _number(dataset, keyword)
    return None if number is None else round(number)
