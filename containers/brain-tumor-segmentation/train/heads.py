"""Whole heads on coarse voxels for the network that finds the brain: contrast, lesion and shape are new every time.

Tissue adds up linearly, so a head is averaged down once, tissue by tissue, and rendered on 4 mm voxels in a few
hundredths of a second. A pool of finished images held too few real skulls: the network took muscle and fat below the
skull for brain whenever their brightness was not among those it had seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from deform import warped
from numpy.typing import NDArray
from scipy import ndimage

from overread.operators.card import Extraction, Normalisation
from overread.operators.extract import ranks
from overread.synthetic.anatomy import SampledAnatomy
from overread.synthetic.brain import Look, render
from overread.synthetic.interpolation import Volume

Mask = NDArray[np.bool_]

_SHELLS: Final = 2
"""Made-up skulls per head."""
_FLUID: Final = 0.2
"""Brightness of the fluid below a made-up skull."""
_HALF: Final = 0.5
_P_NO_SKULL, _P_OWN_SKULL = 0.3, 0.7
"""Shares: stripped heads; of the others, those with their own skull where they have one."""


@dataclass(frozen=True)
class CoarseHead:
    """A head's parts; arrays (slices, rows, columns).

    `csf`, `gm`, `wm` are shares, `texture` and `surroundings` brightness; the first of `surroundings` is the head's
    own skull if `own_skull` says so, the others are made up.
    """

    csf: Volume
    gm: Volume
    wm: Volume
    texture: Volume
    surroundings: tuple[Volume, ...]
    own_skull: bool
    brain: Mask


def coarse_head(head: SampledAnatomy, *, rng: np.random.Generator, lower: Callable[[Volume], Volume]) -> CoarseHead:
    """Average a head's tissues and skulls down.

    Parameters
    ----------
    head
        On fine voxels.
    rng
        Decides the made-up skulls.
    lower
        Brings a fine volume to the coarse grid, smoothed as the image does it.
    """
    own = head.anatomy.has_skull
    stripped = replace(head, anatomy=replace(head.anatomy, has_skull=False))
    skulls = [_surroundings(head, Look.draw(rng))] if own else []
    skulls += [_surroundings(stripped, Look.draw(rng)) for _ in range(_SHELLS)]
    return CoarseHead(
        csf=lower(head.csf),
        gm=lower(head.gm),
        wm=lower(head.wm),
        texture=lower(head.texture),
        surroundings=tuple(lower(skull) for skull in skulls),
        own_skull=own,
        brain=lower(head.brain.astype(np.float32)) > _HALF,
    )


class HeadPool:
    """Draws heads as the network that finds the brain sees them.

    Parameters
    ----------
    heads
        To draw from.
    rng
        Decides everything.
    rules, normalisation
        How the image shows a head to the network.
    padding
        Value outside the head's box, as the image pads.
    """

    def __init__(
        self,
        heads: Sequence[CoarseHead],
        *,
        rng: np.random.Generator,
        rules: Extraction,
        normalisation: Normalisation,
        padding: float,
    ) -> None:
        self._heads, self._rng, self._padding = heads, rng, padding
        self._rules, self._normalisation = rules, normalisation

    def draw(self) -> tuple[Volume, Mask]:
        """Return the ranks of a new head in the network's window, and its brain."""
        rng = self._rng
        head = self._heads[int(rng.integers(len(self._heads)))]
        look = Look.draw(rng)
        image, brain = warped(_rendered(head, look, rng), head.brain, rng=rng)
        image = _noisy(image, rng.uniform(0.05, 0.5) * look.noise, rng)
        image, brain = _cut_off(image, brain, rng)
        if rng.random() < _HALF:
            image, brain = image[:, :, ::-1], brain[:, :, ::-1]
        scores, box = seen(image, self._normalisation)
        window = self._rules.window
        return centred(scores[box], window, value=self._padding), centred(brain[box], window, value=False)


def seen(coarse: Volume, normalisation: Normalisation) -> tuple[Volume, tuple[slice, ...]]:
    """Return what the network sees of a coarse image, and the box of it that it sees."""
    _, foreground = normalisation.apply(coarse)
    return ranks(coarse, foreground), ndimage.find_objects(foreground.astype(np.int8))[0]


