"""What CT shows of a synthetic abdomen: Hounsfield units by tissue and contrast phase, with blur and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.synthetic.abdomen import Abdomen, Tissue, Values, Waves, labels_of, waves
from overread.synthetic.mr import ImageGrid

Phase = Literal["native", "arterial", "portal", "delayed"]
PHASES: Final[tuple[Phase, ...]] = ("native", "arterial", "portal", "delayed")

_PLAIN: Final[dict[Tissue, float]] = {
    Tissue.AIR: -1000.0,
    Tissue.FAT: -100.0,
    Tissue.MUSCLE: 52.0,
    Tissue.SPONGY_BONE: 170.0,
    Tissue.CORTICAL_BONE: 620.0,
    Tissue.LUNG: -830.0,
    Tissue.STOMACH: 15.0,
    Tissue.WALL: 48.0,
    Tissue.BOWEL: 32.0,
    Tissue.BILE: 10.0,
    Tissue.CANAL: 22.0,
    Tissue.CYST_LEFT: 8.0,
    Tissue.CYST_RIGHT: 8.0,
}
"""HU that contrast medium hardly changes."""
_LIVER, _BLOOD, _SPLEEN, _KIDNEY = 57.0, 42.0, 48.0, 32.0
"""HU without contrast medium."""
_GAIN: Final[dict[str, dict[Phase, tuple[float, float]]]] = {
    "liver": {"native": (0, 0), "arterial": (8, 20), "portal": (42, 62), "delayed": (26, 40)},
    "artery": {"native": (0, 0), "arterial": (220, 320), "portal": (95, 130), "delayed": (60, 80)},
    "portal": {"native": (0, 0), "arterial": (15, 55), "portal": (112, 150), "delayed": (62, 80)},
    "hepatic": {"native": (0, 0), "arterial": (0, 10), "portal": (100, 145), "delayed": (60, 80)},
    "spleen": {"native": (0, 0), "arterial": (55, 90), "portal": (62, 82), "delayed": (40, 52)},
    "cortex": {"native": (0, 0), "arterial": (120, 170), "portal": (135, 165), "delayed": (95, 120)},
    "medulla": {"native": (0, 0), "arterial": (20, 50), "portal": (120, 150), "delayed": (110, 140)},
    "soft": {"native": (0, 0), "arterial": (3, 10), "portal": (10, 22), "delayed": (10, 20)},
}
"""Rise in HU by contrast medium, least and most."""
_FATTY: Final = 0.25
"""Share of livers with much fat, and so fewer HU."""
_TEXTURE_HU: Final = 2.5
_KERNEL_PX: Final = 0.55
"""Grain of the noise, sigma."""
_SUBSLICE_MM: Final = 1.7
"""Thicker slices are averaged from such thin ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """How a scanner shows an abdomen in one phase; made by `draw_look`.

    Parameters
    ----------
    hu
        By tissue.
    noise_hu
        Standard deviation.
    blur_mm
        Sigma in the plane of the slices.
    texture
        Slow variation within tissue.
    """

    hu: Values
    noise_hu: float
    blur_mm: float
    texture: Waves


def draw_look(phase: Phase, seed: int) -> Look:
    """Return a look of this phase. The patient's own part (fat in the liver, circulation) depends on `seed` alone."""
    patient = np.random.default_rng([seed, 0x100C])
    fatty = float(patient.uniform(10.0, 28.0)) if patient.random() < _FATTY else float(patient.uniform(-5.0, 5.0))
    uptake = patient.uniform(0.0, 1.0, len(_GAIN))
    scan = np.random.default_rng([seed, PHASES.index(phase), 0x5CA7])
    rise = {
        name: low + share * (high - low)
        for (name, (low, high)), share in zip(
            ((name, ranges[phase]) for name, ranges in _GAIN.items()), uptake, strict=True
        )
    }
    hu = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, value in _PLAIN.items():
        hu[tissue] = value
    for tissue in (Tissue.MUSCLE, Tissue.WALL, Tissue.BOWEL):
        hu[tissue] += rise["soft"]
    hu[Tissue.LIVER_LEFT] = hu[Tissue.LIVER_RIGHT] = _LIVER - fatty + rise["liver"]
    hu[[Tissue.HEPATIC_VEIN, Tissue.CAVA]] = _BLOOD + rise["hepatic"]
    hu[[Tissue.PORTAL_VEIN, Tissue.PORTAL_TRUNK]] = _BLOOD + rise["portal"]
    hu[Tissue.AORTA] = _BLOOD + rise["artery"]
    hu[Tissue.HEART] = _BLOOD + 0.7 * rise["artery"]
    hu[Tissue.SPLEEN] = _SPLEEN + rise["spleen"]
    hu[Tissue.KIDNEY_CORTEX] = _KIDNEY + rise["cortex"]
    hu[Tissue.KIDNEY_MEDULLA] = _KIDNEY + rise["medulla"]
    return Look(
        hu=hu,
        noise_hu=float(scan.uniform(8.0, 18.0)),
        blur_mm=float(scan.uniform(0.4, 0.8)),
        texture=waves(scan, height_mm=_TEXTURE_HU, length_mm=(15.0, 60.0), count=4),
    )


