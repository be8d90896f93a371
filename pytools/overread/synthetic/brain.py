"""Synthetic brain exams: a healthy anatomy, a lesion of an exact volume, and the look of FLAIR and T1.

A lesion is the N best voxels of a ranking (ellipsoid, two random fields, a preference for white matter, none for
CSF), so N voxels are exact and the lesions of one seed nest: that is growth. There is no mass effect and no oedema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.errors import DataError
from overread.synthetic.anatomy import Anatomy, SampledAnatomy, sample
from overread.synthetic.interpolation import Volume, enlarge
from overread.synthetic.mr import ImageGrid, Triple

_REACH_MM: Final = 64.0
"""Half side of the box around a centre in which a lesion may lie."""
_FINEST_MM: Final = 1.2
"""Slices thicker than this are rendered as several thin ones and averaged (partial volume)."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a scanner shows tissue; brightness in units in which CSF is near 0.15 and grey matter near 0.62."""

    csf: float = 0.15
    gm: float = 0.62
    wm: float = 0.50
    lesion: float = 0.98
    texture: float = 0.25
    gamma: float = 1.0
    bias: float = 0.10
    noise: float = 0.02
    edge_mm: float = 0.6
    scalp: float = 0.75
    skull: bool = True
    shell_mm: Triple = (2.0, 5.0, 6.0)
    """Thickness of fluid, bone and scalp, for anatomies that come without."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        """Return a random look, from clean to poor."""
        gm = rng.uniform(0.55, 0.70)
        return cls(
            csf=rng.uniform(0.05, 0.28),
            gm=gm,
            wm=gm - rng.uniform(0.04, 0.18),
            lesion=gm + rng.uniform(0.17, 0.55),
            texture=rng.uniform(0.1, 0.5),
            gamma=float(np.exp(rng.uniform(-0.3, 0.3))),
            bias=rng.uniform(0.0, 0.25),
            noise=rng.uniform(0.008, 0.045),
            edge_mm=rng.uniform(0.4, 1.0),
            scalp=rng.uniform(0.4, 1.2),
            skull=bool(rng.random() < 0.6),  # noqa: PLR2004
            shell_mm=(rng.uniform(1.0, 3.5), rng.uniform(4.0, 7.0), rng.uniform(4.0, 9.0)),
        )


T1_LOOK: Final = Look(csf=0.18, gm=0.52, wm=0.80, lesion=0.42, texture=0.6, scalp=0.95)


@dataclass(frozen=True, kw_only=True)
class BrainExam:
    """The image of one head and the lesion in it, arrays (slices, rows, columns) on `grid`.

    `flair` holds 0 to 4095; `volume_ml` is the number of true voxels times the volume of one.
    """

    grid: ImageGrid
    flair: Volume
    mask: NDArray[np.bool_]
    volume_ml: float


def make_lesion(
    head: SampledAnatomy,
    volume_ml: float,
    *,
    seed: int,
    centre_mm: Triple | None = None,
    available: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Return a lesion of an exact number of voxels.

    Parameters
    ----------
    head
        Anatomy on the grid of the exam.
    volume_ml
        Wanted volume; the lesion has ``round(volume_ml / voxel_ml)`` voxels.
    seed
        Decides place and shape. For one seed, a smaller lesion lies within a larger one.
    centre_mm
        LPS position; by default a place in white matter that `seed` decides.
    available
        Voxels that may be taken; by default the brain.

    Returns
    -------
    ndarray of bool
        (slices, rows, columns).

    Raises
    ------
    DataError
        If there is not that much brain near the centre.
    """
    mask = np.zeros(head.grid.shape, dtype=np.bool_)
    wanted = round(volume_ml / head.grid.voxel_ml)
    if wanted == 0:
        return mask
    centre = centre_mm or lesion_centre(head.anatomy, seed=seed)
    box = _box_around(head.grid, centre)
    score = _ranking(head, box, centre=centre, seed=seed)
    allowed = (head.brain if available is None else available)[box]
    candidates = np.flatnonzero(allowed)
    if wanted > candidates.size:
        raise DataError(
            f"{volume_ml:g} mL are {wanted} voxels, but only {candidates.size} of brain lie near the centre."
        )
    best = candidates[np.argsort(-score.ravel()[candidates], kind="stable")[:wanted]]
    chosen = np.zeros(allowed.size, dtype=np.bool_)
    chosen[best] = True
    mask[box] = chosen.reshape(allowed.shape)
    return mask


def lesion_centre(anatomy: Anatomy, *, seed: int) -> Triple:
    """Return a place (LPS, mm) in white matter, away from the brain's surface, that `seed` decides."""
    rng = np.random.default_rng([seed, 1])
    step = 3
    wm = anatomy.wm[::step, ::step, ::step]
    deep = ndimage.binary_erosion(anatomy.brain[::step, ::step, ::step], iterations=3)
    places = np.argwhere((wm > 0.5) & deep) * step  # noqa: PLR2004 - most of the voxel
    x, y, z = (anatomy.affine_ras @ [*places[rng.integers(len(places))], 1.0])[:3]
    return -float(x), -float(y), float(z)


