"""To the grid a network was trained on and back.

Matrices map indices to indices: ``to_source @ (k, j, i, 1)`` of the target is the index in the source.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry

Values = NDArray[np.float32]
Matrix = NDArray[np.float64]
Interpolation = Literal["nearest", "linear"]

_ORDER: Final[dict[Interpolation, Literal[0, 1]]] = {"nearest": 0, "linear": 1}
_DIRECTION: Final = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}
"""LPS unit vectors by the letter of the side they point to."""
_EDGE: Final = 1e-3
"""Fraction of a voxel by which a grid may miss its last plane through rounding."""


def patient_grid(
    geometry: VolumeGeometry, *, axes: tuple[str, str, str], spacing_mm: tuple[float, float, float]
) -> tuple[Matrix, tuple[int, int, int]]:
    """Return the grid along the patient's axes that encloses all voxel centres of a volume.

    Parameters
    ----------
    geometry
        Grid of the volume, in any orientation.
    axes
        Direction of increasing (slice, row, column) index: one letter of each of L/R, P/A, S/I.
    spacing_mm
        In the order of `axes`.

    Returns
    -------
    tuple
        ``affine_lps`` (4, 4) of the new grid, and its shape.
    """
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in geometry.shape], indexing="ij")).reshape(3, -1)
    places = geometry.affine_lps[:3, :3] @ corners + geometry.affine_lps[:3, 3:]
    directions = np.array([_DIRECTION[a] for a in axes])
    along = directions @ places
    low, high = along.min(axis=1), along.max(axis=1)
    affine = np.eye(4)
    affine[:3, :3] = directions.T * np.asarray(spacing_mm)
    affine[:3, 3] = directions.T @ low
    slices, rows, columns = (
        int(np.floor((b - a) / s + _EDGE)) + 1 for a, b, s in zip(low, high, spacing_mm, strict=True)
    )
    return affine, (slices, rows, columns)


def smooth_for(
    values: Values, geometry: VolumeGeometry, *, spacing_mm: tuple[float, float, float], antialias: float
) -> Values:
    """Return a volume smoothed as far as coarser sampling would otherwise alias it.

    Along each of its own axes, by a Gaussian of ``antialias * (target / source - 1)`` voxels where that is positive;
    ``target`` is the finest of `spacing_mm`.
    """
    source = np.linalg.norm(geometry.affine_lps[:3, :3], axis=0)
    sigma = np.clip(antialias * (min(spacing_mm) / source - 1.0), 0.0, None)
    return np.asarray(ndimage.gaussian_filter(values, sigma), dtype=np.float32) if (sigma > 0).any() else values


def resample(
    values: Values,
    *,
    source_affine: Matrix,
    target_affine: Matrix,
    shape: tuple[int, int, int],
    outside: float,
    interpolation: Interpolation = "linear",
) -> Values:
    """Return `values` on another grid.

    Parameters
    ----------
    values
        (slices, rows, columns) on the grid of `source_affine`.
    source_affine, target_affine
        (4, 4), index (k, j, i) to LPS mm.
    shape
        Of the target.
    outside
        Value beyond the source.
    interpolation
        ``nearest`` for labels, ``linear`` for intensities and probabilities.
    """
    to_source = np.linalg.inv(source_affine) @ target_affine
    turn = to_source[:3, :3]
    # Axes that stay axes are interpolated one after the other, which is many times faster.
    straight = np.count_nonzero(np.abs(turn) > _EDGE * np.abs(turn).max()) == len(turn) and (np.diag(turn) > 0).all()
    return np.asarray(
        ndimage.affine_transform(
            values,
            np.diag(turn) if straight else turn,
            to_source[:3, 3],
            output_shape=shape,
            order=_ORDER[interpolation],
            mode="grid-constant",
            cval=outside,
            output=np.float32,
        )
    )


def resample_back(
    values: Values,
    *,
    affine: Matrix,
    geometry: VolumeGeometry,
    above: float,
    interpolation: Interpolation = "linear",
) -> Values:
    """Return values of a network's grid on the series' own grid, computed only where they can exceed `above`.

    Interpolation never exceeds its neighbours; so outside the box around all values above the threshold the result
    can't exceed it either, and is set to 0.

    Parameters
    ----------
    values
        On the grid of `affine`.
    affine
        (4, 4), index to LPS mm.
    geometry
        Grid of the series.
    above
        Threshold that matters to the caller.
    interpolation
        As for `resample`.
    """
    result = np.zeros(geometry.shape, dtype=np.float32)
    found = ndimage.find_objects((values > above).astype(np.int8))
    if not found:
        return result
    low = np.array([s.start - 1 for s in found[0]])
    high = np.array([s.stop for s in found[0]])
    corners = np.array(np.meshgrid(*np.c_[low, high], indexing="ij")).reshape(3, -1)
    to_series = np.linalg.inv(geometry.affine_lps) @ affine
    places = to_series[:3, :3] @ corners + to_series[:3, 3:]
    start = np.clip(np.floor(places.min(axis=1)).astype(int), 0, np.asarray(geometry.shape))
    stop = np.clip(np.ceil(places.max(axis=1)).astype(int) + 1, 0, np.asarray(geometry.shape))
    if (stop <= start).any():
        return result
    part = geometry.affine_lps.copy()
    part[:3, 3] = geometry.position_mm(start)
    size = stop - start
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    result[box] = resample(
        values,
        source_affine=affine,
        target_affine=part,
        shape=(int(size[0]), int(size[1]), int(size[2])),
        outside=0.0,
        interpolation=interpolation,
    )
    return result
