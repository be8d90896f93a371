from __future__ import annotations

import numpy as np
import pytest

from overread.dicom.geometry import geometry_of
from overread.dicom.seg import SegmentInfo
from overread.operators.lesions import MOST_LESIONS, compare_masks, find_lesions
from overread.synthetic.mr import centred_grid
from overread.synthetic.phantoms import Box, make_mr_series

SHAPE, SPACING = (20, 30, 40), (2.0, 1.0, 1.5)
GEOMETRY = geometry_of(make_mr_series(SHAPE, SPACING))
GRID = centred_grid(SHAPE, SPACING, orientation="axial")
VOXEL_ML = 0.003
ORIGIN = (0.0, 0.0, 0.0)
SEGMENT = SegmentInfo(number=1, label="Lesion", tracking_uid="1.2.3")


def box(start, stop):
    return Box(start=start, stop=stop).voxels(GRID)


def test_parts_of_a_segment_are_told_one_by_one_with_size_and_place():
    mask = box((2, 2, 2), (4, 6, 10)) | box((10, 20, 20), (16, 26, 30))
    large, small = find_lesions([(SEGMENT, mask)], GEOMETRY, origin_mm=ORIGIN)
    assert [large.volume_ml, small.volume_ml] == pytest.approx([360 * VOXEL_ML, 64 * VOXEL_ML])
    assert large.tracking_uid == "1.2.3"
    expected = GEOMETRY.position_mm((12.5, 22.5, 24.5))
    assert large.centre_mm == pytest.approx(tuple(expected), abs=0.06)
    moved = find_lesions([(SEGMENT, mask)], GEOMETRY, origin_mm=tuple(expected))
    assert moved[0].centre_mm == pytest.approx((0, 0, 0), abs=0.06)


def test_lesions_of_two_segments_keep_their_names():
    other = SegmentInfo(number=2, label="New lesion")
    found = find_lesions(
        [(SEGMENT, box((2, 2, 2), (4, 4, 4))), (other, box((8, 8, 8), (14, 14, 14)))], GEOMETRY, origin_mm=ORIGIN
    )
    assert [(lesion.segment, lesion.label) for lesion in found] == [(2, "New lesion"), (1, "Lesion")]


def test_of_very_many_the_largest_are_told():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[::3, ::3, ::3] = True
    mask[0:2, 0:2, 0:2] = True
    found = find_lesions([(SEGMENT, mask)], GEOMETRY, origin_mm=ORIGIN)
    assert len(found) == MOST_LESIONS
    assert found[0].volume_ml == max(lesion.volume_ml for lesion in found)
    assert find_lesions([(SEGMENT, np.zeros(SHAPE, dtype=bool))], GEOMETRY, origin_mm=ORIGIN) == ()


def test_what_a_reader_added_and_removed_is_counted():
    before, after = box((4, 4, 4), (10, 14, 14)), box((4, 4, 6), (10, 14, 18))
    difference = compare_masks(after, before, GEOMETRY)
    assert (difference.added_voxels, difference.removed_voxels) == (6 * 10 * 4, 6 * 10 * 2)
    assert difference.added_ml == pytest.approx(240 * VOXEL_ML)
    assert difference.dice == pytest.approx(2 * 480 / (600 + 720), abs=1e-4)
    # One face lies 4 columns further out, the opposite one 2 further in.
    assert difference.hd95_mm == pytest.approx(6.0)


@pytest.mark.parametrize(("one", "other", "dice"), [(True, False, 0.0), (False, True, 0.0), (False, False, 1.0)])
def test_nothing_has_no_distance(one, other, dice):
    something, nothing = box((4, 4, 4), (10, 14, 14)), np.zeros(SHAPE, dtype=bool)
    difference = compare_masks(something if one else nothing, something if other else nothing, GEOMETRY)
    assert (difference.hd95_mm, difference.dice) == (None, dice)


def test_an_unchanged_mask_differs_in_nothing():
    mask = box((0, 0, 0), (20, 30, 40))  # to the borders of the grid
    assert compare_masks(mask, mask, GEOMETRY).hd95_mm == 0.0
    assert compare_masks(mask, mask, GEOMETRY).dice == 1.0
