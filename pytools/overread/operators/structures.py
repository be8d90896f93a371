"""Structure sets (RTSTRUCT) measured as segmentations: drawn into the grid of their images, a segment for a region."""

from __future__ import annotations

from typing import Final, cast

from pydicom.dataset import Dataset

from overread.dicom.contours import masks_of_contours
from overread.dicom.geometry import attribute, text_of
from overread.dicom.seg import ObjectInfo, SegmentInfo, write_seg
from overread.dicom.segments import AlgorithmType
from overread.errors import DataError
from overread.operators.load import FoundSeries
from overread.operators.volume import read_volume

STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_ALGORITHMS: Final = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
_LO_MAX: Final = 64


def series_of_structures(found: Dataset) -> list[str]:
    """Return the Series Instance UIDs that a structure set was drawn on."""
    return [
        text_of(series, "SeriesInstanceUID")
        for frame in attribute(found, "ReferencedFrameOfReferenceSequence") or ()
        for study in attribute(frame, "RTReferencedStudySequence") or ()
        for series in attribute(study, "RTReferencedSeriesSequence") or ()
    ]


def segmentation_of_structures(found: Dataset, series: FoundSeries) -> Dataset:
    """Return a structure set as a segmentation under the same UIDs, to be measured and never stored.

    Parameters
    ----------
    found
        RT Structure Set.
    series
        The images that it was drawn on.

    Raises
    ------
    DataError
        If it has no regions, or contours that enclose nothing: open ones and points.
    """
    volume = read_volume(series)
    masks = masks_of_contours(found, volume.geometry)
    if not masks:
        raise DataError("The structure set has no regions: draw one.", uid=text_of(found, "SOPInstanceUID"))
    algorithms = [
        text_of(item, "ROIGenerationAlgorithm").upper() for item in attribute(found, "StructureSetROISequence") or ()
    ]
    segments = [
        SegmentInfo(number=number, label=name[:_LO_MAX], algorithm_type=_algorithm(algorithm))
        for number, (name, algorithm) in enumerate(zip(masks, algorithms, strict=True), start=1)
    ]
    return write_seg(
        volume.images,
        dict(enumerate(masks.values(), start=1)),
        segments,
        info=ObjectInfo(
            series_instance_uid=text_of(found, "SeriesInstanceUID"),
            sop_instance_uid=text_of(found, "SOPInstanceUID"),
            content_creator_name=text_of(found, "OperatorsName"),
        ),
    )


def _algorithm(text: str) -> AlgorithmType:
    return cast("AlgorithmType", text) if text in _ALGORITHMS else "MANUAL"
