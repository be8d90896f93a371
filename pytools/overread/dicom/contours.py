"""RTSTRUCT (PS3.3 A.19) drawn into the grid of its images: a voxel belongs to a region when its centre lies inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, attribute, text_of, whole_number
from overread.errors import DataError

_OFF_SLICE: Final = 0.2
"""Fraction of the slice distance by which a contour may lie beside a slice: rounding, not another grid."""
_MAX_POINTS: Final = 2_000_000
_CLOSED: Final = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_CORNERS: Final = 3


def masks_of_contours(found: Dataset, geometry: VolumeGeometry) -> dict[str, NDArray[np.bool_]]:
    """Return the regions of a structure set as masks.

    Contours of one region in one slice are combined by exclusive or, so that a contour within another is a hole.
    Nothing is filled in between slices.

    Parameters
    ----------
    found
        RT Structure Set.
    geometry
        Grid of the images that it was drawn on.

    Returns
    -------
    dict
        Name of the region to (slices, rows, columns).

    Raises
    ------
    DataError
        If a contour is not planar and closed, lies on no slice or outside the images, or two regions have one name.
    """
    names: dict[int, str] = {}
    uid = text_of(found, "SOPInstanceUID")
    for roi in attribute(found, "StructureSetROISequence") or ():
        name = text_of(roi, "ROIName") or f"region {text_of(roi, 'ROINumber')}"
        if name in names.values():
            raise DataError(f"Two regions are called '{name}': name them apart.", uid=uid, tag="ROIName")
        names[whole_number(roi, "ROINumber")] = name
    masks = {name: np.zeros(geometry.shape, dtype=np.bool_) for name in names.values()}
    to_index = np.linalg.inv(geometry.affine_lps)
    for number, kind, points in _contours(found, uid):
        if number not in names:
            raise DataError(f"Contours belong to region {number}, which is not listed: export it again.", uid=uid)
        name = names[number]
        if kind not in _CLOSED:
            raise DataError(
                f"Region '{name}' has a contour of type {kind or 'unknown'}: export closed planar contours alone.",
                uid=uid,
                tag="ContourGeometricType",
            )
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        k = round(float(np.median(index[:, 0])))
        if np.abs(index[:, 0] - k).max() > _OFF_SLICE:
            raise DataError(
                f"A contour of '{name}' does not lie in a slice of the images (it runs from slice "
                f"{index[:, 0].min() + 1:.1f} to {index[:, 0].max() + 1:.1f}): it was drawn on another series.",
                uid=uid,
                tag="ContourData",
            )
        inside = 0 <= k < geometry.shape[0]
        low, high = index[:, 1:].min(axis=0), index[:, 1:].max(axis=0)
        if not inside or (low < -1).any() or (high > np.array(geometry.shape[1:])).any():
            raise DataError(
                f"A contour of '{name}' lies outside the images (slice {k + 1} of {geometry.shape[0]}): it was "
                "drawn on another series.",
                uid=uid,
                tag="ContourData",
            )
        masks[name][k] ^= filled(index[:, 2], index[:, 1], geometry.shape[1:])
    return masks


def filled(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie inside a polygon, by the even-odd rule.

    Parameters
    ----------
    x, y
        Corners: column and row, 0 in the centre of the first pixel.
    shape
        (rows, columns).
    """
    mask = np.zeros(shape, dtype=np.bool_)
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    columns = np.arange(shape[1])
    for row in range(max(0, int(np.ceil(y.min()))), min(shape[0], int(np.floor(y.max())) + 1)):
        crossing = (y <= row) != (y2 <= row)  # half open: a corner on the row counts once
        if crossing.any():
            at = x[crossing] + (row - y[crossing]) * (x2[crossing] - x[crossing]) / (y2[crossing] - y[crossing])
            mask[row] = (at[:, None] <= columns).sum(axis=0) % 2 == 1
    return mask


def _contours(found: Dataset, uid: str) -> Iterator[tuple[int, str, NDArray[np.float64]]]:
    total = 0
    for roi in attribute(found, "ROIContourSequence") or ():
        for contour in attribute(roi, "ContourSequence") or ():
            try:
                numbers = np.array([float(value) for value in attribute(contour, "ContourData") or ()])
            except (TypeError, ValueError):
                numbers = np.array([np.nan])
            total += numbers.size
            kind = text_of(contour, "ContourGeometricType").upper()
            fewest = _CORNERS if kind in _CLOSED else 1  # a point is refused as such
            if numbers.size % 3 or numbers.size < 3 * fewest or not np.isfinite(numbers).all():
                raise DataError(
                    "A contour is no list of three or more points (x, y, z): export it again.",
                    uid=uid,
                    tag="ContourData",
                )
            if total > 3 * _MAX_POINTS:
                raise DataError(f"It has more than {_MAX_POINTS} points: export fewer.", uid=uid, tag="ContourData")
            yield whole_number(roi, "ReferencedROINumber"), kind, numbers.reshape(-1, 3)
