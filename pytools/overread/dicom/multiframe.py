"""Enhanced multi-frame images (PS3.3 A.36, C.7.6.16) taken apart into headers of single frames.

What follows in the line (geometry, segmentation, reports) knows slices, each with an image of its own. So each frame of
an enhanced image becomes a header like that of a single-frame image: the shared functional groups and the frame's own
ones are laid flat, and ReferencedFrameNumber says which frame it is. `overread.dicom.geometry.image_key` names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from overread.dicom.geometry import attribute, text_of, whole_number
from overread.errors import DataError

_MAX_FRAMES: Final = 100_000
"""More than any exam has; refuses a header that promises more before memory is asked for."""
_FLAT: Final = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "MRImageFrameTypeSequence": ("FrameType",),
    "CTImageFrameTypeSequence": ("FrameType",),
    "MREchoSequence": ("EffectiveEchoTime",),
    "FrameContentSequence": ("StackID", "InStackPositionNumber", "TemporalPositionIndex", "DimensionIndexValues"),
}
"""What is taken out of which functional group."""


def is_enhanced(ds: Dataset) -> bool:
    """Return whether an image has frames with a place each, in functional groups."""
    return "PerFrameFunctionalGroupsSequence" in ds


def frames_of(ds: Dataset) -> list[Dataset]:
    """Return one header per frame of an enhanced image, in the order of the frames.

    Raises
    ------
    DataError
        If frames and descriptions differ in number.
    """
    uid = text_of(ds, "SOPInstanceUID")
    groups: Sequence[Dataset] = attribute(ds, "PerFrameFunctionalGroupsSequence") or ()
    count = whole_number(ds, "NumberOfFrames", default=1)
    if len(groups) != count or not 0 < count <= _MAX_FRAMES:
        raise DataError(
            f"{len(groups)} frames are described, {count} are stored: send the image again.",
            uid=uid,
            tag="PerFrameFunctionalGroupsSequence",
        )
    shared = attribute(ds, "SharedFunctionalGroupsSequence")
    common = Dataset()
    for element in ds:
        if element.VR != "SQ" and element.tag.group not in (0x5200, 0x7FE0) and element.keyword != "NumberOfFrames":
            common.add(element)
    frames = []
    for number, group in enumerate(groups, start=1):
        frame = Dataset()
        frame.update(common)
        for holder in (shared[0] if shared else Dataset(), group):
            _lay_flat(holder, frame)
        frame.ReferencedFrameNumber = number
        frames.append(frame)
    return frames


def single_frames(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return headers of single frames: those of enhanced images taken apart, others as they are."""
    return [frame for ds in datasets for frame in (frames_of(ds) if is_enhanced(ds) else (ds,))]


def _lay_flat(group: Dataset, frame: Dataset) -> None:
    for sequence, keywords in _FLAT.items():
        items = attribute(group, sequence)
        for keyword in keywords if items else ():
            if attribute(items[0], keyword) is not None:
                frame[keyword] = items[0][keyword]
