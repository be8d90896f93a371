"""Volumes of the segments of a stored segmentation: voxels counted, times the volume of one."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, attribute, decimal_number, text_of
from overread.dicom.seg_read import DecodedSeg, counted_bits, decode_seg
from overread.errors import DataError

_TOLERANCE: Final = 0.1
"""Fraction of a slice distance by which two frames may lie off the grid that the header states."""
MM3_PER_ML: Final = 1000.0


def volumes_ml(seg: Dataset, *, geometry: VolumeGeometry | None = None) -> dict[int, float]:
    """Return the volume of each segment in millilitres.

    Parameters
    ----------
    seg
        BINARY, FRACTIONAL or LABELMAP, with pixel data.
    geometry
        Grid of the source images, for segmentations whose frames do not name them.

    Returns
    -------
    dict
        By segment number; 0.0 for a segment without voxels.

    Raises
    ------
    DataError
        As `decode_seg` and `voxel_volume_mm3`.
    """
    one_ml = voxel_volume_mm3(seg) / MM3_PER_ML
    counted = counted_bits(seg) if geometry is None else None  # against a geometry, frames are looked at
    if counted is not None:
        return {number: voxels * one_ml for number, voxels in counted.items()}
    decoded = decode_seg(seg, geometry=geometry)
    return {s.number: voxels_of(decoded, s.number) * one_ml for s in decoded.segments}


def union_volume_ml(seg: Dataset, *, geometry: VolumeGeometry | None = None) -> float:
    """Return the volume in millilitres of what any segment covers; a voxel in two segments counts once."""
    decoded = decode_seg(seg, geometry=geometry)
    union: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]] = {}
    for masks in decoded.masks.values():
        for source, mask in masks.items():
            union[source] = union[source] | mask if source in union else mask
    return sum(int(mask.sum()) for mask in union.values()) * (voxel_volume_mm3(seg) / MM3_PER_ML)


def voxels_of(decoded: DecodedSeg, number: int) -> int:
    """Return how many voxels a segment has."""
    return sum(int(mask.sum()) for mask in decoded.masks.get(number, {}).values())


def voxel_volume_mm3(seg: Dataset) -> float:
    """Return the volume of a voxel in mm³ as the segmentation's own Pixel Measures state it (PS3.3 C.7.6.16.2.1).

    SliceThickness is not the distance of slices where they are apart or overlap; it is taken only where
    SpacingBetweenSlices is missing. Either is compared with the positions of the frames.

    Raises
    ------
    DataError
        If the measures are missing, differ between frames or contradict the positions.
    """
    uid = text_of(seg, "SOPInstanceUID")
    measures = _measures(seg, uid)
    spacing = attribute(measures, "PixelSpacing")
    between = decimal_number(measures, "SpacingBetweenSlices") or decimal_number(measures, "SliceThickness") or 0.0
    if spacing is None or len(spacing) != 2 or between <= 0:  # noqa: PLR2004 - rows and columns
        raise DataError(
            "It lacks PixelSpacing or SpacingBetweenSlices, so no volume can be had: store it with them.",
            uid=uid,
            tag="PixelMeasuresSequence",
        )
    _compare_with_positions(seg, between, uid)
    return float(np.prod((between, float(spacing[0]), float(spacing[1]))))


def _measures(seg: Dataset, uid: str) -> Dataset:
    shared = attribute(seg, "SharedFunctionalGroupsSequence")
    found = attribute(shared[0], "PixelMeasuresSequence") if shared else None
    if found:
        measures: Dataset = found[0]
        return measures
    frames = [attribute(g, "PixelMeasuresSequence") for g in attribute(seg, "PerFrameFunctionalGroupsSequence") or ()]
    items = [f[0] for f in frames if f]
    if not items or any(item != items[0] for item in items):
        raise DataError(
            "Its frames have no common pixel measures, so no volume can be had: store it with one spacing.",
            uid=uid,
            tag="PixelMeasuresSequence",
        )
    first: Dataset = items[0]
    return first


def _compare_with_positions(seg: Dataset, between: float, uid: str) -> None:
    shared = attribute(seg, "SharedFunctionalGroupsSequence")
    plane = attribute(shared[0], "PlaneOrientationSequence") if shared else None
    places = [attribute(g, "PlanePositionSequence") for g in attribute(seg, "PerFrameFunctionalGroupsSequence") or ()]
    if not plane or not all(places):
        return
    cosines = [float(v) for v in plane[0].ImageOrientationPatient]
    normal = np.cross(cosines[:3], cosines[3:])
    along = np.unique(np.round([np.dot([float(v) for v in p[0].ImagePositionPatient], normal) for p in places if p], 4))
    steps = (along - along[0]) / between
    if np.abs(steps - np.rint(steps)).max() > _TOLERANCE:
        raise DataError(
            f"Its slices lie {np.diff(along).min():.3f} mm apart, but its header says {between:.3f} mm: volumes would "
            "be wrong; store it again from the original images.",
            uid=uid,
            tag="SpacingBetweenSlices",
        )
