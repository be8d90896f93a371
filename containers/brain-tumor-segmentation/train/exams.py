"""An endless supply of synthetic exams for training, rendered on the fly and kept in a pool that is renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.operators.brain import brain_mask
from overread.operators.card import Normalisation
from overread.operators.predict import normalise
from overread.synthetic.anatomy import SampledAnatomy, load_anatomy, sample
from overread.synthetic.brain import Look, add_noise, make_lesion, render
from overread.synthetic.interpolation import Volume
from overread.synthetic.mr import ImageGrid

_SHAPE = (160, 208, 176)
"""Voxels (slices, rows, columns) of a training exam: a whole head at 1 mm."""


_P_FLIP, _P_NEW_HEAD, _P_FINE = 0.5, 0.08, 0.35
"""Shares: patches mirrored; exams with a head drawn anew, with voxels of 1 mm all round."""
_HALF: Final = 0.5
_HEADS: Final = 6
"""Turned and scaled heads at a time; each takes 120 MB."""


@dataclass(frozen=True)
class TrainingExam:
    """A normalised exam, arrays (slices, rows, columns): z-scores as half floats, lesion mask."""

    image: NDArray[np.float16]
    mask: NDArray[np.bool_]


class ExamPool:
    """Exams to draw patches from.

    Parameters
    ----------
    anatomies
        Names of the heads that may be used; no other is looked at.
    size
        Number of exams kept.
    rng
        Decides everything.
    rules
        How the image will normalise an exam.
    padding
        Value outside an exam's foreground box, as the image pads.
    """

    def __init__(
        self, anatomies: Sequence[str], *, size: int, rng: np.random.Generator, rules: Normalisation, padding: float
    ) -> None:
        self._rng = rng
        self._rules, self._padding = rules, padding
        self._anatomies = list(anatomies)
        self._heads = [
            self._head(self._anatomies[n % len(self._anatomies)]) for n in range(max(_HEADS, len(anatomies)))
        ]
        self._exams = [self._exam() for _ in range(size)]
        self._next = 0

    def renew(self) -> None:
        """Replace the oldest exam by a new one."""
        self._exams[self._next] = self._exam()
        self._next = (self._next + 1) % len(self._exams)

    def patch(self, side: int, *, on_lesion: bool) -> tuple[Volume, NDArray[np.bool_]]:
        """Return a cube from a random exam, around a voxel of a lesion or anywhere, flipped left to right or not."""
        rng = self._rng
        while True:
            exam = self._exams[rng.integers(len(self._exams))]
            if not on_lesion or exam.mask.any():
                break
        shape = np.asarray(exam.image.shape)
        if on_lesion:
            inside = np.flatnonzero(exam.mask)
            middle = np.asarray(np.unravel_index(inside[rng.integers(inside.size)], exam.mask.shape))
            start = middle - side // 2 + rng.integers(-side // 3, side // 3 + 1, 3)
        else:
            start = rng.integers(-side // 4, shape - side + side // 4 + 1)
        start = np.clip(start, 0, np.maximum(shape - side, 0))
        cut = tuple(slice(int(a), int(a) + side) for a in start)
        image = _padded(exam.image[cut].astype(np.float32), side, value=self._padding)
        mask = _padded(exam.mask[cut], side, value=False)
        if rng.random() < _P_FLIP:
            image, mask = image[:, :, ::-1], mask[:, :, ::-1]
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    def _head(self, name: str) -> SampledAnatomy:
        """Return the anatomy, a little turned and of another size."""
        rng, anatomy = self._rng, load_anatomy(name)
        angles = np.deg2rad(rng.uniform(-12.0, 12.0, 3))
        turn = np.eye(3)
        for axis, angle in enumerate(angles):
            first, second = [a for a in range(3) if a != axis]
            one = np.eye(3)
            one[first, first] = one[second, second] = np.cos(angle)
            one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
            turn = turn @ one
        spacing = tuple(float(s) for s in rng.uniform(0.9, 1.12, 3))
        row, column = turn[:, 0], turn[:, 1]
        grid = ImageGrid(
            shape=_SHAPE,
            spacing_mm=(spacing[0], spacing[1], spacing[2]),
            row_cosine=(row[0], row[1], row[2]),
            column_cosine=(column[0], column[1], column[2]),
            origin_mm=(0.0, 0.0, 0.0),
        )
        jitter = rng.uniform(-8.0, 8.0, 3)
        x, y, z = np.asarray(anatomy.centre_lps_mm) + jitter - grid.affine_lps[:3, :3] @ ((np.asarray(_SHAPE) - 1) / 2)
        return sample(
            anatomy,
            ImageGrid(
                shape=grid.shape,
                spacing_mm=grid.spacing_mm,
                row_cosine=grid.row_cosine,
                column_cosine=grid.column_cosine,
                origin_mm=(float(x), float(y), float(z)),
            ),
        )

    def _exam(self) -> TrainingExam:
        rng = self._rng
        if rng.random() < _P_NEW_HEAD:
            slot = int(rng.integers(len(self._heads)))
            self._heads[slot] = self._head(self._heads[slot].anatomy.name)
        head = self._heads[rng.integers(len(self._heads))]
        mask = np.zeros(head.grid.shape, dtype=np.bool_)
        lesions = rng.choice([0, 1, 2], p=[0.15, 0.7, 0.15])
        for _ in range(lesions):
            volume_ml = float(np.exp(rng.uniform(np.log(0.4), np.log(60.0))))
            mask |= make_lesion(head, volume_ml, seed=int(rng.integers(2**31)))
        look, seed = Look.draw(rng), int(rng.integers(2**31))
        image = render(head, mask, look=look, seed=seed)
        image, mask = _acquired(image, mask, noise=look.noise, seed=seed, rng=rng)
        image = np.where(brain_mask(image, spacing_mm=head.grid.spacing_mm), image, image.min())
        z, foreground = normalise(image, self._rules)
        box = ndimage.find_objects(foreground.astype(np.int8))[0]
        return TrainingExam(z[box].astype(np.float16), mask[box])


def _acquired(
    image: Volume, mask: NDArray[np.bool_], *, noise: float, seed: int, rng: np.random.Generator
) -> tuple[Volume, NDArray[np.bool_]]:
    """Return image and mask as seen through slices of 1 to 5.5 mm along a random axis, interpolated to 1 mm again."""
    if rng.random() < _P_FINE:
        return add_noise(image, sigma=noise, seed=seed), mask
    axis, thickness = int(rng.integers(3)), float(rng.uniform(1.2, 5.5))
    n = image.shape[axis]
    average, interpolate = _slab_matrices(n, thickness)
    thick = add_noise(_along(average, image, axis), sigma=noise, seed=seed)
    seen = _along(interpolate, thick, axis)
    thick_mask = (_along(average, mask.astype(np.float32), axis) > _HALF).astype(np.float32)
    return seen, np.asarray(_along(interpolate, thick_mask, axis) > _HALF, dtype=np.bool_)


def _slab_matrices(n: int, thickness: float) -> tuple[Volume, Volume]:
    """Return (slabs, n) averaging `n` thin slices into slabs, and (n, slabs) interpolating them back."""
    slabs = max(2, int(n / thickness))
    edges = np.linspace(0.0, n, slabs + 1)
    index = np.arange(n)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    average = np.clip(overlap, 0.0, None)
    average /= average.sum(axis=1, keepdims=True)
    centres = (edges[1:] + edges[:-1]) / 2 - 0.5
    interpolate = np.stack([np.interp(index, centres, row) for row in np.eye(slabs)], axis=1)
    return average.astype(np.float32), interpolate.astype(np.float32)


def _along(matrix: Volume, volume: Volume, axis: int) -> Volume:
    return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis))


def _padded(values: NDArray[Any], side: int, *, value: float) -> NDArray[Any]:
    missing = [(0, side - n) for n in values.shape]
    return np.pad(values, missing, constant_values=value) if any(m for _, m in missing) else values
