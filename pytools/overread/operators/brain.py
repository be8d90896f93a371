"""Where the brain is in a head, found by depth and connection: no network, no atlas.

Bone is dark on most MR images. Tissue deep below its own surface is brain (scalp and muscle are thin); from there the
mask grows back through tissue, but not far, so it can't follow nerves and vessels out of the skull. Good enough for
the middle of the brain; what a lesion network sees is cut out by a network (`overread.operators.extract`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

_WORK_MM: Final = 2.0
_FOREGROUND: Final = 0.6
"""Fraction of the brightness halfway between air and tissue that is no air."""
_ROUNDS: Final = 10
"""After which that level moves no more."""
_LEVELS: Final = (0.5, 0.58, 0.66, 0.74, 0.82)
"""Tissue's least brightness as a fraction of the brain's: the first one at which bone parts brain and scalp."""
_LARGEST_ML: Final = 2150.0
"""More than this is no brain alone: bone as bright as tissue let face or neck in."""
_DEPTH_MM: Final = 6.5
"""The core's least depth in tissue."""
_DEEP_MM: Final = 35.0
"""This far below the head's surface there is hardly anything but brain, whatever the scalp looks like."""
_BELOW_SCALP_MM: Final = 18.0
"""The core lies this far below the head's surface: scalp and bone together are thinner."""
_STRIPPED_ML: Final = 2300.0
"""What is no larger in all has no skull: a whole head has more than 3 litres."""
_SHARE: Final = 0.1
"""Pieces of the core smaller than this part of the largest are muscle or eyes."""
_GROW_MM, _CLOSE_MM, _OPEN_MM = 3.5, 5.0, 3.0
"""Growth beyond the core's depth; then sulci and ventricles are closed, leaving a rim of 2 mm."""


def brain_mask(values: Values, *, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the voxels of the brain and the fluid around it.

    Parameters
    ----------
    values
        (slices, rows, columns) of a head, with or without its skull, bright tissue on dark ground.
    spacing_mm
        In the same order.

    Returns
    -------
    array of bool
        The whole head if nothing in it looks like a brain.
    """
    steps = [max(1, round(_WORK_MM / s)) for s in spacing_mm]
    spacing = [s * step for s, step in zip(spacing_mm, steps, strict=True)]
    smooth = ndimage.gaussian_filter(values, [0.8 / s for s in spacing_mm])
    coarse = np.asarray(smooth[tuple(slice(None, None, step) for step in steps)], dtype=np.float32)
    chosen = _find(coarse, spacing)
    for axis, (step, n) in enumerate(zip(steps, values.shape, strict=True)):
        chosen = chosen.take(np.minimum((np.arange(n) + step // 2) // step, chosen.shape[axis] - 1), axis=axis)
    return chosen


def _find(coarse: Values, spacing: list[float]) -> Mask:
    foreground = coarse > _FOREGROUND * _halfway(coarse)
    head = np.pad(ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(foreground, 3), iterations=2)), 1)
    below = ndimage.distance_transform_edt(head, sampling=spacing)[4:-4, 4:-4, 4:-4]
    inside = below > 0
    voxel_ml = float(np.prod(spacing)) / 1000.0
    deep = foreground & (below > _DEEP_MM)
    if inside.sum() * voxel_ml <= _STRIPPED_ML or not deep.any():
        return np.asarray(inside if inside.any() else np.ones(coarse.shape), dtype=np.bool_)
    brightness = float(np.median(coarse[deep]))
    masks = (_grown(coarse > level * brightness, below, spacing) for level in _LEVELS)
    fallback = inside
    for brain in masks:
        if brain is None:
            continue
        if brain.sum() * voxel_ml <= _LARGEST_ML:
            return brain
        fallback = brain
    return fallback


def _halfway(values: Values) -> float:
    """Return the level that lies halfway between the means of what is darker and of what is brighter."""
    level = float(values.mean())
    for _ in range(_ROUNDS):
        bright = values > level
        if not bright.any():
            break
        level = float(values[bright].mean() + values[~bright].mean()) / 2
    return level


def _grown(tissue: Mask, below: NDArray[np.float64], spacing: list[float]) -> Mask | None:
    """Return the brain in a tissue mask, or None if nothing in it lies deep enough."""
    depth = ndimage.distance_transform_edt(tissue, sampling=spacing)
    labels, count = ndimage.label((depth > _DEPTH_MM) & (below > _BELOW_SCALP_MM))
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    core = np.isin(labels, np.flatnonzero(sizes >= _SHARE * sizes.max()) + 1)
    near = ndimage.distance_transform_edt(~core, sampling=spacing) <= _DEPTH_MM + _GROW_MM
    brain = np.pad(ndimage.binary_propagation(core, mask=tissue & near), 4)
    closed = ndimage.distance_transform_edt(~brain, sampling=spacing) <= _CLOSE_MM
    filled = ndimage.binary_fill_holes(closed)
    rim = ndimage.distance_transform_edt(filled, sampling=spacing) > _OPEN_MM
    return np.asarray(rim[4:-4, 4:-4, 4:-4], dtype=np.bool_)
