from __future__ import annotations

import copy

import numpy as np
import pytest
from pydicom.uid import RLELossless

from helpers.exam_files import write_series
from overread.errors import DataError
from overread.operators.load import load_folder
from overread.operators.volume import read_volume
from overread.synthetic.phantoms import make_mr_series

SHAPE = (5, 6, 7)


def volume_of(tmp_path, datasets):
    return read_volume(load_folder(write_series(tmp_path, datasets)).series[0])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_voxels_lie_in_the_order_of_the_slices(tmp_path, orientation):
    images = make_mr_series(SHAPE, orientation=orientation)
    volume = volume_of(tmp_path, images[::-1])
    np.testing.assert_array_equal(volume.values, np.stack([ds.pixel_array for ds in images]))
    assert [ds.SOPInstanceUID for ds in volume.images] == [ds.SOPInstanceUID for ds in images]
    assert not any("PixelData" in ds for ds in volume.images)


def test_values_are_rescaled(tmp_path):
    images = make_mr_series(SHAPE)
    expected = np.stack([ds.pixel_array for ds in images]) * 0.5 - 7.0
    for ds in images:
        ds.RescaleSlope, ds.RescaleIntercept = "0.5", "-7"
    np.testing.assert_allclose(volume_of(tmp_path, images).values, expected)


def test_compressed_images_are_read(tmp_path):
    images = make_mr_series(SHAPE)
    expected = np.stack([ds.pixel_array for ds in images])
    for ds in images:
        ds.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(volume_of(tmp_path, images).values, expected)


def test_the_fingerprint_is_of_images_not_of_files(tmp_path):
    images = make_mr_series(SHAPE)
    first = volume_of(tmp_path / "a", images).fingerprint
    assert volume_of(tmp_path / "b", images[::-1]).fingerprint == first
    changed = copy.deepcopy(images)
    pixels = changed[2].pixel_array.copy()
    pixels[0, 0] ^= 1
    changed[2].PixelData = pixels.tobytes()
    assert volume_of(tmp_path / "c", changed).fingerprint != first


def test_colour_images_are_refused(tmp_path):
    images = make_mr_series(SHAPE)
    for ds in images:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = b"\0" * (6 * 7 * 3)
    with pytest.raises(DataError, match="has colours: choose a series of grey"):
        volume_of(tmp_path, images)
