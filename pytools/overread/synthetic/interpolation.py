"""Linear interpolation of volumes, axis by axis where the grids are parallel: a fifth of the time of a general one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]

_PARALLEL_TOLERANCE: Final = 1e-9


def at_indices(values: Volume, to_index: NDArray[np.float64], shape: tuple[int, int, int]) -> Volume:
    """Interpolate `values` at the voxels of another grid; 0 outside.

    Parameters
    ----------
    values
        The volume, three axes.
    to_index
        (4, 4) matrix from an index of the new grid to an index of `values`.
    shape
        Of the new grid.

    Returns
    -------
    ndarray of float32
        The volume on the new grid.
    """
    matrix, offset = to_index[:3, :3], to_index[:3, 3]
    partner = np.abs(matrix).argmax(axis=1)
    rest = matrix.copy()
    rest[np.arange(3), partner] = 0.0
    if np.abs(rest).max() > _PARALLEL_TOLERANCE or len(set(partner.tolist())) < matrix.shape[0]:
        return np.asarray(
            ndimage.affine_transform(values, matrix, offset, output_shape=shape, order=1, output=np.float32)
        )
    result = values
    # The axis that shrinks most goes first; axes stay in the order of `values` until the end: both save copying.
    for axis in sorted(range(3), key=lambda own: shape[partner[own]] / values.shape[own]):
        at = matrix[axis, partner[axis]] * np.arange(shape[partner[axis]]) + offset[axis]
        result = _along(result, at, axis=axis, clamp=False)
    return np.ascontiguousarray(result.transpose(np.argsort(partner)), dtype=np.float32)


def enlarge(coarse: Volume, steps: Sequence[float], shape: tuple[int, int, int], *, offset: float = 0.0) -> Volume:
    """Interpolate at ``index / step + offset`` along each axis; the border's value outside.

    Parameters
    ----------
    coarse
        The volume, three axes.
    steps
        New voxels per old one, for each axis.
    shape
        Of the result.
    offset
        Old index of the first new voxel.

    Returns
    -------
    ndarray of float32
        The volume on the finer grid.
    """
    result = coarse
    for axis, (step, n) in enumerate(zip(steps, shape, strict=True)):
        at = np.arange(n) / step + offset
        result = _along(result, at, axis=axis, clamp=True)
    return np.ascontiguousarray(result, dtype=np.float32)


def _along(volume: Volume, at: NDArray[np.float64], *, axis: int, clamp: bool) -> Volume:
    """Interpolate one axis at the indices `at`; beyond the ends the border's value or 0."""
    last = volume.shape[axis] - 1
    inside = np.clip(at, 0, last)
    low = inside.astype(int)
    share = (inside - low).astype(np.float32)
    outside = np.zeros(at.shape, dtype=np.bool_) if clamp else (at < 0) | (at > last)
    shape = [1, 1, 1]
    shape[axis] = at.size
    result = volume.take(low, axis=axis) * np.where(outside, 0.0, 1.0 - share).astype(np.float32).reshape(shape)
    result += volume.take(np.minimum(low + 1, last), axis=axis) * np.where(outside, 0.0, share).astype(
        np.float32
    ).reshape(shape)
    return result
