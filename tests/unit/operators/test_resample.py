from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.dicom.geometry import geometry_of
from overread.operators.resample import patient_grid, resample, resample_back, smooth_for
from overread.synthetic.phantoms import make_case, make_mr_series

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
SPL = ("S", "P", "L")


def ramp(geometry):
    """Each voxel's own place: LPS coordinates weighted differently, linear, so that interpolation is exact."""
    k, j, i = np.meshgrid(*map(np.arange, geometry.shape), indexing="ij")
    places = geometry.affine_lps @ np.stack([k.ravel(), j.ravel(), i.ravel(), np.ones(k.size)])
    return (places[0] + 10 * places[1] + 100 * places[2]).reshape(geometry.shape).astype(np.float32)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("axes", [SPL, ("S", "A", "R"), ("R", "S", "P"), ("I", "P", "L")])
def test_the_grid_lies_along_the_axes_and_holds_all_voxels(orientation, axes):
    geometry = geometry_of(make_mr_series((6, 8, 10), orientation=orientation))
    affine, shape = patient_grid(geometry, axes=axes, spacing_mm=(1.0, 2.0, 0.5))
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), (1.0, 2.0, 0.5))
    letters = [("L", "R"), ("P", "A"), ("S", "I")]
    for column, axis in zip(affine[:3, :3].T, axes, strict=True):
        k = int(np.argmax(np.abs(column)))
        assert axis == letters[k][0 if column[k] > 0 else 1]
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in geometry.shape], indexing="ij")).reshape(3, -1)
    places = geometry.affine_lps @ np.vstack([corners, np.ones(corners.shape[1])])
    inside = np.linalg.inv(affine) @ places
    assert (inside[:3] > -1e-6).all()
    assert (np.asarray(shape) > inside[:3].T).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_values_stay_in_their_place(orientation):
    geometry = geometry_of(make_mr_series((12, 16, 20), (2.0, 1.0, 1.25), orientation=orientation))
    affine, shape = patient_grid(geometry, axes=SPL, spacing_mm=(1.5, 1.5, 1.5))
    values = resample(
        ramp(geometry), source_affine=geometry.affine_lps, target_affine=affine, shape=shape, outside=np.nan
    )
    k, j, i = np.meshgrid(*map(np.arange, shape), indexing="ij")
    places = affine @ np.stack([k.ravel(), j.ravel(), i.ravel(), np.ones(k.size)])
    expected = (places[0] + 10 * places[1] + 100 * places[2]).reshape(shape)
    known = np.isfinite(values)
    assert known.mean() > 0.3
    np.testing.assert_allclose(values[known], expected[known], atol=0.05)


def test_nearest_invents_no_label():
    case = make_case()
    geometry = geometry_of(case.datasets)
    affine, shape = patient_grid(geometry, axes=SPL, spacing_mm=(1.0, 1.0, 1.0))
    labels = resample(
        case.mask.astype(np.float32) * 7,
        source_affine=geometry.affine_lps,
        target_affine=affine,
        shape=shape,
        outside=0.0,
        interpolation="nearest",
    )
    assert set(np.unique(labels)) == {0.0, 7.0}


@settings(max_examples=15, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=st.tuples(st.floats(0.7, 2.5), st.floats(0.7, 2.5), st.floats(0.7, 2.5)),
    seed=st.integers(0, 100),
)
def test_the_short_way_back_equals_the_long_one_where_it_matters(orientation, spacing, seed):
    geometry = geometry_of(make_mr_series((9, 11, 13), (2.0, 1.0, 1.25), orientation=orientation))
    affine, shape = patient_grid(geometry, axes=SPL, spacing_mm=spacing)
    rng = np.random.default_rng(seed)
    values = rng.random(shape, dtype=np.float32) * (rng.random(shape) < 0.02)
    short = resample_back(values, affine=affine, geometry=geometry, above=0.3)
    whole = resample(values, source_affine=affine, target_affine=geometry.affine_lps, shape=geometry.shape, outside=0.0)
    np.testing.assert_array_equal(short > 0.3, whole > 0.3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_there_and_back_keeps_the_volume(orientation):
    case = make_case((24, 40, 36), (2.0, 1.0, 1.25), orientation=orientation)
    geometry = geometry_of(case.datasets)
    affine, shape = patient_grid(geometry, axes=SPL, spacing_mm=(1.0, 1.0, 1.0))
    there = resample(
        case.mask.astype(np.float32), source_affine=geometry.affine_lps, target_affine=affine, shape=shape, outside=0.0
    )
    back = resample_back(there, affine=affine, geometry=geometry, above=0.5) > 0.5
    assert 2 * (back & case.mask).sum() / (back.sum() + case.mask.sum()) > 0.95


def test_nothing_goes_back_as_nothing():
    geometry = geometry_of(make_mr_series((6, 8, 10)))
    affine, shape = patient_grid(geometry, axes=SPL, spacing_mm=(1.0, 1.0, 1.0))
    back = resample_back(np.zeros(shape, np.float32), affine=affine, geometry=geometry, above=0.5)
    assert back.shape == geometry.shape
    assert not back.any()


def test_only_finer_voxels_are_smoothed():
    geometry = geometry_of(make_mr_series((6, 8, 10), (3.0, 0.5, 0.5)))
    values = np.zeros((6, 8, 10), dtype=np.float32)
    values[3, 4, 5] = 1.0
    smooth = smooth_for(values, geometry, spacing_mm=(1.0, 1.0, 1.0), antialias=0.4)
    assert smooth[3, 4, 4] > 0
    assert smooth[2, 4, 5] == 0
    coarse = geometry_of(make_mr_series((6, 8, 10), (3.0, 1.0, 1.25)))
    assert smooth_for(values, coarse, spacing_mm=(1.0, 1.0, 1.0), antialias=0.4) is values
