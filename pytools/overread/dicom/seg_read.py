"""Reads segmentations, our own and those of viewers, frame by frame (PS3.3 C.8.20.2, C.8.20.3).

BINARY: one frame per segment and slice. FRACTIONAL: the same, a voxel belongs to the segment from half of the largest
value on, be that probability or occupancy. LABELMAP: one frame per slice, the pixel value is the segment number;
viewers store overlapping segments as several frames of one slice. So frames of one slice are always OR-ed, never
assigned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, SegmentationStorage

from overread.dicom.geometry import VolumeGeometry, attribute, frame_key, text_of, whole_number
from overread.dicom.segments import SegmentInfo, parse
from overread.errors import DataError

Mask = NDArray[np.bool_]

LABEL_MAP_SEGMENTATION_STORAGE: Final = UID("1.2.840.10008.5.1.4.1.1.66.7")
_ONES: Final = np.array([value.bit_count() for value in range(256)], dtype=np.uint32)
"""Bits that are set in a byte."""
_MAX_DECODED_BYTES: Final = 4 * 2**30
"""Refuses a header that promises more frames than any exam has, before memory is asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedSeg:
    """What a segmentation says, independent of how it was stored.

    Parameters
    ----------
    segments
        As listed, the background left out, in the order of their numbers.
    masks
        Per segment number, per source image (`overread.dicom.geometry.image_key`): (rows, columns). Only slices with a
        voxel in them.
    frame_segments
        Numbers of the segments to which frames (BINARY) or pixels (LABELMAP) refer, with voxels or without.
    source_uids
        SOPInstanceUIDs of all images that frames refer to.
    rows, columns
        Size of a frame.
    study_instance_uid, series_instance_uid, sop_instance_uid
        Of the segmentation.
    referenced_series_uids
        Series named in ReferencedSeriesSequence.
    frame_of_reference_uid
        Empty if it names none.
    binary
        True where a frame is of one segment (BINARY, FRACTIONAL), false for LABELMAP.
    """

    segments: tuple[SegmentInfo, ...]
    masks: Mapping[int, Mapping[str, Mask]]
    frame_segments: frozenset[int]
    source_uids: frozenset[str]
    rows: int
    columns: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    referenced_series_uids: tuple[str, ...]
    frame_of_reference_uid: str
    binary: bool

    def volume(self, number: int, geometry: VolumeGeometry) -> Mask:
        """Return a segment as (slices, rows, columns) on the grid of the source images."""
        volume = np.zeros(geometry.shape, dtype=np.bool_)
        slices = {uid: k for k, uid in enumerate(geometry.sop_instance_uids)}
        for uid, mask in self.masks.get(number, {}).items():
            if uid not in slices:
                raise DataError(
                    f"A frame refers to image {uid}, which is not in the series: open the exam anew and save again.",
                    uid=self.sop_instance_uid,
                )
            if mask.shape != geometry.shape[1:]:
                raise DataError(
                    f"Frames are {mask.shape}, the images {geometry.shape[1:]} (rows, columns): a segmentation must "
                    "have the grid of its images.",
                    uid=self.sop_instance_uid,
                )
            volume[slices[uid]] |= mask
        return volume


def is_seg(ds: Dataset) -> bool:
    """Return whether an object is a segmentation of either kind."""
    return text_of(ds, "SOPClassUID") in (SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE)


