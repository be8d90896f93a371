"""Healthy brains on which synthetic exams are built, read from packages that carry them; nothing is downloaded.

``mni152``
    ICBM152 2009a T1 with maps of grey and white matter, 1 mm, without skull, from the files of the package
    ``nilearn``. The template comes under this notice:

    Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill
    University. Permission to use, copy, modify, and distribute this software and its documentation for any purpose
    and without fee is hereby granted, provided that the above copyright notice appear in all copies. The authors and
    McGill University make no representations about the suitability of this software for any purpose. It is provided
    "as is" without express or implied warranty. The authors are not responsible for any data loss, equipment damage,
    property loss, or injury to subjects or patients resulting from the use or misuse of this software package.

``colin27``
    Colin27 T1, 1 mm, with its skull (``ch2``, brain by ``ch2bet``), from the Debian package ``mricron-data``
    (BSD-3-Clause). Tissue maps are made here from the T1.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.errors import DataError
from overread.synthetic.interpolation import Volume, at_indices
from overread.synthetic.mr import ImageGrid

ANATOMIES: Final = ("mni152", "colin27")
_MRICRON: Final = Path("/usr/share/mricron/templates")
_RAS_FROM_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """A head without disease; arrays are (x, y, z) as in its NIfTI file.

    Parameters
    ----------
    name
        One of `ANATOMIES`.
    t1
        T1-weighted image, 1.0 is the brightest tissue of the brain.
    csf, gm, wm
        Share of each tissue in a voxel, 0 to 1; they add up to 1 in the brain and to 0 outside.
    texture
        What the T1 shows beyond the three tissues, small and of mean zero.
    affine_ras
        (4, 4), index to RAS in mm.
    has_skull
        Whether `t1` shows more than the brain.
    """

    name: str
    t1: Volume
    csf: Volume
    gm: Volume
    wm: Volume
    texture: Volume
    affine_ras: NDArray[np.float64]
    has_skull: bool

    @cached_property
    def brain(self) -> NDArray[np.bool_]:
        """Mask of the brain with its ventricles and sulci."""
        return np.asarray((self.csf + self.gm + self.wm) > 0.5, dtype=np.bool_)  # noqa: PLR2004 - most of the voxel

    @cached_property
    def centre_lps_mm(self) -> tuple[float, float, float]:
        """Middle of the brain's bounding box (LPS, mm)."""
        (box,) = ndimage.find_objects(self.brain.astype(np.int8))
        middle = [(s.start + s.stop - 1) / 2 for s in box]
        x, y, z, _ = _RAS_FROM_LPS @ self.affine_ras @ [*middle, 1.0]
        return float(x), float(y), float(z)


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledAnatomy:
    """An anatomy on the grid of an image series: arrays are (slices, rows, columns)."""

    anatomy: Anatomy
    grid: ImageGrid
    t1: Volume
    csf: Volume
    gm: Volume
    wm: Volume
    texture: Volume

    @cached_property
    def brain(self) -> NDArray[np.bool_]:
        """Mask of the brain with its ventricles and sulci."""
        return np.asarray((self.csf + self.gm + self.wm) > 0.5, dtype=np.bool_)  # noqa: PLR2004 - most of the voxel


def sample(anatomy: Anatomy, grid: ImageGrid) -> SampledAnatomy:
    """Interpolate an anatomy (linearly) at the voxels of a grid.

    Parameters
    ----------
    anatomy
        The head.
    grid
        Any orientation, any spacing; what lies outside the head's image is air.

    Returns
    -------
    SampledAnatomy
        Arrays (slices, rows, columns).
    """
    to_index = np.linalg.inv(anatomy.affine_ras) @ _RAS_FROM_LPS @ grid.affine_lps

    def at(values: Volume) -> Volume:
        return at_indices(values, to_index, grid.shape)

    return SampledAnatomy(
        anatomy=anatomy,
        grid=grid,
        t1=at(anatomy.t1),
        csf=at(anatomy.csf),
        gm=at(anatomy.gm),
        wm=at(anatomy.wm),
        texture=at(anatomy.texture),
    )


@lru_cache(maxsize=len(ANATOMIES))
def load_anatomy(name: str) -> Anatomy:
    """Read an anatomy from the package that carries it.

    Parameters
    ----------
    name
        One of `ANATOMIES`.

    Returns
    -------
    Anatomy
        Kept in memory for the next call.

    Raises
    ------
    DataError
        If the name is unknown or the package is not installed.
    """
    if name == "mni152":
        return _mni152()
    if name == "colin27":
        return _colin27()
    raise DataError(f"There is no anatomy {name!r}: choose one of {', '.join(ANATOMIES)}.")


