from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from overread.dicom.geometry import geometry_of, in_slice_order
from overread.errors import DataError
from overread.synthetic.mr import centred_grid
from overread.synthetic.phantoms import make_mr_series

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")


@pytest.fixture
def series() -> list[Dataset]:
    return make_mr_series((6, 8, 10))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_grid_is_the_one_the_images_were_made_on(orientation):
    grid = centred_grid((24, 32, 40), (3.0, 1.0, 1.25), orientation=orientation)
    geometry = geometry_of(make_mr_series(orientation=orientation))
    assert geometry.shape == grid.shape
    assert geometry.spacing_mm == (3.0, 1.0, 1.25)
    assert geometry.voxel_volume_mm3 == pytest.approx(3.75)
    np.testing.assert_allclose(geometry.affine_lps, grid.affine_lps, atol=1e-5)
    np.testing.assert_allclose(geometry.normal, grid.normal, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)), orientation=st.sampled_from(ORIENTATIONS))
def test_the_order_of_the_files_plays_no_part(order, orientation):
    images = make_mr_series((6, 8, 10), orientation=orientation)
    geometry = geometry_of([images[i] for i in order])
    assert geometry.sop_instance_uids == tuple(ds.SOPInstanceUID for ds in images)
    assert in_slice_order([images[i] for i in order], geometry) == images


def test_instance_numbers_against_the_normal_do_not_turn_the_volume(series):
    for number, ds in enumerate(reversed(series), start=1):
        ds.InstanceNumber = number
    assert geometry_of(series).sop_instance_uids == tuple(ds.SOPInstanceUID for ds in series)


def test_rounded_positions_are_no_gap(series):
    for ds in series:
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [round(x, 2), round(y, 2), round(z + 0.004 * (ds.InstanceNumber % 2), 3)]
    assert geometry_of(series).spacing_mm[0] == pytest.approx(3.0, abs=1e-3)


def test_a_tilted_gantry_keeps_its_volume(series):
    for k, ds in enumerate(series):
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [x, y + 0.4 * k, z]
    geometry = geometry_of(series)
    assert geometry.spacing_mm[0] == pytest.approx(3.0)
    assert abs(np.linalg.det(geometry.affine_lps[:3, :3])) == pytest.approx(geometry.voxel_volume_mm3)


def test_a_position_finds_its_slice(series):
    geometry = geometry_of(series)
    for k in range(6):
        assert geometry.slice_at(geometry.position_mm((k, 0, 0))) == k
    assert geometry.slice_at(geometry.position_mm((6, 0, 0))) is None
    assert geometry.slice_at(geometry.position_mm((2, 3, 0))) is None


def test_a_single_slice_takes_its_thickness():
    (image,) = make_mr_series((1, 8, 10))
    del image.SpacingBetweenSlices
    assert geometry_of([image]).spacing_mm[0] == 3.0
    del image.SliceThickness
    with pytest.raises(DataError, match="has no volume"):
        geometry_of([image])


def test_a_missing_slice_is_named(series):
    del series[3]
    with pytest.raises(DataError, match="1 of 6 slices are missing, first after slice 3"):
        geometry_of(series)


def test_unequal_distances_are_refused(series):
    x, y, z = (float(v) for v in series[-1].ImagePositionPatient)
    series[-1].ImagePositionPatient = [x, y, z + 1.4]
    with pytest.raises(DataError, match=r"Slice distances run from 3.000 to 4.400 mm"):
        geometry_of(series)


def test_slices_beside_the_line_are_refused(series):
    x, y, z = (float(v) for v in series[2].ImagePositionPatient)
    series[2].ImagePositionPatient = [x + 2.0, y, z]
    with pytest.raises(DataError, match="straight line"):
        geometry_of(series)


def test_two_images_in_one_place_are_refused(series):
    twin = copy.deepcopy(series[2])
    twin.SOPInstanceUID = "2.25.77"
    with pytest.raises(DataError, match=r"same position \(slice 3 of 7\)"):
        geometry_of([*series, twin])
    with pytest.raises(DataError, match="same image comes twice"):
        geometry_of([*series, series[0]])


def test_mixed_orientation_is_refused(series):
    series[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    with pytest.raises(DataError, match="parallel planes"):
        geometry_of(series)


def test_two_series_are_refused(series):
    series[0].SeriesInstanceUID = "2.25.5"
    with pytest.raises(DataError, match="2 different series"):
        geometry_of(series)


def test_skewed_directions_are_refused(series):
    for ds in series:
        ds.ImageOrientationPatient = [1, 0, 0, 0.3, 0.9, 0]
    with pytest.raises(DataError, match="right angles"):
        geometry_of(series)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("value", [None, "", "7", ["nan"] * 6])
def test_lacking_or_absurd_places_are_refused_by_name(series, keyword, value):
    if value is None:
        delattr(series[1], keyword)
    else:
        setattr(series[1], keyword, value)
    with pytest.raises(DataError) as caught:
        geometry_of(series)
    assert caught.value.tag == keyword
    assert caught.value.uid == series[0].SeriesInstanceUID


def test_multi_frame_objects_are_refused(series):
    series[0].NumberOfFrames = 20
    with pytest.raises(DataError, match="multi-frame"):
        geometry_of(series)


def test_nothing_is_refused():
    with pytest.raises(DataError, match="no images"):
        geometry_of([])