def decode_seg(seg: Dataset, *, geometry: VolumeGeometry | None = None) -> DecodedSeg:
    """Decode a BINARY, FRACTIONAL or LABELMAP segmentation.

    Parameters
    ----------
    seg
        With pixel data.
    geometry
        Grid of the source images: frames that name no source image are placed by their ImagePositionPatient. Without
        it such frames are told apart by their position alone, which is enough to count voxels.

    Returns
    -------
    DecodedSeg
        Segments and their masks by source image.

    Raises
    ------
    DataError
        If it is no such segmentation, can't be decoded, refers to segments that it does not list (then nobody knows
        what was drawn: viewers do that after a lower segment was deleted), or has frames without a place.
    """
    uid = text_of(seg, "SOPInstanceUID")
    binary = _is_binary(seg, uid)
    segments = _segments(seg, uid)
    frames = _frames(seg, uid)
    groups = _groups(seg, uid, count=len(frames))
    shared = attribute(seg, "SharedFunctionalGroupsSequence")
    shared_group = shared[0] if shared else Dataset()
    masks: dict[int, dict[str, Mask]] = {s.number: {} for s in segments}
    sources: set[str] = set()
    numbers: set[int] = set()
    for index, (frame, group) in enumerate(zip(frames, groups, strict=True)):
        source = _source_of(group, shared_group, geometry)
        if not source:
            raise DataError(
                f"Frame {index + 1} does not say on which image it was drawn, or on none of this series: open the "
                "exam anew and save again.",
                uid=uid,
                tag="DerivationImageSequence",
            )
        sources.add(source)
        for number, mask in _by_segment(frame, group, shared_group, binary=binary, uid=uid):
            numbers.add(number)
            if number not in masks:
                raise DataError(_unknown_segment(number, segments), uid=uid, tag="ReferencedSegmentNumber")
            if mask.any():
                masks[number][source] = masks[number][source] | mask if source in masks[number] else mask
    return DecodedSeg(
        segments=segments,
        masks=masks,
        frame_segments=frozenset(numbers),
        source_uids=frozenset(sources),
        rows=whole_number(seg, "Rows"),
        columns=whole_number(seg, "Columns"),
        study_instance_uid=text_of(seg, "StudyInstanceUID"),
        series_instance_uid=text_of(seg, "SeriesInstanceUID"),
        sop_instance_uid=uid,
        referenced_series_uids=tuple(
            text_of(item, "SeriesInstanceUID") for item in attribute(seg, "ReferencedSeriesSequence") or ()
        ),
        frame_of_reference_uid=text_of(seg, "FrameOfReferenceUID"),
        binary=binary,
    )


def counted_bits(seg: Dataset) -> dict[int, int] | None:
    """Return the voxels of each segment, counted in the packed bits; None where `decode_seg` has to look.

    That is where the plain count could be wrong: other kinds, compressed pixels, frames that do not end with a byte,
    two frames of a segment in one place, frames that name no image or a segment that is not listed.
    """
    uid = text_of(seg, "SOPInstanceUID")
    size = whole_number(seg, "Rows") * whole_number(seg, "Columns")
    syntax = getattr(seg, "file_meta", Dataset()).get("TransferSyntaxUID")
    plain = syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian) and size > 0 and size % 8 == 0
    if not plain or text_of(seg, "SegmentationType").upper() != "BINARY" or not is_seg(seg):
        return None
    counts = {segment.number: 0 for segment in _segments(seg, uid)}
    groups = _groups(seg, uid, count=whole_number(seg, "NumberOfFrames", default=1))
    pixels = seg.get("PixelData")
    if whole_number(seg, "BitsAllocated") != 1 or not isinstance(pixels, bytes):
        return None
    length = size // 8
    if len(pixels) not in (length * len(groups), length * len(groups) + 1):
        return None
    ones = _ONES[np.frombuffer(pixels, np.uint8, count=length * len(groups))].reshape(len(groups), length).sum(axis=1)
    shared = attribute(seg, "SharedFunctionalGroupsSequence")
    shared_group = shared[0] if shared else Dataset()
    seen: set[tuple[int, str]] = set()
    for group, voxels in zip(groups, ones.tolist(), strict=True):
        item = _first(group, "SegmentIdentificationSequence") or _first(shared_group, "SegmentIdentificationSequence")
        number = whole_number(item, "ReferencedSegmentNumber") if item is not None else 0
        source = _source_of(group, shared_group, None)
        if number not in counts or not source or source.startswith("@") or (number, source) in seen:
            return None
        seen.add((number, source))
        counts[number] += voxels
    return counts


def predecessor_of(seg: Dataset) -> str:
    """Return the SOPInstanceUID of the segmentation that this one corrects, empty if it names none."""
    for study in attribute(seg, "PredecessorDocumentsSequence") or ():
        for series in attribute(study, "ReferencedSeriesSequence") or ():
            for instance in attribute(series, "ReferencedSOPSequence") or ():
                return text_of(instance, "ReferencedSOPInstanceUID")
    return ""


def _is_binary(seg: Dataset, uid: str) -> bool:
    if not is_seg(seg):
        raise DataError("This is no segmentation: send a DICOM SEG.", uid=uid, tag="SOPClassUID")
    kind = text_of(seg, "SegmentationType").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise DataError(
            f"Segmentations of type {kind or 'unknown'} are not read: store it as BINARY, FRACTIONAL or LABELMAP.",
            uid=uid,
            tag="SegmentationType",
        )
    return kind != "LABELMAP"