def _mni152() -> Anatomy:
    spec = importlib.util.find_spec("nilearn")  # found, not imported: its import is slow and wants more packages
    if spec is None or not spec.submodule_search_locations:
        raise DataError("The anatomy mni152 lies in the package nilearn: pip install nilearn nibabel.")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    names = [f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz" for kind in ("t1", "gm", "wm")]
    (t1, affine), (gm, _), (wm, _) = [_read(folder / name, needs="nilearn 0.14") for name in names]
    brain = ndimage.binary_fill_holes(t1 > 0)
    gm, wm = gm / 255.0, wm / 255.0
    total = np.maximum(gm + wm, 1.0)
    gm, wm = np.where(brain, gm / total, 0.0), np.where(brain, wm / total, 0.0)
    csf = np.where(brain, 1.0 - gm - wm, 0.0)
    t1 = t1 / np.percentile(t1[brain], 99.5)
    tissues = (_as_volume(csf), _as_volume(gm), _as_volume(wm))
    return _anatomy("mni152", _as_volume(t1), tissues, affine, has_skull=False)


def _colin27() -> Anatomy:
    needs = "the Debian package mricron-data"
    t1, affine = _read(_MRICRON / "ch2.nii.gz", needs=needs)
    stripped, _ = _read(_MRICRON / "ch2bet.nii.gz", needs=needs)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(stripped > 0, iterations=3))
    t1 = t1 / np.percentile(t1[brain], 99.5)
    return _anatomy("colin27", _as_volume(t1), _tissues(_as_volume(t1), brain), affine, has_skull=True)


def _anatomy(
    name: str,
    t1: Volume,
    tissues: tuple[Volume, Volume, Volume],
    affine: NDArray[np.float64],
    *,
    has_skull: bool,
) -> Anatomy:
    csf, gm, wm = tissues
    inside = (csf + gm + wm) > 0.5  # noqa: PLR2004 - most of the voxel
    shares = np.stack([share[inside] for share in tissues], axis=1).astype(np.float64)
    # Least squares by the normal equations: three unknowns, two million voxels.
    levels = np.linalg.solve(shares.T @ shares, shares.T @ t1[inside].astype(np.float64))
    expected = levels[0] * csf + levels[1] * gm + levels[2] * wm
    texture = np.where(inside, np.clip(t1 - expected, -0.3, 0.3), 0.0)
    return Anatomy(
        name=name,
        t1=t1,
        csf=csf,
        gm=gm,
        wm=wm,
        texture=_as_volume(texture),
        affine_ras=affine,
        has_skull=has_skull,
    )


def _tissues(t1: Volume, brain: NDArray[np.bool_]) -> tuple[Volume, Volume, Volume]:
    """Split a brain into CSF, GM and WM by its T1 values: three-class k-means, shares linear between the centres."""
    values = t1[brain]
    centres = np.percentile(values, [5.0, 40.0, 85.0])
    for _ in range(50):
        nearest = np.abs(values[:, None] - centres[None, :]).argmin(axis=1)
        moved = np.array([values[nearest == k].mean() for k in range(3)])
        if np.allclose(moved, centres, atol=1e-4):
            break
        centres = moved
    dark, middle, bright = centres
    csf = np.clip((middle - t1) / (middle - dark), 0.0, 1.0)
    wm = np.clip((t1 - middle) / (bright - middle), 0.0, 1.0)
    csf, wm = np.where(brain, csf, 0.0), np.where(brain, wm, 0.0)
    gm = np.where(brain, 1.0 - csf - wm, 0.0)
    return _as_volume(csf), _as_volume(gm), _as_volume(wm)


def _read(path: Path, *, needs: str) -> tuple[Volume, NDArray[np.float64]]:
    try:
        import nibabel  # noqa: PLC0415 - only here, so that phantoms do without it
    except ImportError as error:
        raise DataError("Synthetic brains are read with nibabel: pip install nibabel.") from error
    if not path.is_file():
        raise DataError(f"{path.name} is missing: it comes with {needs}.")
    image: Any = nibabel.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)


def _as_volume(values: NDArray[Any]) -> Volume:
    return np.ascontiguousarray(values, dtype=np.float32)
