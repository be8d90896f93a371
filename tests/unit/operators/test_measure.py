from __future__ import annotations

import numpy as np
import pytest

from overread.dicom.geometry import geometry_of
from overread.operators.card import Postprocessing
from overread.operators.measure import (
    axial_extent,
    components,
    lesion_mask,
    longest_axial_diameter_mm,
    surface_mm2,
    volume_ml,
)
from overread.synthetic.mr import centred_grid
from overread.synthetic.phantoms import Box, Sphere, make_mr_series

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
SHAPE, SPACING = (30, 36, 40), (1.5, 1.0, 1.25)


def geometry(orientation="axial"):
    return geometry_of(make_mr_series(SHAPE, SPACING, orientation=orientation))


def drawn(*shapes, orientation="axial"):
    grid = centred_grid(SHAPE, SPACING, orientation=orientation)
    return np.any([shape.voxels(grid) for shape in shapes], axis=0)


def test_volume_is_voxels_times_their_volume():
    assert volume_ml(drawn(Box(start=(2, 3, 4), stop=(6, 9, 14))), geometry()) == pytest.approx(4 * 6 * 10 * 0.001875)
    assert volume_ml(np.zeros(SHAPE, dtype=bool), geometry()) == 0.0


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_diameter_of_a_sphere_is_found_in_any_orientation(orientation):
    mask = drawn(Sphere(centre=(15, 18, 20), radius_mm=10.0), orientation=orientation)
    assert longest_axial_diameter_mm(mask, geometry(orientation)) == pytest.approx(20.0, abs=1.3)


@pytest.mark.parametrize(
    ("orientation", "axis", "length_mm"),
    [
        ("axial", 0, 1.25),
        ("axial", 1, 11.0),
        ("axial", 2, 13.75),
        ("sagittal", 0, 16.5),
        ("sagittal", 1, 1.5),
        ("sagittal", 2, 13.75),
        ("coronal", 0, 16.5),
        ("coronal", 1, 1.5),
        ("coronal", 2, 13.75),
    ],
)
def test_only_axial_planes_count(orientation, axis, length_mm):
    """A bar of 11 voxels along an axis: one that runs from head to feet is only as long as a voxel is wide."""
    k, j, i = (25 if a == axis else 15 for a in range(3))
    mask = drawn(Box(start=(14, 14, 14), stop=(k, j, i)), orientation=orientation)
    assert longest_axial_diameter_mm(mask, geometry(orientation)) == pytest.approx(length_mm, rel=1e-6)


def test_a_single_voxel_is_as_long_as_its_side():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3, 4, 5] = True
    assert longest_axial_diameter_mm(mask, geometry()) == pytest.approx(1.25)


def test_the_diameter_does_not_cross_from_lesion_to_lesion():
    mask = drawn(Box(start=(5, 5, 2), stop=(6, 6, 6)), Box(start=(5, 5, 30), stop=(6, 6, 36)))
    assert longest_axial_diameter_mm(mask, geometry()) == pytest.approx(6 * 1.25)


def test_nothing_has_no_diameter():
    assert longest_axial_diameter_mm(np.zeros(SHAPE, dtype=bool), geometry()) == 0.0


def test_components_are_counted_by_neighbourhood():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1, 1, 1] = mask[2, 2, 2] = mask[2, 2, 3] = mask[9, 9, 9] = True
    assert [components(mask, connectivity=c)[1] for c in (6, 18, 26)] == [3, 3, 2]
    labels, _ = components(mask)
    assert labels[1, 1, 1] == labels[2, 2, 3] != labels[9, 9, 9]
    assert components(mask & ~mask)[1] == 0


def rules(**changes):
    usual = {"threshold": 0.5, "connectivity": 26, "minimum_component_ml": 0.0, "keep": "all"}
    return Postprocessing.model_validate({**usual, **changes})


def test_components_below_the_smallest_volume_are_dropped():
    small, large = Box(start=(2, 2, 2), stop=(3, 3, 4)), Box(start=(10, 10, 10), stop=(14, 14, 14))
    probability = drawn(small, large).astype(np.float32)
    both = lesion_mask(probability, geometry(), rules=rules())
    np.testing.assert_array_equal(both, drawn(small, large))
    np.testing.assert_array_equal(
        lesion_mask(probability, geometry(), rules=rules(minimum_component_ml=0.01)), drawn(large)
    )
    assert not lesion_mask(probability, geometry(), rules=rules(minimum_component_ml=1.0)).any()


def test_the_largest_component_is_kept_alone():
    small, large = Box(start=(2, 2, 2), stop=(4, 4, 4)), Box(start=(10, 10, 10), stop=(14, 14, 14))
    probability = drawn(small, large).astype(np.float32)
    np.testing.assert_array_equal(lesion_mask(probability, geometry(), rules=rules(keep="largest")), drawn(large))


def test_the_threshold_itself_is_not_above_it():
    assert not lesion_mask(np.full(SHAPE, 0.5, dtype=np.float32), geometry(), rules=rules()).any()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_bidimensional_product_of_a_sphere_is_its_diameter_squared(orientation):
    mask = drawn(Sphere(centre=(15, 18, 20), radius_mm=10.0), orientation=orientation)
    extent = axial_extent(mask, geometry(orientation))
    assert extent.product_mm2 == pytest.approx(400.0, rel=0.13)  # borders are voxels' outer edges
    assert extent.longest_mm >= extent.perpendicular_mm


def test_the_perpendicular_diameter_lies_in_the_plane_of_the_longest():
    """A bar of 20 by 4 voxels, and in another plane a plate that is wider but shorter."""
    mask = drawn(Box(start=(4, 4, 4), stop=(5, 8, 32)), Box(start=(20, 4, 4), stop=(21, 20, 20)))
    extent = axial_extent(mask, geometry())
    diagonal = np.hypot(28 * 1.25, 3.0)
    assert extent.longest_mm == pytest.approx(diagonal, rel=0.02)
    assert 4.0 < extent.perpendicular_mm < 8.0
    assert axial_extent(np.zeros(SHAPE, dtype=bool), geometry()).product_mm2 == 0.0


@pytest.mark.parametrize("radius_mm", [8.0, 10.0, 14.0])
def test_the_surface_of_a_sphere(radius_mm):
    mask = drawn(Sphere(centre=(15, 18, 20), radius_mm=radius_mm))
    assert surface_mm2(mask, geometry()) == pytest.approx(4 * np.pi * radius_mm**2, rel=0.05)


def test_the_surface_of_a_box_and_of_nothing():
    mask = drawn(Box(start=(5, 5, 5), stop=(25, 31, 33)))
    a, b, c = 20 * 1.5, 26 * 1.0, 28 * 1.25
    assert surface_mm2(mask, geometry()) == pytest.approx(
        2 * (a * b + b * c + a * c), rel=0.08
    )  # its edges are rounded
    assert surface_mm2(np.zeros(SHAPE, dtype=bool), geometry()) == 0.0
