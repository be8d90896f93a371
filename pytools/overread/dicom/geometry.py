"""Where the voxels of a series of single-frame images lie in the patient (PS3.3 C.7.6.2).

Enhanced multi-frame images are given as `overread.dicom.multiframe` takes them apart, a header per frame.

Indices run (k, j, i): slice, row, column. Slices are ordered along the normal of the image plane, which is the cross
product of ImageOrientationPatient's row and column direction; the order of files or instance numbers plays no part.
Coordinates are LPS in millimetres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from overread.errors import DataError

Vector = NDArray[np.float64]

_COSINE_TOLERANCE: Final = 1e-3
"""Scanners write direction cosines with four to six digits."""
_SPACING_TOLERANCE: Final = 0.01
"""Fraction of the slice distance by which two neighbouring distances may differ: rounding, not a gap."""
_STRAY_TOLERANCE: Final = 0.1
"""Fraction of the slice distance by which a slice may lie beside its place on the straight line through all."""
_SAME_PLACE_MM: Final = 1e-3
_SKEW_TOLERANCE: Final = 0.01
"""By how much row and column direction may miss length 1 and the right angle."""
_ORIENTATION_LENGTH: Final = 6


@dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """The grid of a series.

    Parameters
    ----------
    shape
        (slices, rows, columns).
    affine_lps
        (4, 4) matrix from the index (k, j, i, 1) of a voxel's centre to LPS in mm.
    spacing_mm
        Distance of slice planes along their normal, of rows, and of columns.
    sop_instance_uids
        One per slice, in the order of the slices; for a frame of a multi-frame image as `image_key` names it.
    frame_of_reference_uid
        Empty if the images name none.
    """

    shape: tuple[int, int, int]
    affine_lps: Vector
    spacing_mm: tuple[float, float, float]
    sop_instance_uids: tuple[str, ...]
    frame_of_reference_uid: str

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel: slice distance times row distance times column distance."""
        return float(np.prod(self.spacing_mm))

    @property
    def normal(self) -> Vector:
        """Unit vector (LPS) in which the slices follow each other."""
        cross = np.cross(self.affine_lps[:3, 2], self.affine_lps[:3, 1])
        return np.asarray(cross / np.linalg.norm(cross), dtype=np.float64)

    def position_mm(self, index: ArrayLike) -> Vector:
        """Return the LPS position of an index (k, j, i), fractions allowed."""
        return np.asarray(self.affine_lps[:3, :3] @ np.asarray(index, dtype=np.float64) + self.affine_lps[:3, 3])

    def slice_at(self, position: ArrayLike) -> int | None:
        """Return the slice whose first voxel lies at `position` (LPS mm), None if there is none."""
        offset = np.asarray(position, dtype=np.float64) - self.affine_lps[:3, 3]
        k = round(float(offset @ self.normal) / self.spacing_mm[0])
        if not 0 <= k < self.shape[0]:
            return None
        away = float(np.linalg.norm(offset - k * self.affine_lps[:3, 0]))
        return k if away <= 0.5 * min(self.spacing_mm) else None


def geometry_of(datasets: Sequence[Dataset]) -> VolumeGeometry:
    """Return the grid of the single-frame images of one series, given in any order.

    Parameters
    ----------
    datasets
        Headers are enough; pixel data is not looked at.

    Returns
    -------
    VolumeGeometry
        Slices in the order of the normal.

    Raises
    ------
    DataError
        If the images are of several series, sizes or orientations, lie twice in one place, have a slice missing or
        unequal distances, or lack what the position is made of. The message names the series and what to do.
    """
    if not datasets:
        raise DataError("There are no images: pass the images of one series.")
    first = datasets[0]
    series = text_of(first, "SeriesInstanceUID")
    for ds in datasets:
        _check_single_frame(ds, series)
    _check_alike(datasets, series)
    row, column = _directions(datasets, series)
    normal = np.cross(row, column)
    rows_mm, columns_mm = _numbers(first, "PixelSpacing", 2, series)
    if min(rows_mm, columns_mm) <= 0:
        raise DataError("PixelSpacing must be above 0: send the series again.", uid=series, tag="PixelSpacing")
    positions = np.array([_numbers(ds, "ImagePositionPatient", 3, series) for ds in datasets])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    step = _slice_step(positions, normal, first=first, series=series)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, column * rows_mm, row * columns_mm
    affine[:3, 3] = positions[0]
    return VolumeGeometry(
        shape=(len(datasets), whole_number(first, "Rows"), whole_number(first, "Columns")),
        affine_lps=affine,
        # To the nanometre: positions are decimal strings, and 2.9999999999 mm would be carried into every volume.
        spacing_mm=(round(float(step @ normal), 6), rows_mm, columns_mm),
        sop_instance_uids=tuple(image_key(datasets[i]) for i in order),
        frame_of_reference_uid=text_of(first, "FrameOfReferenceUID"),
    )


