"""A volume of labels from elsewhere (NIfTI) laid onto the grid of a series: turned and mirrored, never resampled."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from overread.dicom.geometry import VolumeGeometry
from overread.errors import DataError

_OFF_VOXEL: Final = 0.1
"""By how much of a voxel any corner may miss its place."""
_RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_DIMENSIONS: Final = 3


def on_grid(labels: NDArray[Any], affine_ras: NDArray[np.float64], geometry: VolumeGeometry) -> NDArray[np.int64]:
    """Return a volume of labels in the order of a series.

    Parameters
    ----------
    labels
        Three dimensions, in any order and direction; whole numbers.
    affine_ras
        (4, 4) from its index to RAS in mm, as NIfTI has it.
    geometry
        Grid of the images.

    Returns
    -------
    array of int64
        (slices, rows, columns).

    Raises
    ------
    DataError
        If it has other than whole numbers, another size, or lies elsewhere than the images: resampling would change
        what was drawn.
    """
    whole = _whole(labels)
    if not np.isfinite(affine_ras).all() or abs(np.linalg.det(affine_ras)) < 1e-12:  # noqa: PLR2004 - as good as 0
        raise DataError("The volume does not say where it lies (its affine is no transform): export it again.")
    to_series = np.linalg.inv(geometry.affine_lps) @ _RAS_TO_LPS @ affine_ras
    turned = np.rint(to_series[:3, :3])
    if not np.array_equal(np.abs(turned).sum(axis=0), [1, 1, 1]) or abs(np.linalg.det(turned)) != 1:
        raise DataError(
            "The volume lies askew to the images, or has other voxels: export it on the grid of the series."
        )
    axes = [int(np.flatnonzero(turned[axis])[0]) for axis in range(_DIMENSIONS)]
    shape = tuple(whole.shape[axis] for axis in axes)
    if shape != geometry.shape:
        raise DataError(
            f"The volume has {shape} voxels, the images {geometry.shape} (slices, rows, columns): it was made of "
            "another series, or resampled."
        )
    away = _away(to_series, turned, axes, geometry.shape)
    if away > _OFF_VOXEL:
        raise DataError(
            f"The volume lies {away:.1f} voxels beside the images: it was made of another series, or its orientation "
            "was lost on the way; export it again with its affine."
        )
    result = np.transpose(whole, axes)
    for axis, source in enumerate(axes):
        if turned[axis, source] < 0:
            result = np.flip(result, axis)
    return np.ascontiguousarray(result).astype(np.int64)


def _whole(labels: NDArray[Any]) -> NDArray[Any]:
    volume = np.asarray(labels)
    while volume.ndim > _DIMENSIONS and volume.shape[-1] == 1:
        volume = volume[..., 0]
    if volume.ndim != _DIMENSIONS:
        raise DataError(f"The volume has {volume.ndim} dimensions: give one volume of labels.")
    whole = np.rint(volume)
    if not np.isfinite(volume).all() or not np.array_equal(whole, volume):
        raise DataError("The volume holds values that are no whole numbers: give labels, not probabilities.")
    return np.asarray(whole)


def _away(to_series: NDArray[np.float64], turned: NDArray[Any], axes: list[int], shape: tuple[int, int, int]) -> float:
    """Return by how many voxels a corner misses its place at most."""
    sizes = [0, 0, 0]
    for axis, source in enumerate(axes):
        sizes[source] = shape[axis]
    away = 0.0
    for corner in product(*((0, size - 1) for size in sizes)):
        place = (to_series @ [*corner, 1.0])[:3]
        wanted = [
            corner[source] if turned[axis, source] > 0 else shape[axis] - 1 - corner[source]
            for axis, source in enumerate(axes)
        ]
        away = max(away, float(np.abs(place - wanted).max()))
    return away