def _segments(seg: Dataset, uid: str) -> tuple[SegmentInfo, ...]:
    items = [parse(item) for item in attribute(seg, "SegmentSequence") or ()]
    # A label map may list its background as segment 0 (PS3.3 C.8.20.2.3.2); it is nothing drawn.
    listed = sorted((s for s in items if s.number != 0), key=lambda s: s.number)
    numbers = [s.number for s in listed]
    if not numbers:
        raise DataError("It lists no segment: save it again.", uid=uid, tag="SegmentSequence")
    if len(set(numbers)) < len(numbers) or numbers[0] < 0:
        raise DataError(f"Segment numbers {numbers} are not unique: save it again.", uid=uid, tag="SegmentSequence")
    return tuple(listed)


def _frames(seg: Dataset, uid: str) -> NDArray[Any]:
    """Return the stored values as (frames, rows, columns); of a FRACTIONAL one 1 from half of the largest value on."""
    kind = text_of(seg, "SegmentationType").upper()
    rows, columns = whole_number(seg, "Rows"), whole_number(seg, "Columns")
    count = whole_number(seg, "NumberOfFrames", default=1)
    if min(rows, columns, count) < 1 or rows * columns * count > _MAX_DECODED_BYTES:
        raise DataError(f"{count} frames of {rows} x {columns} can't be: save it again.", uid=uid, tag="NumberOfFrames")
    if kind == "BINARY" and whole_number(seg, "BitsAllocated") != 1:
        raise DataError("A BINARY segmentation must have 1 bit per pixel: save it again.", uid=uid, tag="BitsAllocated")
    try:
        pixels = np.asarray(seg.pixel_array)
    except (AttributeError, ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError("Its pixel data can't be decoded: save it again.", uid=uid, tag="PixelData") from error
    if pixels.size != rows * columns * count:
        raise DataError(
            f"Pixel data holds {pixels.size} values instead of {rows * columns * count}: save it again.",
            uid=uid,
            tag="PixelData",
        )
    pixels = pixels.reshape(count, rows, columns)  # a single frame comes as two dimensions
    if kind != "FRACTIONAL":
        return pixels
    largest = whole_number(seg, "MaximumFractionalValue")
    if largest < 1:
        raise DataError("It does not say its largest value: save it again.", uid=uid, tag="MaximumFractionalValue")
    return np.asarray(pixels >= largest / 2.0, dtype=np.uint8)


def _groups(seg: Dataset, uid: str, *, count: int) -> Sequence[Dataset]:
    groups: Sequence[Dataset] = attribute(seg, "PerFrameFunctionalGroupsSequence") or ()
    if len(groups) != count:
        raise DataError(
            f"{len(groups)} frames are described, {count} are stored: save it again.",
            uid=uid,
            tag="PerFrameFunctionalGroupsSequence",
        )
    return groups


def _by_segment(
    frame: NDArray[Any], group: Dataset, shared: Dataset, *, binary: bool, uid: str
) -> list[tuple[int, Mask]]:
    if not binary:
        values = np.flatnonzero(np.bincount(frame.ravel()))
        return [(int(v), np.asarray(frame == v)) for v in values if v != 0]
    item = _first(group, "SegmentIdentificationSequence") or _first(shared, "SegmentIdentificationSequence")
    if item is None:
        raise DataError("A frame does not say which segment it shows: save it again.", uid=uid)
    return [(whole_number(item, "ReferencedSegmentNumber"), frame.astype(np.bool_))]


def _source_of(group: Dataset, shared: Dataset, geometry: VolumeGeometry | None) -> str:
    for holder in (group, shared):
        derivation = _first(holder, "DerivationImageSequence")
        source = _first(derivation, "SourceImageSequence") if derivation is not None else None
        if source is not None and text_of(source, "ReferencedSOPInstanceUID"):
            return frame_key(text_of(source, "ReferencedSOPInstanceUID"), _frame_number(source))
    place = _first(group, "PlanePositionSequence")
    position = attribute(place, "ImagePositionPatient") if place is not None else None
    if position is None:
        return ""
    if geometry is None:
        return "@" + ",".join(f"{float(v):.3f}" for v in position)
    k = geometry.slice_at([float(v) for v in position])
    return "" if k is None else geometry.sop_instance_uids[k]


def _frame_number(source: Dataset) -> int:
    value = attribute(source, "ReferencedFrameNumber")
    return int(value[0] if isinstance(value, MultiValue) else value or 1)


def _first(holder: Dataset, keyword: str) -> Dataset | None:
    sequence = attribute(holder, keyword)
    return sequence[0] if sequence else None


def _unknown_segment(number: int, segments: Sequence[SegmentInfo]) -> str:
    listed = ", ".join(f"{s.number} ({s.label})" for s in segments)
    return (
        f"Voxels belong to segment {number}, but only {listed} is listed: after a segment was deleted, viewers store "
        "wrong numbers in BINARY segmentations; store as LABELMAP, or keep the segment and empty it."
    )