def centred(values: NDArray[Any], window: tuple[int, int, int], *, value: float) -> NDArray[Any]:
    """Return a head in the middle of the window, padded or cut to fit."""
    for axis, side in enumerate(window):
        spare = side - values.shape[axis]
        if spare < 0:
            values = values.take(np.arange(-spare // 2, -spare // 2 + side), axis=axis)
        elif spare:
            width = [(0, 0)] * 3
            width[axis] = (spare // 2, spare - spare // 2)
            values = np.pad(values, width, constant_values=value)
    return values


def _surroundings(head: SampledAnatomy, look: Look) -> Volume:
    """Return skull and scalp alone, at a brightness of 1."""
    bare = Look(csf=_FLUID, gm=0.0, wm=0.0, texture=0.0, bias=0.0, scalp=1.0, shell_mm=look.shell_mm)
    image = render(head, np.zeros(head.grid.shape, dtype=np.bool_), look=bare, seed=0)
    return np.asarray(image - _FLUID * head.csf, dtype=np.float32)


def _rendered(head: CoarseHead, look: Look, rng: np.random.Generator) -> Volume:
    image = look.csf * head.csf + look.gm * head.gm + look.wm * head.wm + look.texture * head.texture
    for _ in range(rng.integers(3)):
        soft = _lesion(head, rng) * np.clip(head.csf + head.gm + head.wm, 0.0, 1.0)
        image = image * (1.0 - soft) + look.lesion * soft
    if rng.random() >= _P_NO_SKULL:
        image = image + _skull(head, rng)
    image *= 1.0 + look.bias * np.clip(_field(image.shape, rng, voxels=12.0), -1.5, 1.5)
    image = np.clip(image, 0.0, None) ** look.gamma
    return np.asarray(ndimage.gaussian_filter1d(image, rng.uniform(0.05, 0.6), axis=int(rng.integers(3))), np.float32)


def _skull(head: CoarseHead, rng: np.random.Generator) -> Volume:
    """Return one of the head's skulls, brighter or darker, now and then from place to place or with other contrast."""
    own = head.own_skull and rng.random() < _P_OWN_SKULL
    skull = head.surroundings[0 if own else rng.integers(int(head.own_skull), len(head.surroundings))]
    skull = np.clip(skull, 0.0, None)
    if rng.random() < _HALF:
        skull = skull ** rng.uniform(0.6, 1.5)
    if rng.random() < _HALF:
        skull = skull * np.clip(1.0 + rng.uniform(0.0, 0.5) * _field(skull.shape, rng, voxels=6.0), 0.0, None)
    return np.asarray(rng.uniform(0.3, 1.4) * skull, dtype=np.float32)


def _lesion(head: CoarseHead, rng: np.random.Generator) -> Volume:
    """Return the share of each voxel that a ball with a ragged edge has in the brain."""
    places = np.argwhere(head.brain)
    middle = places[rng.integers(len(places))]
    axes = np.ogrid[tuple(slice(n) for n in head.brain.shape)]
    distance = np.sqrt(sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)))
    edge = rng.uniform(1.5, 6.5) + _field(head.brain.shape, rng, voxels=2.0)
    return np.asarray(np.clip(edge - distance + _HALF, 0.0, 1.0), dtype=np.float32)


def _field(shape: tuple[int, ...], rng: np.random.Generator, *, voxels: float) -> Volume:
    """Return a smooth random field of unit variance."""
    lattice = [int(np.ceil(n / voxels)) + 3 for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(lattice, dtype=np.float32), 1.0)
    coarse /= coarse.std() + 1e-6
    return np.asarray(
        ndimage.affine_transform(coarse, [1.0 / voxels] * 3, offset=1.0, output_shape=tuple(shape), order=1)
    )


def _noisy(image: Volume, sigma: float, rng: np.random.Generator) -> Volume:
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, sigma * rng.standard_normal(image.shape, dtype=np.float32)), dtype=np.float32)


def _cut_off(image: Volume, brain: Mask, rng: np.random.Generator) -> tuple[Volume, Mask]:
    """Return a part of the head: the field of view ends within it now and then."""
    if rng.random() < _HALF:
        return image, brain
    share = rng.uniform(0.0, 0.15, (3, 2)) * (rng.random((3, 2)) < 0.4)  # noqa: PLR2004
    box = tuple(slice(int(n * low), n - int(n * high)) for n, (low, high) in zip(image.shape, share, strict=True))
    return image[box], brain[box]
