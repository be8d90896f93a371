"""The grid of a segmentation by itself: where its frames lie, without the images that it was drawn on."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, attribute, geometry_of, text_of, whole_number
from overread.errors import DataError

_UID: Final = "SOPInstanceUID"


def geometry_of_seg(seg: Dataset) -> VolumeGeometry:
    """Return the grid that the frames of a segmentation lie on.

    Raises
    ------
    DataError
        If frames do not say where they lie or which image they were drawn on, or slices are missing between them (then
        only the images tell the grid).
    """
    shared = (attribute(seg, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    headers: dict[tuple[str, int], Dataset] = {}
    for group in attribute(seg, "PerFrameFunctionalGroupsSequence") or ():
        source = _source(group)
        key = (text_of(source, "ReferencedSOPInstanceUID"), whole_number(source, "ReferencedFrameNumber", default=1))
        if key not in headers:
            headers[key] = _header(seg, group, shared, key)
    return geometry_of(list(headers.values()))


def _header(seg: Dataset, group: Dataset, shared: Dataset, key: tuple[str, int]) -> Dataset:
    header = Dataset()
    header.SOPInstanceUID, header.ReferencedFrameNumber = key
    header.SeriesInstanceUID = text_of(seg, "SeriesInstanceUID")
    header.StudyInstanceUID = text_of(seg, "StudyInstanceUID")
    header.FrameOfReferenceUID = text_of(seg, "FrameOfReferenceUID")
    header.Rows, header.Columns = whole_number(seg, "Rows"), whole_number(seg, "Columns")
    for sequence, keywords in (
        ("PlanePositionSequence", ("ImagePositionPatient",)),
        ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
        ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")),
    ):
        items = attribute(group, sequence) or attribute(shared, sequence)
        for keyword in keywords if items else ():
            value = attribute(items[0], keyword)
            if value is not None:
                setattr(header, keyword, value)
    return header


def _source(group: Dataset) -> Dataset:
    derivation = attribute(group, "DerivationImageSequence")
    sources = attribute(derivation[0], "SourceImageSequence") if derivation else None
    if not sources:
        raise DataError("A frame does not say on which image it was drawn: only the images tell its grid.", tag=_UID)
    source: Dataset = sources[0]
    return source