def render(head: SampledAnatomy, lesion: NDArray[np.bool_] | Volume, *, look: Look, seed: int) -> Volume:
    """Return an image of the head with its lesion, without noise.

    Parameters
    ----------
    head
        Anatomy on the grid of the image.
    lesion
        (slices, rows, columns); its edge is softened by ``look.edge_mm``.
    look
        Brightness of tissues.
    seed
        Decides the texture of the lesion, scalp and bias field.

    Returns
    -------
    ndarray of float32
        (slices, rows, columns), air near 0, grey matter near ``look.gm``.
    """
    rng = np.random.default_rng([seed, 2])
    inside = head.csf + head.gm + head.wm
    image = look.csf * head.csf + look.gm * head.gm + look.wm * head.wm
    image += look.texture * head.texture
    if lesion.any():
        sigma = [look.edge_mm / s for s in head.grid.spacing_mm]
        soft = ndimage.gaussian_filter(lesion.astype(np.float32), sigma)
        inner = look.lesion * (1.0 + 0.07 * _field(rng, head.grid, scale_mm=5.0))
        image = image * (1.0 - soft) + inner * soft
    if look.skull:
        image = image + _around_brain(head, inside, look=look, rng=rng)
    image *= 1.0 + look.bias * np.clip(_field(rng, head.grid, scale_mm=60.0), -1.5, 1.5)
    return np.asarray(np.clip(image, 0.0, None) ** look.gamma, dtype=np.float32)


def add_noise(image: Volume, *, sigma: float, seed: int) -> Volume:
    """Return the magnitude of the image with complex Gaussian noise (Rician)."""
    rng = np.random.default_rng([seed, 3])
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)


def make_exam(
    anatomy: Anatomy,
    grid: ImageGrid,
    *,
    volumes_ml: Sequence[float],
    lesion_seed: int,
    look: Look,
    seed: int,
    centre_mm: Triple | None = None,
) -> BrainExam:
    """Return an exam on a grid of any orientation with lesions of exact volumes.

    Parameters
    ----------
    anatomy
        The head.
    grid
        Where the voxels lie. Thick slices are averages of thin ones.
    volumes_ml
        One entry per lesion; empty for a healthy head. The lesions share no voxel.
    lesion_seed
        Place and shape: keep it over a patient's time points.
    look
        Brightness, noise and so on of the FLAIR.
    seed
        Noise, bias and texture: another one for each exam.
    centre_mm
        LPS position of the first lesion; by default `lesion_seed` decides.

    Returns
    -------
    BrainExam
        Image, mask, true volume.
    """
    head = sample(anatomy, grid)
    mask = np.zeros(grid.shape, dtype=np.bool_)
    for number, volume_ml in enumerate(volumes_ml):
        available = head.brain & ~ndimage.binary_dilation(mask, iterations=3) if number else head.brain
        centre = centre_mm if number == 0 else None
        mask |= make_lesion(head, volume_ml, seed=lesion_seed + 7919 * number, centre_mm=centre, available=available)
    parts = max(1, round(grid.spacing_mm[0] / _FINEST_MM))
    fine = sample(anatomy, _thinner(grid, parts)) if parts > 1 else head

    thin = render(fine, np.repeat(mask, parts, axis=0), look=look, seed=seed)
    thick = thin.reshape(grid.shape[0], parts, *grid.shape[1:]).mean(axis=1, dtype=np.float32)
    image = add_noise(np.asarray(thick), sigma=look.noise, seed=seed)
    scale = np.random.default_rng([seed, 4]).uniform(900.0, 1700.0)
    return BrainExam(
        grid=grid,
        flair=np.asarray(np.clip(image * scale, 0.0, 4095.0), dtype=np.float32),
        mask=mask,
        volume_ml=int(mask.sum()) * grid.voxel_ml,
    )


def _thinner(grid: ImageGrid, parts: int) -> ImageGrid:
    """Return the grid whose every slice is cut into `parts` thin ones."""
    slices, rows, columns = grid.shape
    thin = grid.spacing_mm[0] / parts
    shift = grid.normal * (thin - grid.spacing_mm[0]) / 2
    x, y, z = np.asarray(grid.origin_mm) + shift
    return ImageGrid(
        shape=(slices * parts, rows, columns),
        spacing_mm=(thin, *grid.spacing_mm[1:]),
        row_cosine=grid.row_cosine,
        column_cosine=grid.column_cosine,
        origin_mm=(float(x), float(y), float(z)),
    )