def text_of(ds: Dataset, keyword: str) -> str:
    """Return an attribute as text without outer blanks, empty if it is absent or has no value."""
    value = attribute(ds, keyword)
    return "" if value is None else str(value).strip()


def image_key(ds: Dataset) -> str:
    """Return what names a slice: its SOPInstanceUID, with ``#`` and the number of the frame from the second on."""
    return frame_key(text_of(ds, "SOPInstanceUID"), whole_number(ds, "ReferencedFrameNumber", default=1))


def frame_key(sop_instance_uid: str, frame: int) -> str:
    """Return the key of a frame, counted from 1. Viewers refer to a single-frame image's only frame as 1, or not."""
    return sop_instance_uid if frame <= 1 or not sop_instance_uid else f"{sop_instance_uid}#{frame}"


def attribute(ds: Dataset, keyword: str) -> Any:
    """Return an attribute's value, None if it is absent or empty.

    Raises
    ------
    DataError
        If its bytes are no value of its type (files are converted only when looked at).
    """
    try:
        value = ds.get(keyword)
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
        raise DataError(
            "The value of this attribute can't be read: send the file again.",
            uid=str(ds.get("SOPInstanceUID", "")),
            tag=keyword,
        ) from error
    empty = value is None or (isinstance(value, str | PersonName) and not str(value))
    return None if empty else value


def whole_number(ds: Dataset, keyword: str, *, default: int = 0) -> int:
    """Return an attribute as a whole number, `default` if it is absent or empty."""
    value = attribute(ds, keyword)
    try:
        return default if value is None else int(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            "This attribute is no whole number: send the file again.",
            uid=str(ds.get("SOPInstanceUID", "")),
            tag=keyword,
        ) from error


def decimal_number(ds: Dataset, keyword: str) -> float | None:
    """Return an attribute as a finite number, None if it is absent, empty or no such number."""
    value = attribute(ds, keyword)
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def in_slice_order(datasets: Sequence[Dataset], geometry: VolumeGeometry) -> list[Dataset]:
    """Return the images in the order of the slices of their `geometry`."""
    by_key = {image_key(ds): ds for ds in datasets}
    return [by_key[key] for key in geometry.sop_instance_uids]


def _check_single_frame(ds: Dataset, series: str) -> None:
    if whole_number(ds, "NumberOfFrames", default=1) > 1 or "PerFrameFunctionalGroupsSequence" in ds:
        raise DataError(
            "A multi-frame image without a place for each frame lies in this series: send the original series.",
            uid=series,
            tag="NumberOfFrames",
        )
    for keyword in ("SOPInstanceUID", "Rows", "Columns"):
        if not attribute(ds, keyword):
            raise DataError("An image lacks this attribute: send the series again.", uid=series, tag=keyword)


