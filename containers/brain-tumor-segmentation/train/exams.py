"""Synthetic exams for training: rendered once, brought to the grids of both networks, cut into samples that vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from deform import bent, random_turn
from heads import CoarseHead, HeadPool, coarse_head, seen
from numpy.typing import NDArray
from scipy import ndimage

from overread.operators.card import Normalisation, Preprocessing
from overread.operators.extract import largest_piece
from overread.synthetic.anatomy import SampledAnatomy, load_anatomy, sample
from overread.synthetic.brain import Look, add_noise, make_lesion, render
from overread.synthetic.interpolation import Volume
from overread.synthetic.mr import ImageGrid, Triple

Mask = NDArray[np.bool_]

_SHAPE: Final = (136, 176, 148)
_FINE_MM: Final = 1.2
"""Voxels (slices, rows, columns) of a rendered exam, a whole head, and their size."""
_EXAMS_PER_HEAD: Final = 5
_BEND_MM: Final = 5.0
"""By which a head's tissue is displaced, smoothly: no two heads of an anatomy are alike."""

_P_FLIP, _P_FINE, _P_SHELL, _P_LEFTOVERS = 0.5, 0.4, 0.5, 0.5
"""Shares: mirrored; fine voxels all round; made-up skull in place of a genuine one; pieces of scalp left over."""
_HALF: Final = 0.5
_NEAR_VOXELS: Final = 12.0
"""How far from the brain leftovers of skull and face may lie."""


@dataclass(frozen=True)
class RenderedExam:
    """One exam; arrays (slices, rows, columns).

    `image`, `lesion` and `brain` lie on the grid of the lesion network; `coarse` on that of the brain network, which
    begins at the same corner. Brightness is the renderer's; grey matter is near `level`.
    """

    image: NDArray[np.float16]
    lesion: Mask
    brain: Mask
    coarse: NDArray[np.float16]
    level: float


@dataclass(frozen=True)
class ExtractedExam:
    """What the lesion network sees of an exam: z-scores, and the lesion."""

    image: NDArray[np.float16]
    lesion: Mask