def _box_around(grid: ImageGrid, centre: Triple) -> tuple[slice, slice, slice]:
    """Return the index box that holds all voxels less than `_REACH_MM` from `centre` along each axis of the grid."""
    index = (np.linalg.inv(grid.affine_lps) @ [*centre, 1.0])[:3]
    reach = _REACH_MM / np.asarray(grid.spacing_mm)
    low = np.clip(np.floor(index - reach), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(index + reach) + 1, 0, grid.shape).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _positions(grid: ImageGrid, box: tuple[slice, slice, slice]) -> list[Volume]:
    """Return x, y, z (LPS, mm) of the voxels of a box."""
    k, j, i = (np.arange(s.start, s.stop, dtype=np.float32) for s in box)
    affine = grid.affine_lps.astype(np.float32)
    return [
        affine[a, 0] * k[:, None, None]
        + affine[a, 1] * j[None, :, None]
        + affine[a, 2] * i[None, None, :]
        + affine[a, 3]
        for a in range(3)
    ]


def _ranking(head: SampledAnatomy, box: tuple[slice, slice, slice], *, centre: Triple, seed: int) -> Volume:
    """Return how early each voxel of the box becomes lesion: a function of its place alone, in mm, so lesions nest."""
    rng = np.random.default_rng([seed, 5])
    offsets = np.stack([p - c for p, c in zip(_positions(head.grid, box), centre, strict=True)])
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = np.exp(rng.uniform(-0.28, 0.28, 3))
    axes = (np.diag(1.0 / stretch) @ turn).astype(np.float32)
    distance = np.sqrt((np.tensordot(axes, offsets, axes=1) ** 2).sum(axis=0))
    score = -distance
    for scale_mm, weight_mm in ((9.0, 3.0), (4.0, 1.2)):
        score = score + weight_mm * _lattice_field(rng, offsets, scale_mm=scale_mm)
    score += 2.5 * head.wm[box] - 8.0 * head.csf[box]
    return np.asarray(score, dtype=np.float32)


def _lattice_field(rng: np.random.Generator, offsets: Volume, *, scale_mm: float) -> Volume:
    """Sample a smooth random field of unit variance, that is fixed in space around the centre, at offsets (3, ...)."""
    step = scale_mm / 1.5
    side = 2 * int(np.ceil(2 * _REACH_MM / step)) + 1
    lattice = ndimage.gaussian_filter(rng.standard_normal((side, side, side), dtype=np.float32), 1.5)
    lattice /= lattice.std()
    at = offsets / step + (side - 1) / 2
    return np.asarray(ndimage.map_coordinates(lattice, at, order=1, mode="nearest", output=np.float32))


def _field(rng: np.random.Generator, grid: ImageGrid, *, scale_mm: float) -> Volume:
    """Return a smooth random field of about unit variance on a grid."""
    steps = [max(1.0, scale_mm / 1.5 / s) for s in grid.spacing_mm]
    shape = [int(np.ceil(n / step)) + 4 for n, step in zip(grid.shape, steps, strict=True)]
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.5)
    coarse /= coarse.std() + 1e-6
    return enlarge(coarse, steps, grid.shape, offset=1.5)


def _around_brain(head: SampledAnatomy, inside: Volume, *, look: Look, rng: np.random.Generator) -> Volume:
    """Return fluid, bone and scalp outside the brain: the anatomy's own where it has them, else a made-up shell."""
    outside = 1.0 - inside
    if head.anatomy.has_skull:
        return np.asarray(look.scalp * head.t1 * outside, dtype=np.float32)
    spacing = np.asarray(head.grid.spacing_mm)
    coarse = tuple(slice(None, None, max(1, int(2.0 / s))) for s in spacing)
    steps = np.array([c.step for c in coarse])
    hull = ndimage.gaussian_filter(head.brain[coarse].astype(np.float32), 6.0 / (spacing * steps)) > 0.4  # noqa: PLR2004
    from_hull = ndimage.distance_transform_edt(~hull, sampling=spacing * steps).astype(np.float32)
    distance = enlarge(from_hull, [float(step) for step in steps], head.grid.shape)
    fluid, bone, scalp = look.shell_mm
    distance = distance + 0.8 * _field(np.random.default_rng(8), head.grid, scale_mm=20.0)  # same head, same shape

    def shell(start: float, stop: float) -> Volume:
        return np.asarray(np.clip(distance - start + 0.5, 0, 1) * np.clip(stop + 0.5 - distance, 0, 1))

    fat = look.scalp * (1.0 + 0.12 * _field(rng, head.grid, scale_mm=8.0))
    values = (
        look.csf * shell(-9.0, fluid)
        + 0.06 * shell(fluid, fluid + bone)
        + fat * shell(fluid + bone, fluid + bone + scalp)
    )
    return np.asarray(values * outside, dtype=np.float32)