def _check_alike(datasets: Sequence[Dataset], series: str) -> None:
    for keyword, what in (
        ("StudyInstanceUID", "studies"),
        ("SeriesInstanceUID", "series"),
        ("FrameOfReferenceUID", "frames of reference"),
        ("Rows", "numbers of rows"),
        ("Columns", "numbers of columns"),
    ):
        found = {text_of(ds, keyword) for ds in datasets}
        if len(found) > 1:
            raise DataError(
                f"The images have {len(found)} different {what}: pass the images of one series, all of one size.",
                uid=series,
                tag=keyword,
            )
    spacings = np.array([_numbers(ds, "PixelSpacing", 2, series) for ds in datasets])
    if not np.allclose(spacings, spacings[0], rtol=1e-4, atol=1e-5):
        raise DataError("Pixel spacing differs within the series: choose another one.", uid=series, tag="PixelSpacing")
    if len({image_key(ds) for ds in datasets}) < len(datasets):
        raise DataError("The same image comes twice: pass each image once.", uid=series, tag="SOPInstanceUID")


def _directions(datasets: Sequence[Dataset], series: str) -> tuple[Vector, Vector]:
    orientations = np.array([_numbers(ds, "ImageOrientationPatient", _ORIENTATION_LENGTH, series) for ds in datasets])
    if not np.allclose(orientations, orientations[0], atol=_COSINE_TOLERANCE):
        raise DataError(
            "The images do not all lie in parallel planes (a localizer?): choose a series with one orientation.",
            uid=series,
            tag="ImageOrientationPatient",
        )
    row, column = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(row @ column) > _SKEW_TOLERANCE or max(abs(length - 1) for length in lengths) > _SKEW_TOLERANCE:
        raise DataError(
            "Row and column direction are no unit vectors at right angles: send the series again.",
            uid=series,
            tag="ImageOrientationPatient",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)


def _slice_step(positions: Vector, normal: Vector, *, first: Dataset, series: str) -> Vector:
    """Return the vector from one slice to the next."""
    if len(positions) == 1:
        distance = decimal_number(first, "SpacingBetweenSlices") or decimal_number(first, "SliceThickness") or 0.0
        if distance <= 0:
            raise DataError(
                "A single slice without SpacingBetweenSlices and SliceThickness has no volume: send the whole series.",
                uid=series,
                tag="SliceThickness",
            )
        return np.asarray(normal * distance, dtype=np.float64)
    gaps = np.diff(positions @ normal)
    if gaps.min() < _SAME_PLACE_MM:
        k = int(np.argmin(gaps))
        raise DataError(
            f"Two images lie at the same position (slice {k + 1} of {len(positions)}): the series holds several time "
            "points, echoes or copies; choose a series with one image per position.",
            uid=series,
            tag="ImagePositionPatient",
        )
    usual = float(np.median(gaps))
    if abs(gaps - usual).max() > _SPACING_TOLERANCE * usual:
        raise DataError(_uneven(gaps, usual), uid=series, tag="ImagePositionPatient")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    strays = positions - (positions[0] + np.arange(len(positions))[:, None] * step)
    if np.linalg.norm(strays, axis=1).max() > _STRAY_TOLERANCE * usual:
        raise DataError(
            "The first voxels of the slices do not lie on a straight line: choose another series.",
            uid=series,
            tag="ImagePositionPatient",
        )
    return np.asarray(step, dtype=np.float64)


def _uneven(gaps: Vector, usual: float) -> str:
    multiples = gaps / usual
    if np.allclose(multiples, np.rint(multiples), atol=2 * _SPACING_TOLERANCE):
        missing = int(np.rint(multiples).sum()) - len(gaps)
        after = int(np.argmax(gaps)) + 1
        return (
            f"{missing} of {missing + len(gaps) + 1} slices are missing, first after slice {after}: "
            "send the series again, whole."
        )
    return (
        f"Slice distances run from {gaps.min():.3f} to {gaps.max():.3f} mm: volumes would be wrong; "
        "choose a series with equal distances."
    )


def _numbers(ds: Dataset, keyword: str, count: int, series: str) -> tuple[float, ...]:
    value = attribute(ds, keyword)
    if value is None or isinstance(value, str | float | int) or len(value) != count:
        raise DataError(
            f"An image lacks the {count} numbers of this attribute: choose a series of parallel slices.",
            uid=series,
            tag=keyword,
        )
    numbers = tuple(float(v) for v in value)
    if not np.isfinite(numbers).all():
        raise DataError("An image has a number here that is none: send the series again.", uid=series, tag=keyword)
    return numbers
