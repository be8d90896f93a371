"""Synthetic exams for training: rendered once, brought to the network's grid, and cut into patches that vary."""

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
from overread.synthetic.mr import ImageGrid, Triple

_SHAPE: Final = (136, 176, 148)
_FINE_MM: Final = 1.2
"""Voxels (slices, rows, columns) of a rendered exam, a whole head, and their size."""

_P_FLIP, _P_FINE = 0.5, 0.4
"""Shares: patches mirrored; exams with fine voxels all round."""
_HALF: Final = 0.5
_HEADS: Final = 4
"""Turned and scaled heads; each takes 120 MB while exams are rendered."""
_NEAR_VOXELS: Final = 12.0
"""How far from the brain leftovers of skull and face may lie."""


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
    spacing_mm
        Of the grid on which the network works.
    padding
        Value outside an exam's foreground box, as the image pads.
    """

    def __init__(
        self,
        anatomies: Sequence[str],
        *,
        size: int,
        rng: np.random.Generator,
        rules: Normalisation,
        spacing_mm: Triple,
        padding: float,
    ) -> None:
        self._rng = rng
        self._rules, self._spacing_mm, self._padding = rules, spacing_mm, padding
        self._anatomies = list(anatomies)
        self._heads = [
            self._head(self._anatomies[n % len(self._anatomies)]) for n in range(max(_HEADS, len(anatomies)))
        ]
        self._exams = [self._exam() for _ in range(size)]
        self._heads.clear()

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
        return _other_contrast(image, rng), np.ascontiguousarray(mask)

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
        spacing = tuple(_FINE_MM * float(s) for s in rng.uniform(0.97, 1.12, 3))
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
        head = self._heads[rng.integers(len(self._heads))]
        axis, parts = int(rng.integers(3)), 1 if rng.random() < _P_FINE else int(rng.integers(2, 5))
        mask = np.zeros(head.grid.shape, dtype=np.bool_)
        for _ in range(rng.choice([0, 1, 2], p=[0.15, 0.6, 0.25])):
            volume_ml = float(np.exp(rng.uniform(np.log(1.0), np.log(60.0))))
            mask |= make_lesion(head, volume_ml, seed=int(rng.integers(2**31)))
        mask = _thick(mask.astype(np.float32), parts, axis) > _HALF  # whole voxels of the series, as its truth is
        look, seed = Look.draw(rng), int(rng.integers(2**31))
        image = add_noise(_thick(render(head, mask, look=look, seed=seed), parts, axis), sigma=look.noise, seed=seed)
        if parts > 1:
            image = _between_slices(image, parts, axis)
        image = _at(image, self._spacing_mm)
        truth = _at(mask.astype(np.float32), self._spacing_mm)
        inside = brain_mask(image, spacing_mm=self._spacing_mm)
        brain = _at(head.brain.astype(np.float32), self._spacing_mm) > _HALF
        image = _with_leftovers(image, inside, brain, level=look.gm**look.gamma, rng=rng)
        z, foreground = normalise(image, self._rules)
        box = ndimage.find_objects(foreground.astype(np.int8))[0]
        return TrainingExam(z[box].astype(np.float16), truth[box] > _HALF)


def _other_contrast(image: Volume, rng: np.random.Generator) -> Volume:
    """Return a patch a little brighter, steeper, curved, and noisier: each exam is seen many times."""
    other = image * rng.uniform(0.85, 1.15) + rng.uniform(-0.25, 0.25)
    other = other + rng.uniform(-0.05, 0.05) * (other**2 - 1.0)
    if rng.random() < _HALF:
        noise = rng.uniform(0.0, 0.15) * rng.standard_normal(image.shape, dtype=np.float32)
        other = other + noise
    return np.ascontiguousarray(other, dtype=np.float32)


def _thick(values: Volume, parts: int, axis: int) -> Volume:
    """Return the average of each `parts` slices along an axis in the place of each of them."""
    n = values.shape[axis]
    starts = np.arange(0, n, parts)
    sums = np.add.reduceat(values, starts, axis=axis)
    counts = np.diff(np.append(starts, n))
    shape = [1, 1, 1]
    shape[axis] = len(starts)
    return np.repeat(sums / counts.reshape(shape).astype(np.float32), counts, axis=axis)


def _between_slices(values: Volume, parts: int, axis: int) -> Volume:
    """Return what linear interpolation between the middles of thick slices gives."""
    n = values.shape[axis]
    starts = np.arange(0, n, parts)
    slices = values.take(starts, axis=axis)
    place = np.clip((np.arange(n) - (parts - 1) / 2) / parts, 0, len(starts) - 1)
    low = np.minimum(place.astype(int), len(starts) - 2)
    shape = [1, 1, 1]
    shape[axis] = n
    weight = (place - low).reshape(shape).astype(np.float32)
    return np.asarray(slices.take(low, axis=axis) * (1 - weight) + slices.take(low + 1, axis=axis) * weight)


def _at(values: Volume, spacing_mm: Triple) -> Volume:
    """Interpolate at the network's spacing, linearly, as the image does."""
    steps = np.asarray(spacing_mm) / _FINE_MM
    shape = tuple(int(n / step) for n, step in zip(values.shape, steps, strict=True))
    return np.asarray(
        ndimage.affine_transform(values, steps, output_shape=shape, order=1, mode="nearest", output=np.float32)
    )


def _with_leftovers(
    image: Volume, inside: NDArray[np.bool_], brain: NDArray[np.bool_], *, level: float, rng: np.random.Generator
) -> Volume:
    """Darken what lies outside, but leave or paint pieces of tissue there: no search for the brain is perfect."""
    field = ndimage.gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), rng.uniform(2.0, 6.0))
    pieces = field > rng.uniform(0.5, 3.0) * field.std()
    painted = level * rng.uniform(0.6, 2.2) * (1.0 + 0.05 * rng.standard_normal(image.shape, dtype=np.float32))
    seen = np.maximum(image, painted) if rng.random() < _HALF else image
    from_brain = ndimage.distance_transform_edt(~(brain | inside))
    gap = rng.uniform(1.0, 4.0)
    pieces &= (from_brain > gap) & (from_brain < _NEAR_VOXELS)
    return np.asarray(np.where(inside, image, np.where(pieces, seen, image.min())), dtype=np.float32)


def _padded(values: NDArray[Any], side: int, *, value: float) -> NDArray[Any]:
    missing = [(0, side - n) for n in values.shape]
    return np.pad(values, missing, constant_values=value) if any(m for _, m in missing) else values
