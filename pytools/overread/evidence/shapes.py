"""How a mask is shaped, in numbers: what a person and a program draw differently, if anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

FEATURES: Final[Mapping[str, str]] = {
    "drawn": "whether anything is drawn",
    "volume": "volume (log mm³)",
    "surface": "surface per volume to the power 2/3",
    "roughness": "voxels that a 3 x 3 median changes, per voxel of the outline",
    "corners": "corners of the outline in the slice, per voxel of it",
    "straightness": "outline voxels that continue straight on, per voxel of it",
    "jitter": "voxels that change from slice to slice, per area",
    "gaps": "slices within the extent without a voxel, per slice",
    "components": "parts (log)",
    "specks": "share of the volume outside the largest part",
    "holes": "holes in the slices, per slice",
    "steps": "outline length across slices beside that within them",
}


def shape_of(mask: Mask, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
    """Return the features of a mask.

    Parameters
    ----------
    mask
        (slices, rows, columns).
    spacing_mm
        In the same order.

    Returns
    -------
    dict
        Keys of `FEATURES`; nan for all but ``drawn`` where nothing is drawn.
    """
    if not mask.any():
        return {name: 0.0 if name == "drawn" else float("nan") for name in FEATURES}
    body = np.pad(mask[tuple(_extent(mask))], 1)
    slices = body[1:-1]
    areas = slices.sum(axis=(1, 2))
    outline = slices & ~_eroded(slices)
    length = max(int(outline.sum()), 1)
    _, parts = ndimage.label(body, structure=np.ones((3, 3, 3)))
    sizes = ndimage.sum_labels(body, ndimage.label(body, structure=np.ones((3, 3, 3)))[0], np.arange(1, parts + 1))
    dz, dy, dx = spacing_mm
    between = _faces(body, 0) * dy * dx
    within = _faces(body, 1) * dz * dx + _faces(body, 2) * dz * dy
    volume = float(body.sum()) * dz * dy * dx
    smooth = ndimage.median_filter(slices.astype(np.uint8), size=(1, 3, 3)) > 0
    corners, straight = _turns(slices)
    full = np.flatnonzero(areas)
    return {
        "drawn": 1.0,
        "volume": float(np.log(volume)),
        "surface": float((between + within) / volume ** (2 / 3)),
        "roughness": float((smooth != slices).sum() / length),
        "corners": corners / length,
        "straightness": straight / length,
        "jitter": float((body[1:-2] != body[2:-1]).sum() / areas.sum()) if len(areas) > 1 else 0.0,
        "gaps": 1.0 - len(full) / len(areas),
        "components": float(np.log(parts)),
        "specks": float(1.0 - max(sizes) / sizes.sum()),
        "holes": float(_holes(slices) / len(areas)),
        "steps": float(between / max(within, 1e-9)),
    }


def _extent(mask: Mask) -> list[slice]:
    found = []
    for axis in range(mask.ndim):
        line = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        found.append(slice(int(line[0]), int(line[-1]) + 1))
    return found


def _eroded(slices: Mask) -> Mask:
    cross = np.zeros((1, 3, 3), dtype=np.bool_)
    cross[0, 1, :] = cross[0, :, 1] = True
    return np.asarray(ndimage.binary_erosion(slices, structure=cross), dtype=np.bool_)


def _faces(body: Mask, axis: int) -> int:
    return int(np.count_nonzero(np.diff(body.astype(np.int8), axis=axis)))


def _turns(slices: Mask) -> tuple[float, float]:
    """Count the points between four pixels where the outline turns, and where it goes straight on."""
    a, b = slices[:, :-1, :-1], slices[:, :-1, 1:]
    c, d = slices[:, 1:, :-1], slices[:, 1:, 1:]
    count = a.astype(np.int8) + b + c + d
    two = count == 2  # noqa: PLR2004 - of four
    straight = two & ((a == b) | (a == c))
    return float((((count == 1) | (count == 3)).sum()) + 2 * (two & ~straight).sum()), float(straight.sum())  # noqa: PLR2004


def _holes(slices: Mask) -> int:
    background = ~slices
    _, regions = ndimage.label(background, structure=_within_slices())
    return int(regions) - len(slices)


def _within_slices() -> NDArray[np.bool_]:
    structure = np.zeros((3, 3, 3), dtype=np.bool_)
    structure[1, 1, :] = structure[1, :, 1] = True
    return structure
