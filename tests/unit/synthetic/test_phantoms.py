from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from overread.errors import DataError
from overread.synthetic.mr import Orientation, centred_grid, cosines
from overread.synthetic.phantoms import Box, Sphere, make_case, make_mr_series

ORIENTATIONS: tuple[Orientation, ...] = ("axial", "sagittal", "coronal", "oblique")


def test_box_has_the_volume_of_its_sides() -> None:
    case = make_case(spacing_mm=(3.0, 1.0, 1.25), lesions=[Box(start=(2, 3, 4), stop=(4, 8, 14))])

    assert case.volume_ml == pytest.approx((2 * 3.0) * (5 * 1.0) * (10 * 1.25) / 1000.0)


def test_sphere_in_fine_voxels_has_nearly_the_volume_of_the_ball() -> None:
    case = make_case((40, 40, 40), (0.5, 0.5, 0.5), lesions=[Sphere(centre=(20, 20, 20), radius_mm=8.0)])

    assert case.volume_ml == pytest.approx(4 / 3 * np.pi * 8.0**3 / 1000.0, rel=0.01)


def test_no_lesions_is_a_case_of_zero_millilitres() -> None:
    case = make_case(lesions=[])

    assert case.volume_ml == 0.0
    assert not case.mask.any()


def test_a_lesion_outside_the_grid_is_refused() -> None:
    with pytest.raises(DataError, match="has no voxel in a grid"):
        make_case((4, 8, 8), lesions=[Box(start=(9, 9, 9), stop=(12, 12, 12))])


def test_lesion_is_the_brightest_thing_in_the_pixels() -> None:
    case = make_case()
    pixels = np.stack([ds.pixel_array for ds in case.datasets])

    assert np.array_equal(pixels > 1200, case.mask)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_headers_place_every_voxel_where_the_grid_says(orientation: Orientation) -> None:
    case = make_case(orientation=orientation)
    ds = case.datasets[5]
    row, column = np.array(ds.ImageOrientationPatient[:3]), np.array(ds.ImageOrientationPatient[3:])
    from_header = np.array(ds.ImagePositionPatient) + column * ds.PixelSpacing[0] * 7 + row * ds.PixelSpacing[1] * 11

    assert from_header == pytest.approx((case.grid.affine_lps @ [5, 7, 11, 1])[:3], abs=1e-4)
    assert np.dot(row, column) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(
    ("orientation", "normal"), [("axial", (0, 0, 1)), ("sagittal", (-1, 0, 0)), ("coronal", (0, 1, 0))]
)
def test_slices_follow_the_normal_of_their_plane(orientation: Orientation, normal: tuple[int, int, int]) -> None:
    row, column = cosines(orientation)

    assert np.cross(row, column) == pytest.approx(normal)
    first, last = (np.array(ds.ImagePositionPatient) for ds in make_mr_series(orientation=orientation)[::23])
    assert last - first == pytest.approx(np.array(normal) * 23 * 3.0)


def test_grid_is_centred() -> None:
    grid = centred_grid((5, 7, 9), (2.0, 1.0, 1.5), orientation="oblique", centre_mm=(3.0, -4.0, 5.0))

    assert (grid.affine_lps @ [2, 3, 4, 1])[:3] == pytest.approx([3.0, -4.0, 5.0], abs=1e-5)


def test_equal_arguments_give_equal_files_and_another_seed_another_study() -> None:
    one, same, other = make_mr_series(seed=1), make_mr_series(seed=1), make_mr_series(seed=2)

    assert one == same
    assert one[0].StudyInstanceUID != other[0].StudyInstanceUID
    assert one[0].PixelData != other[0].PixelData


def test_series_of_one_study_share_study_and_frame_of_reference() -> None:
    first, second = make_mr_series(series_number=1)[0], make_mr_series(series_number=2)[0]

    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_phantom_is_valid_dicom(orientation: Orientation, tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    make_mr_series(orientation=orientation)[0].save_as(path, enforce_file_format=True)
    assert dcmread(path).Modality == "MR"

    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr

    assert "Error" not in said, said
    assert "MRImage" in said
