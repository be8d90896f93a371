"""Phantoms for tests: small MR series with boxes and spheres whose voxels can be counted.

They need no image package and are made in milliseconds. The background is a smooth ellipsoid with a little noise,
so that a picture of it is recognisable; the lesions are brighter than everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from overread.errors import DataError
from overread.synthetic.mr import (
    ImageGrid,
    Orientation,
    SeriesHeader,
    StudyHeader,
    Triple,
    centred_grid,
    mr_images,
    uid_from,
)

_HEAD_VALUE, _LESION_VALUE, _NOISE = 600.0, 1500.0, 12.0


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of voxels: indices (slice, row, column) from `start` up to, but not including, `stop`."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def voxels(self, grid: ImageGrid) -> NDArray[np.bool_]:
        """Return the box as a mask (slices, rows, columns)."""
        mask = np.zeros(grid.shape, dtype=np.bool_)
        mask[tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))] = True
        return mask


@dataclass(frozen=True, kw_only=True)
class Sphere:
    """The voxels whose centres lie at most `radius_mm` from the voxel `centre` (slice, row, column)."""

    centre: tuple[float, float, float]
    radius_mm: float

    def voxels(self, grid: ImageGrid) -> NDArray[np.bool_]:
        """Return the sphere as a mask (slices, rows, columns)."""
        offsets = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
        squared = sum(((index - c) * s) ** 2 for index, c, s in zip(offsets, self.centre, grid.spacing_mm, strict=True))
        return np.asarray(squared <= self.radius_mm**2, dtype=np.bool_)


@dataclass(frozen=True)
class PhantomCase:
    """A series and what is truly in it.

    Parameters
    ----------
    datasets
        One MR image per slice, in the order of the slices.
    mask
        (slices, rows, columns), true where a lesion is.
    volume_ml
        Number of true voxels times the volume of one.
    grid
        Where the voxels lie in the patient.
    """

    datasets: list[Dataset]
    mask: NDArray[np.bool_]
    volume_ml: float
    grid: ImageGrid


def make_mr_series(
    shape: tuple[int, int, int] = (24, 32, 40),
    spacing_mm: Triple = (3.0, 1.0, 1.25),
    *,
    orientation: Orientation = "axial",
    seed: int = 0,
    series_description: str = "FLAIR",
    patient_id: str = "PHANTOM-1",
    patient_name: str = "Phantom^One",
    study_date: str = "20240115",
    accession_number: str = "ACC1",
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    series_number: int = 1,
    mask: NDArray[np.bool_] | None = None,
) -> list[Dataset]:
    """Return a small MR series, one dataset per slice in the order of the slices.

    Parameters
    ----------
    shape
        (slices, rows, columns). Unequal numbers by default, so that a swapped axis is noticed.
    spacing_mm
        In the same order; unequal for the same reason.
    orientation
        Plane of the slices.
    seed
        Decides noise and UIDs: equal arguments give equal files.
    series_description, patient_id, patient_name, study_date, accession_number, series_number
        Header values.
    study_instance_uid, series_instance_uid
        Made from seed and patient (and series number) if not given.
    mask
        (slices, rows, columns): voxels to be drawn bright.

    Returns
    -------
    list of Dataset
        MR Image Storage, Explicit VR Little Endian, with file meta information.
    """
    grid = centred_grid(shape, spacing_mm, orientation=orientation)
    study_uid = study_instance_uid or uid_from("phantom", seed, patient_id, study_date)
    series_uid = series_instance_uid or uid_from(study_uid, "series", series_number)
    study = StudyHeader(
        study_instance_uid=study_uid,
        patient_id=patient_id,
        patient_name=patient_name,
        study_date=study_date,
        accession_number=accession_number,
    )
    series = SeriesHeader(
        series_instance_uid=series_uid,
        frame_of_reference_uid=uid_from(study_uid, "frame of reference"),
        series_number=series_number,
        series_description=series_description,
    )
    return mr_images(_draw(grid, seed=seed, mask=mask), grid, study=study, series=series)


def make_case(
    shape: tuple[int, int, int] = (24, 32, 40),
    spacing_mm: Triple = (3.0, 1.0, 1.25),
    *,
    orientation: Orientation = "axial",
    seed: int = 0,
    lesions: Sequence[Box | Sphere] | None = None,
    **header: str | int,
) -> PhantomCase:
    """Return a series with lesions and their exact volume.

    Parameters
    ----------
    shape, spacing_mm, orientation, seed
        As for `make_mr_series`.
    lesions
        What to draw; by default one box and one sphere apart from each other. An empty sequence: a case without.
    **header
        Further keyword arguments of `make_mr_series`, for example ``series_description``.

    Returns
    -------
    PhantomCase
        Datasets, mask and true volume.

    Raises
    ------
    DataError
        If a lesion does not touch the grid.
    """
    grid = centred_grid(shape, spacing_mm, orientation=orientation)
    mask = np.zeros(shape, dtype=np.bool_)
    for lesion in default_lesions(grid) if lesions is None else lesions:
        voxels = lesion.voxels(grid)
        if not voxels.any():
            raise DataError(f"{lesion} has no voxel in a grid of {shape}: give indices (slice, row, column) within it.")
        mask |= voxels
    datasets = make_mr_series(
        shape,
        spacing_mm,
        orientation=orientation,
        seed=seed,
        mask=mask,
        **header,  # type: ignore[arg-type]
    )
    return PhantomCase(datasets=datasets, mask=mask, volume_ml=int(mask.sum()) * grid.voxel_ml, grid=grid)


def default_lesions(grid: ImageGrid) -> tuple[Box, Sphere]:
    """Return a box and a sphere that fit into `grid`, on different sides of it."""
    slices, rows, columns = grid.shape
    box = Box(
        start=(slices // 4, rows // 4, columns // 5),
        stop=(slices // 4 + max(2, slices // 6), rows // 4 + max(3, rows // 6), columns // 5 + max(4, columns // 6)),
    )
    radius_mm = 0.12 * min(n * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True))
    centre = (float(2 * slices // 3), float(2 * rows // 3), float(2 * columns // 3))
    return box, Sphere(centre=centre, radius_mm=radius_mm)


def _draw(grid: ImageGrid, *, seed: int, mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1) for n in grid.shape]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    head = (k / 1.6) ** 2 + (j / 0.95) ** 2 + (i / 0.9) ** 2
    values = np.where(head < 1.0, _HEAD_VALUE * (1.0 - 0.3 * head + 0.1 * j), 20.0)
    if mask is not None:
        values = np.where(mask, _LESION_VALUE, values)
    return np.asarray(np.clip(values + rng.normal(0.0, _NOISE, grid.shape), 0.0, 4095.0))