def render(
    body: Abdomen, grid: ImageGrid, look: Look, *, seed: int, first: int = 0, count: int | None = None
) -> tuple[Values, NDArray[np.uint8]]:
    """Return what CT shows of slices, and the truth in them.

    Parameters
    ----------
    body, look
        What is scanned, and how it is shown.
    grid
        Of the series; thick slices average what lies within their spacing.
    seed
        Of the noise; each slice has its own, so that parts of a series agree with the whole.
    first, count
        Slices wanted; all if not given.

    Returns
    -------
    tuple
        HU (count, rows, columns), not rounded; label map (`overread.synthetic.abdomen.labels_of`) of what fills most of
        each voxel.
    """
    count = grid.shape[0] - first if count is None else count
    parts = max(1, int(np.ceil(grid.spacing_mm[0] / _SUBSLICE_MM)))
    fine = _divided(grid, parts)
    tissues = body.tissues(fine, first=first * parts, count=count * parts)
    hu = look.hu[tissues]
    labels = labels_of(tissues)
    if parts > 1:
        hu = hu.reshape(count, parts, *hu.shape[1:]).mean(axis=1)
        labels = _mostly(labels.reshape(count, parts, *labels.shape[1:]))
    sigma = [look.blur_mm / s for s in grid.spacing_mm[1:]]
    for k in range(count):
        rng = np.random.default_rng([seed, first + k, 0x0153])
        grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape[1:], dtype=np.float32), _KERNEL_PX)
        soft = ndimage.gaussian_filter(hu[k], sigma)
        hu[k] = soft + look.noise_hu / max(float(grain.std()), 1e-6) * grain
    hu += look.texture(*_mesh(grid, first, count)) * (hu > -200)  # noqa: PLR2004 - in soft tissue alone
    return np.asarray(np.clip(hu, -1024.0, 3071.0), dtype=np.float32), labels


def _divided(grid: ImageGrid, parts: int) -> ImageGrid:
    """Return the grid whose slices are the parts of those of `grid`."""
    spacing = (grid.spacing_mm[0] / parts, *grid.spacing_mm[1:])
    shift = grid.normal * (grid.spacing_mm[0] * (1 - parts) / (2 * parts))
    x, y, z = np.asarray(grid.origin_mm) + shift
    return ImageGrid(
        shape=(grid.shape[0] * parts, *grid.shape[1:]),
        spacing_mm=spacing,
        row_cosine=grid.row_cosine,
        column_cosine=grid.column_cosine,
        origin_mm=(float(x), float(y), float(z)),
    )


def _mostly(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return along axis 1 the label that fills most parts."""
    best = np.zeros((parts.shape[0], *parts.shape[2:]), dtype=np.uint8)
    most = (parts == 0).sum(axis=1, dtype=np.uint8)
    for label in range(1, int(parts.max(initial=0)) + 1):
        found = (parts == label).sum(axis=1, dtype=np.uint8)
        best[found > most] = label
        np.maximum(most, found, out=most)
    return best


def _mesh(grid: ImageGrid, first: int, count: int) -> tuple[Values, Values, Values]:
    """Return distances along the grid's axes, mm: enough for a texture."""
    axes = [(np.arange(n) * s).astype(np.float32) for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    axes[0] = axes[0][first : first + count]
    return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