class ExamPool:
    """Exams to draw samples from.

    Parameters
    ----------
    anatomies
        Names of the heads that may be used; no other is looked at.
    size
        Number of exams kept.
    rng
        Decides everything.
    images
        Whether exams are rendered; the heads alone are enough for the network that finds the brain.
    rules
        How the image prepares an exam.
    padding
        Value outside an exam's foreground box, as the image pads.
    """

    def __init__(
        self,
        anatomies: Sequence[str],
        *,
        size: int,
        rng: np.random.Generator,
        rules: Preprocessing,
        padding: float,
        images: bool = True,
    ) -> None:
        if rules.extract is None:
            raise SystemExit("The card names no network that finds the brain: there is nothing to train it for.")
        if not isinstance(rules.normalisation, Normalisation):
            raise SystemExit("The brain is found on z-scores: the card's normalisation must be that, not a window.")
        self._normalisation = rules.normalisation
        self._rng, self._rules, self._padding = rng, rules, padding
        self._spacing_mm, self._coarse_mm = rules.spacing_mm, rules.extract.spacing_mm
        self._threshold = rules.extract.threshold
        self._rendered: list[RenderedExam] = []
        heads: list[CoarseHead] = []
        for first in range(0, size, _EXAMS_PER_HEAD):
            head = self._head(anatomies[len(heads) % len(anatomies)])
            heads.append(coarse_head(head, rng=rng, lower=self._lower))
            if images:
                self._rendered += [self._exam(head) for _ in range(min(_EXAMS_PER_HEAD, size - first))]
        self._extracted: list[ExtractedExam] = []
        self.heads = HeadPool(heads, rng=rng, rules=rules.extract, normalisation=self._normalisation, padding=padding)

    def extract(self, brain_probability: Callable[[Volume], Volume]) -> list[float]:
        """Prepare the exams for `patch` with the brain that a network finds; return the Dice of each."""
        self._extracted, scores = [], []
        for exam in self._rendered:
            ranked, box = seen(exam.coarse.astype(np.float32), self._normalisation)
            probability = np.zeros(ranked.shape, dtype=np.float32)
            probability[box] = brain_probability(ranked[box])
            steps = np.asarray(self._spacing_mm) / np.asarray(self._coarse_mm)
            fine = ndimage.affine_transform(probability, steps, output_shape=exam.image.shape, order=1, mode="nearest")
            inside = largest_piece(fine > self._threshold)
            scores.append(float(2 * (inside & exam.brain).sum() / (inside.sum() + exam.brain.sum())))
            image = exam.image.astype(np.float32)
            shown = np.where(inside, image, image.min())
            if self._rng.random() < _P_LEFTOVERS:
                shown = _with_leftovers(image, inside, exam.brain, level=exam.level, rng=self._rng)
            z, foreground = self._normalisation.apply(np.asarray(shown, dtype=np.float32))
            box = ndimage.find_objects(foreground.astype(np.int8))[0]
            self._extracted.append(ExtractedExam(z[box].astype(np.float16), exam.lesion[box]))
        return scores

    def patch(self, side: int, *, on_lesion: bool) -> tuple[Volume, Mask]:
        """Return a cube from a random exam, around a voxel of a lesion or anywhere, flipped left to right or not."""
        rng = self._rng
        while True:
            exam = self._extracted[rng.integers(len(self._extracted))]
            if not on_lesion or exam.lesion.any():
                break
        shape = np.asarray(exam.image.shape)
        if on_lesion:
            inside = np.flatnonzero(exam.lesion)
            middle = np.asarray(np.unravel_index(inside[rng.integers(inside.size)], exam.lesion.shape))
            start = middle - side // 2 + rng.integers(-side // 3, side // 3 + 1, 3)
        else:
            start = rng.integers(-side // 4, shape - side + side // 4 + 1)
        start = np.clip(start, 0, np.maximum(shape - side, 0))
        cut = tuple(slice(int(a), int(a) + side) for a in start)
        image = _padded(exam.image[cut].astype(np.float32), side, value=self._padding)
        lesion = _padded(exam.lesion[cut], side, value=False)
        if rng.random() < _P_FLIP:
            image, lesion = image[:, :, ::-1], lesion[:, :, ::-1]
        return _other_contrast(image, rng), np.ascontiguousarray(lesion)

    def _lower(self, values: Volume) -> Volume:
        """Bring a fine volume to the grid of the brain network, smoothed as the image does it."""
        fewer = self._rules.antialias * (min(self._coarse_mm) / _FINE_MM - 1.0)
        return _at(ndimage.gaussian_filter(values, fewer), self._coarse_mm)

    def _head(self, name: str) -> SampledAnatomy:
        """Return the anatomy, a little turned, of another size and bent."""
        rng, anatomy = self._rng, load_anatomy(name)
        turn = random_turn(rng, degrees=12.0)
        x, y, z = (_FINE_MM * float(s) for s in rng.uniform(0.95, 1.12, 3))
        row, column = turn[:, 0], turn[:, 1]
        at_zero = ImageGrid(
            shape=_SHAPE,
            spacing_mm=(x, y, z),
            row_cosine=(row[0], row[1], row[2]),
            column_cosine=(column[0], column[1], column[2]),
            origin_mm=(0.0, 0.0, 0.0),
        )
        middle = at_zero.affine_lps[:3, :3] @ ((np.asarray(_SHAPE) - 1) / 2)
        x, y, z = np.asarray(anatomy.centre_lps_mm) + rng.uniform(-8.0, 8.0, 3) - middle
        straight = sample(anatomy, replace(at_zero, origin_mm=(float(x), float(y), float(z))))
        return bent(straight, rng=rng, by_mm=_BEND_MM)

    def _exam(self, head: SampledAnatomy) -> RenderedExam:
        rng = self._rng
        axis, parts = int(rng.integers(3)), 1 if rng.random() < _P_FINE else int(rng.integers(2, 5))
        lesion = np.zeros(head.grid.shape, dtype=np.bool_)
        for _ in range(rng.choice([0, 1, 2], p=[0.15, 0.6, 0.25])):
            volume_ml = float(np.exp(rng.uniform(np.log(1.0), np.log(60.0))))
            lesion |= make_lesion(head, volume_ml, seed=int(rng.integers(2**31)))
        lesion = _thick(lesion.astype(np.float32), parts, axis) > _HALF  # whole voxels of the series, as its truth is
        if rng.random() < _P_SHELL:
            head = replace(head, anatomy=replace(head.anatomy, has_skull=False))
        look, seed = Look.draw(rng), int(rng.integers(2**31))
        image = add_noise(_thick(render(head, lesion, look=look, seed=seed), parts, axis), sigma=look.noise, seed=seed)
        if parts > 1:
            image = _between_slices(image, parts, axis)
        brain = head.brain.astype(np.float32)
        return RenderedExam(
            image=_at(image, self._spacing_mm).astype(np.float16),
            lesion=_at(lesion.astype(np.float32), self._spacing_mm) > _HALF,
            brain=_at(brain, self._spacing_mm) > _HALF,
            coarse=self._lower(image).astype(np.float16),
            level=look.gm**look.gamma,
        )


def _other_contrast(image: Volume, rng: np.random.Generator) -> Volume:
    """Return an image a little brighter, steeper, curved, and noisier: each exam is seen many times."""
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
    """Interpolate at a network's spacing, linearly, as the image does."""
    steps = np.asarray(spacing_mm) / _FINE_MM
    shape = tuple(int(n / step) for n, step in zip(values.shape, steps, strict=True))
    return np.asarray(
        ndimage.affine_transform(values, steps, output_shape=shape, order=1, mode="nearest", output=np.float32)
    )


def _with_leftovers(image: Volume, inside: Mask, brain: Mask, *, level: float, rng: np.random.Generator) -> Volume:
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
