"""Volumes on a network's voxels and back, and the memory that takes; networks themselves are tried by the images."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from overread.dicom.geometry import VolumeGeometry
from overread.operators.cascade import Found, Window, slabs_back, to_spacing
from overread.synthetic.mr import ImageGrid, Orientation, centred_grid

AXES = ("S", "P", "L")


def geometry(grid: ImageGrid) -> VolumeGeometry:
    return VolumeGeometry(
        shape=grid.shape, affine_lps=grid.affine_lps, spacing_mm=grid.spacing_mm,
        sop_instance_uids=tuple(map(str, range(grid.shape[0]))), frame_of_reference_uid="",
    )  # fmt: skip


def position(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    return np.asarray(np.tensordot(affine[:3, :3], index, 1) + affine[:3, 3][:, None, None, None])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (5.0, 1.3, 1.3), (0.6, 3.0, 3.0)])
def test_a_linear_slope_keeps_its_values_where_it_lies(orientation: Orientation, spacing):
    shape = tuple(round(60 / s) for s in spacing)
    grid = centred_grid(shape, spacing, orientation=orientation, centre_mm=(10.0, -20.0, 30.0))
    where = position(grid.affine_lps, shape)
    values = (2.0 * where[0] - where[1] + 3.0 * where[2]).astype(np.float32)
    found, affine = to_spacing(values, geometry(grid), axes=AXES, spacing_mm=(3.0, 3.0, 3.0), outside=-9999.0)
    at = position(affine, found.shape)
    middle = np.abs(at - np.array([10.0, -20.0, 30.0])[:, None, None, None]).max(axis=0) < 12.0
    assert middle.sum() > 300
    np.testing.assert_allclose(found[middle], (2.0 * at[0] - at[1] + 3.0 * at[2])[middle], atol=0.02)


def test_a_box_is_a_part_of_the_whole():
    grid = centred_grid((60, 70, 80), (1.5, 1.0, 1.0), orientation="axial")
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    whole, affine = to_spacing(values, geometry(grid), axes=AXES, spacing_mm=(2.0, 2.0, 2.0), outside=0.0)
    box = (np.array([-10.0, -12.0, -14.0]), np.array([10.0, 9.0, 20.0]))
    part, near = to_spacing(values, geometry(grid), axes=AXES, spacing_mm=(2.0, 2.0, 2.0), outside=0.0, box=box)
    start = np.rint(np.linalg.inv(affine)[:3] @ near[:, 3]).astype(int)
    inside = tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))
    np.testing.assert_allclose(part, whole[inside], atol=1e-5)
    ends = position(near, part.shape).reshape(3, -1)
    assert (ends.min(axis=1) <= box[0]).all()
    assert (ends.max(axis=1) >= box[1]).all()


def test_slabs_put_together_are_the_probabilities_and_nothing_beside_them():
    grid = centred_grid((70, 40, 50), (1.0, 2.0, 2.0), orientation="axial")
    probability = np.zeros((1, *grid.shape), dtype=np.float32)
    probability[0, 10:60, 5:30, 8:40] = np.random.default_rng(1).uniform(0.1, 1.0, (50, 25, 32))
    result = np.zeros(grid.shape, dtype=np.float32)
    parts = 0
    for part, found in slabs_back({"it": Found(probability=probability, affine=grid.affine_lps)}, geometry(grid)):
        result[part] = found["it"][0]
        parts += 1
    assert parts > 1
    np.testing.assert_allclose(result, probability[0], atol=1e-5)


def test_nothing_found_has_no_slabs():
    grid = centred_grid((10, 10, 10), (1.0, 1.0, 1.0), orientation="axial")
    nothing = Found(probability=np.zeros((1, 10, 10, 10), dtype=np.float32), affine=grid.affine_lps)
    assert list(slabs_back({"it": nothing}, geometry(grid))) == []


def test_coarser_voxels_take_little_memory_beside_the_series():
    grid = centred_grid((150, 256, 256), (1.0, 0.75, 0.75), orientation="axial")
    values = np.zeros(grid.shape, dtype=np.float32)
    tracemalloc.start()
    try:
        to_spacing(values, geometry(grid), axes=AXES, spacing_mm=(4.0, 4.0, 4.0), outside=0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * values.nbytes


def test_hu_become_minus_one_to_one():
    window = Window(low=-160.0, high=240.0)
    np.testing.assert_allclose(window.apply(np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0], dtype=np.float32)),
                               [-1.0, -1.0, 0.0, 1.0, 1.0])  # fmt: skip
