"""The frames of a BINARY segmentation: pixels as bits, and a functional group for each (PS3.3 C.8.20.2, C.7.6.16).

Written here and not by highdicom, which compares and describes frame by frame and takes most of its time for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from overread.dicom.codes import CodedTerm
from overread.dicom.geometry import text_of, whole_number
from overread.dicom.headers import decimal_string

_SEGMENTATION: Final = CodedTerm("113076", "DCM", "Segmentation")
_SHARED: Final = ("PixelMeasuresSequence", "PlaneOrientationSequence")
_SOURCE: Final = CodedTerm("121322", "DCM", "Source image for image processing operation")


def put_frames(
    seg: Dataset, images: Sequence[Dataset], masks: Mapping[int, NDArray[np.bool_]], *, every_slice: bool = False
) -> None:
    """Give a segmentation its frames: those with a voxel, or all if there is none.

    Parameters
    ----------
    seg
        BINARY, whole but for its frames and what it says of the images.
    images
        Headers in slice order.
    masks
        (slices, rows, columns) by segment number.
    every_slice
        All, whatever is drawn.
    """
    planes = {number: np.flatnonzero(mask.any(axis=(1, 2))) for number, mask in masks.items()}
    if every_slice or not any(len(found) for found in planes.values()):
        planes = {number: np.arange(len(images)) for number in masks}
    sources = [_source(image) for image in images]
    places = [
        _item("ImagePositionPatient", [decimal_string(float(v)) for v in image.ImagePositionPatient])
        for image in images
    ]
    groups = []
    for number, found in sorted(planes.items()):
        segment = Items([_item("ReferencedSegmentNumber", number)])
        for k in found.tolist():
            group = Dataset()
            group.DerivationImageSequence = sources[k]
            group.FrameContentSequence = [_item("DimensionIndexValues", [number, k + 1])]
            group.PlanePositionSequence = [places[k]]
            group.SegmentIdentificationSequence = segment
            groups.append(group)
    shared = seg.SharedFunctionalGroupsSequence[0]
    for element in list(shared):
        if element.keyword not in _SHARED:
            del shared[element.tag]
    seg.NumberOfFrames = len(groups)
    seg.PerFrameFunctionalGroupsSequence = groups
    seg.PixelData = _bits([masks[number][found] for number, found in sorted(planes.items())])
    seg.SegmentsOverlap = "YES" if _overlap(list(masks.values())) else "NO"
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence = _references(images)
    seg.SourceImageSequence = _references(images)


def _bits(parts: Sequence[NDArray[np.bool_]]) -> bytes:
    """Return pixels one after the other, eight in a byte, the first in the lowest bit (PS3.5 8.1.1)."""
    if all(part[0].size % 8 == 0 for part in parts if len(part)):
        packed = b"".join(np.packbits(part.reshape(-1), bitorder="little").tobytes() for part in parts)
    else:
        packed = np.packbits(np.concatenate([part.reshape(-1) for part in parts]), bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def _overlap(masks: Sequence[NDArray[np.bool_]]) -> bool:
    union = np.zeros_like(masks[0])
    for mask in masks if len(masks) > 1 else ():
        if (union & mask).any():
            return True
        union |= mask
    return False


def _source(image: Dataset) -> Items:
    """Return the derivation of a frame: which image it was drawn on."""
    source = _reference(image)
    frame = whole_number(image, "ReferencedFrameNumber")
    if frame:
        source.ReferencedFrameNumber = frame
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [_code(_SOURCE)]
    derivation = Dataset()
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [_code(_SEGMENTATION)]
    return Items([derivation])


def _references(images: Sequence[Dataset]) -> Items:
    """Return each image once, a multi-frame image as a whole."""
    return Items([_reference(image) for image in {text_of(ds, "SOPInstanceUID"): ds for ds in images}.values()])


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = text_of(image, "SOPClassUID")
    item.ReferencedSOPInstanceUID = text_of(image, "SOPInstanceUID")
    return item


def _code(term: CodedTerm) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = term.value, term.scheme, term.meaning
    return item


def _item(keyword: str, value: object) -> Dataset:
    item = Dataset()
    setattr(item, keyword, value)
    return item
