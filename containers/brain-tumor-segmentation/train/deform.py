"""Turns, sizes and smooth bends, so that a network sees more heads than there are anatomies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.synthetic.anatomy import SampledAnatomy
from overread.synthetic.interpolation import Volume, enlarge

_LATTICE: Final = 5
"""Points along each axis between which a head is bent."""
_HALF: Final = 0.5


def random_turn(rng: np.random.Generator, *, degrees: float) -> NDArray[np.float64]:
    """Return a rotation (3, 3) by at most so much about each axis."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-degrees, degrees, 3))):
        first, second = [a for a in range(3) if a != axis]
        one = np.eye(3)
        one[first, first] = one[second, second] = np.cos(angle)
        one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    return turn


def bent(head: SampledAnatomy, *, rng: np.random.Generator, by_mm: float) -> SampledAnatomy:
    """Return the head with its tissue displaced smoothly, by `by_mm` (root mean square) along each axis."""
    places = _places(head.grid.shape, rng=rng, by=[by_mm / s for s in head.grid.spacing_mm])

    def moved(values: Volume) -> Volume:
        return np.asarray(ndimage.map_coordinates(values, places, order=1, output=np.float32))

    return replace(
        head,
        t1=moved(head.t1),
        csf=moved(head.csf),
        gm=moved(head.gm),
        wm=moved(head.wm),
        texture=moved(head.texture),
    )


def warped(image: Volume, mask: NDArray[np.bool_], *, rng: np.random.Generator) -> tuple[Volume, NDArray[np.bool_]]:
    """Return an image and its mask turned, of another size, and bent, on the same grid."""
    matrix = random_turn(rng, degrees=10.0) @ np.diag(rng.uniform(0.88, 1.14, 3))
    middle = (np.asarray(image.shape, dtype=np.float64)[:, None, None, None] - 1) / 2
    places = _places(image.shape, rng=rng, by=[0.9] * 3) - middle
    places = np.tensordot(matrix, places, axes=1) + middle
    moved: Any = ndimage.map_coordinates(image, places, order=1, output=np.float32)
    inside = ndimage.map_coordinates(mask.astype(np.float32), places, order=1)
    return moved, np.asarray(inside > _HALF, dtype=np.bool_)


def _places(shape: tuple[int, ...], *, rng: np.random.Generator, by: list[float]) -> NDArray[np.float64]:
    """Return indices (3, slices, rows, columns), each displaced by a smooth field of so many voxels."""
    slices, rows, columns = shape
    places = np.array(np.meshgrid(*[np.arange(n, dtype=np.float64) for n in shape], indexing="ij"))
    for axis, voxels in enumerate(by):
        coarse = voxels * rng.standard_normal((_LATTICE,) * 3).astype(np.float32)
        steps = [(n - 1) / (_LATTICE - 1) for n in shape]
        places[axis] += ndimage.gaussian_filter(enlarge(coarse, steps, (slices, rows, columns)), 2.0)
    return places
