"""What derived objects take over from the images they are made from."""

from __future__ import annotations

import unicodedata
from io import BytesIO
from typing import Final

import pydicom.config
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DSdecimal, PersonName

from overread.dicom.geometry import attribute, text_of
from overread.errors import DataError

_PATIENT_AND_STUDY: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
)
"""Patient Module (C.7.1.1), General Study Module (C.7.2.1), Patient Study Module (C.7.2.2), as far as commonly used."""

_TYPE_2: Final = frozenset(
    {
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    }
)
"""Present even where the value is unknown."""

_REFERENCE: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_DS_MAX: Final = 16
_LO_MAX: Final = 64


def reference_copy(image: Dataset) -> Dataset:
    """Return as much of an image header as a derived object needs to refer to it and to lie in its grid.

    No pixels, no patient: a writer that checks what it copies has nothing here to stumble over.
    """
    copy = Dataset()
    for keyword in _REFERENCE:
        if (value := attribute(image, keyword)) is not None:
            # An element of its own: what a writer changes in the copy must not change the image.
            element = image[keyword]
            copy.add(DataElement(element.tag, element.VR, value, validation_mode=pydicom.config.IGNORE))
    for keyword in _PATIENT_AND_STUDY:
        if keyword in _TYPE_2:
            setattr(copy, keyword, "")
    copy.PositionReferenceIndicator = plain_text(text_of(image, "PositionReferenceIndicator"), limit=_LO_MAX)
    if "Modality" not in copy:
        raise DataError(
            "An image lacks this attribute: send it again.", uid=text_of(image, "SOPInstanceUID"), tag="Modality"
        )
    return copy


def copy_patient_and_study(image: Dataset, target: Dataset) -> None:
    """Give `target` the patient's and the study's attributes of an image.

    Text is decoded here and written in the character set of `target`. A value that can't be read is left empty.
    """
    for keyword in _PATIENT_AND_STUDY:
        try:
            value = attribute(image, keyword)
        except DataError:
            value = None
        if isinstance(value, PersonName):
            value = str(value)
        if value is not None:
            # As it is: an exam is not refused over a value that its scanner should not have written.
            element = image[keyword]
            target.add(DataElement(element.tag, element.VR, value, validation_mode=pydicom.config.IGNORE))
        elif keyword in _TYPE_2:
            setattr(target, keyword, "")
        elif keyword in target:
            delattr(target, keyword)


def as_read(derived: Dataset) -> Dataset:
    """Return an object as a receiver reads it, plain pydicom throughout: what can't be written fails here."""
    buffer = BytesIO()
    derived.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def plain_text(text: str, *, limit: int) -> str:
    r"""Return text that fits into a DICOM string: no control characters, no ``\``, at most `limit` characters."""
    kept = "".join(" " if c == "\\" or unicodedata.category(c)[0] == "C" else c for c in text)
    return " ".join(kept.split())[:limit].strip()


def decimal_string(value: float) -> DSdecimal:
    """Return a number as a decimal string with as many digits as sixteen characters hold (PS3.5 6.2)."""
    for digits in range(17, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= _DS_MAX:
            return DSdecimal(text)
    raise DataError(f"{value!r} does not fit into a DICOM decimal string: give a finite number.")
