"""Exams as they come from real departments: compressed, multi-frame, incomplete, doubled, mislabelled.

Each function takes a plain series (`overread.synthetic.phantoms`) and returns it the awkward way. What an image
makes of it is known: the same mask, or a refusal.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from overread.synthetic.mr import uid_from

_LOCALIZER_COUNT: Final = 3
_GEOMETRY: Final = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)


def copies(images: Sequence[Dataset]) -> list[Dataset]:
    """Return deep copies, so that the original stays as it is."""
    return [copy.deepcopy(ds) for ds in images]


def in_syntax(images: Sequence[Dataset], syntax: UID) -> list[Dataset]:
    """Return the images in another transfer syntax that needs no codec: implicit, deflated, or RLE by pydicom."""
    found = copies(images)
    for ds in found:
        if syntax.is_encapsulated:
            ds.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
    return found


def implicit(images: Sequence[Dataset]) -> list[Dataset]:
    """Return the images in Implicit VR Little Endian."""
    return in_syntax(images, ImplicitVRLittleEndian)


def signed(images: Sequence[Dataset], *, shift: int = 1024) -> list[Dataset]:
    """Return the images with signed pixels that reach below zero, and an intercept that shifts them back."""
    found = copies(images)
    for ds in found:
        values = ds.pixel_array.astype(np.int16) - shift
        ds.PixelRepresentation = 1
        ds.BitsStored, ds.HighBit = 16, 15
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", str(shift), "US"
        ds.PixelData = values.tobytes()
    return found


def rescaled(images: Sequence[Dataset]) -> list[Dataset]:
    """Return the images with a slope of their own each, as some scanners write them."""
    found = copies(images)
    for number, ds in enumerate(found):
        slope = 0.5 + 0.25 * (number % 3)
        stored = np.rint(ds.pixel_array / slope).astype(np.uint16)
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = str(slope), "0", "US"
        ds.BitsStored, ds.HighBit = 16, 15
        ds.PixelData = stored.tobytes()
    return found


def with_overlays(images: Sequence[Dataset]) -> list[Dataset]:
    """Return 12-bit images with an overlay in the four bits that do not count (retired, but still in archives)."""
    found = copies(images)
    for ds in found:
        values = ds.pixel_array.copy()
        values[::2, ::2] |= 0xA000
        ds.PixelData = values.tobytes()
    return found


def without(images: Sequence[Dataset], *slices: int) -> list[Dataset]:
    """Return the images without some slices."""
    return [ds for k, ds in enumerate(copies(images)) if k not in slices]


def unequal(images: Sequence[Dataset], *, by_mm: float = 0.8, after: int = 8) -> list[Dataset]:
    """Return the images with a step between two of them that fits no other."""
    found = copies(images)
    cosines = [float(v) for v in found[0].ImageOrientationPatient]
    normal = np.cross(cosines[:3], cosines[3:])
    for ds in found[after:]:
        ds.ImagePositionPatient = [
            round(float(v), 6) for v in np.array(ds.ImagePositionPatient, float) + by_mm * normal
        ]
    return found


def doubled(images: Sequence[Dataset]) -> list[Dataset]:
    """Return two echoes in one series: each position twice."""
    second = copies(images)
    for ds in second:
        ds.SOPInstanceUID = uid_from("second echo", ds.SOPInstanceUID)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.EchoTime = "90"
    return [*copies(images), *second]


def as_series(images: Sequence[Dataset], description: str, *, number: int, image_type: str = "") -> list[Dataset]:
    """Return the images as another series of the same study."""
    found = copies(images)
    for ds in found:
        ds.SeriesInstanceUID = uid_from(ds.StudyInstanceUID, "awkward", description, number)
        ds.SOPInstanceUID = uid_from(ds.SeriesInstanceUID, ds.SOPInstanceUID)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.SeriesDescription, ds.SeriesNumber = description, number
        if image_type:
            ds.ImageType = image_type.split("\\")
    return found


def localizer(images: Sequence[Dataset], description: str, *, number: int = 99) -> list[Dataset]:
    """Return a localizer: three images in three planes."""
    found = as_series(images[:_LOCALIZER_COUNT], description, number=number, image_type="ORIGINAL\\PRIMARY\\LOCALIZER")
    planes = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])
    for ds, plane in zip(found, planes, strict=True):
        ds.ImageOrientationPatient = plane
    return found


def enhanced(images: Sequence[Dataset], *, order: Sequence[int] | None = None, repeat: int = 1) -> Dataset:
    """Return a series as one Enhanced MR image (PS3.3 A.36), one frame per slice.

    Parameters
    ----------
    images
        Single-frame images, in slice order.
    order
        Slices in the order of the frames; mixed up if not given.
    repeat
        How many time points: more than one put several frames at each position.
    """
    first = images[0]
    order = list(order) if order is not None else sorted(range(len(images)), key=lambda k: (k * 7) % len(images))
    frames = [images[k] for _ in range(repeat) for k in order]
    ds = copy.deepcopy(first)
    for keyword in (*_GEOMETRY, "InstanceNumber", "SliceLocation", "RescaleSlope", "RescaleIntercept", "EchoTime"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = UID(uid_from("enhanced", first.SOPInstanceUID, repeat))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber = 1
    ds.NumberOfFrames = len(frames)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    for keyword in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
        if keyword in first:
            measures[keyword] = first[keyword]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [
        _group(frame, place=1 + index % len(order), time=1 + index // len(order)) for index, frame in enumerate(frames)
    ]
    ds.PixelData = b"".join(frame.PixelData for frame in frames)
    return ds


def _group(frame: Dataset, *, place: int, time: int) -> Dataset:
    group, position, content, transformation = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = frame.ImagePositionPatient
    content.StackID, content.InStackPositionNumber, content.TemporalPositionIndex = "1", place, time
    content.DimensionIndexValues = [1, place, time]
    transformation.RescaleSlope = str(frame.get("RescaleSlope", "1"))
    transformation.RescaleIntercept = str(frame.get("RescaleIntercept", "0"))
    transformation.RescaleType = "US"
    group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
    group.PixelValueTransformationSequence = [transformation]
    return group
