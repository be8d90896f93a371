from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.segments import LESION, seg_of, through_bytes
from helpers.viewer_seg import binary, frames_of, labelmap
from overread.dicom.seg import SegmentInfo, write_seg
from overread.dicom.seg_read import counted_bits, decode_seg
from overread.dicom.volumes import union_volume_ml, volumes_ml, voxel_volume_mm3, voxels_of
from overread.errors import DataError
from overread.synthetic.phantoms import Box, make_case, make_mr_series

SHAPE = (5, 6, 7)


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_the_volume_is_the_phantoms(orientation):
    case = make_case(orientation=orientation)
    assert volumes_ml(through_bytes(seg_of(case))) == {1: pytest.approx(case.volume_ml, rel=1e-12)}


@settings(max_examples=20, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.3, 6.0).map(lambda v: round(v, 4))] * 3),
    orientation=st.sampled_from(["axial", "oblique"]),
)
def test_any_spacing_counts_voxels_times_their_volume(spacing, orientation):
    case = make_case(SHAPE, spacing, orientation=orientation, lesions=None)
    expected = int(case.mask.sum()) * float(np.prod(spacing)) / 1000.0
    assert volumes_ml(seg_of(case))[1] == pytest.approx(expected, rel=1e-5)


def test_slices_apart_count_with_their_distance_not_their_thickness():
    images = make_mr_series(SHAPE)
    for ds in images:
        ds.SliceThickness = 2.0
    seg = write_seg(images, {1: np.ones(SHAPE, dtype=bool)}, [LESION])
    assert volumes_ml(seg)[1] == pytest.approx(5 * 6 * 7 * 3.75 / 1000)


def test_each_segment_is_measured_and_overlaps_count_once_in_the_union():
    images = make_mr_series(SHAPE)
    one, two = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    one[1, :4, :4], two[1, 2:, 2:] = True, True
    segments = [SegmentInfo(number=n, label=f"S{n}") for n in (1, 2, 3)]
    seg = write_seg(images, {1: one, 2: two, 3: one & ~one}, segments)
    assert volumes_ml(seg) == {1: pytest.approx(16 * 0.00375), 2: pytest.approx(20 * 0.00375), 3: 0.0}
    assert union_volume_ml(seg) == pytest.approx(int((one | two).sum()) * 0.00375)


def test_a_header_that_contradicts_its_positions_is_refused():
    images = make_mr_series(SHAPE)
    seg = labelmap(images, frames_of(np.ones(SHAPE, dtype=bool)), {1: "Lesion"})
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 2.5
    with pytest.raises(DataError, match=r"lie 3\.000 mm apart, but its header says 2\.500 mm"):
        voxel_volume_mm3(seg)


def test_without_a_slice_distance_the_thickness_is_taken():
    seg = labelmap(make_mr_series(SHAPE), frames_of(np.ones(SHAPE, dtype=bool)), {1: "Lesion"})
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices
    assert voxel_volume_mm3(seg) == pytest.approx(3.75)
    del measures.SliceThickness
    with pytest.raises(DataError, match="no volume can be had"):
        voxel_volume_mm3(seg)


def test_measures_per_frame_are_taken_if_they_agree():
    seg = labelmap(make_mr_series(SHAPE), frames_of(np.ones(SHAPE, dtype=bool)), {1: "Lesion"})
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    del seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    with pytest.raises(DataError, match="no common pixel measures"):
        voxel_volume_mm3(seg)
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.PixelMeasuresSequence = measures
    assert voxel_volume_mm3(seg) == pytest.approx(3.75)


@pytest.mark.parametrize("columns", [7, 8, 40])
def test_bits_are_counted_as_voxels_are(columns):
    """With frames that end with a byte, and with frames that do not."""
    case = make_case((6, 32, columns), lesions=[Box(start=(1, 2, 1), stop=(5, 20, 6))])
    seg = seg_of(case)
    counted = counted_bits(seg)
    assert counted == {1: int(case.mask.sum())}
    assert volumes_ml(seg)[1] == pytest.approx(case.volume_ml)
    assert voxels_of(decode_seg(seg), 1) == int(case.mask.sum())


def test_two_frames_of_a_segment_in_one_place_are_not_just_counted():
    images = make_case((4, 16, 16)).datasets
    plane = np.ones((16, 16))
    seg = through_bytes(binary(images, [(1, (0, plane)), (1, (0, plane))], {1: "Lesion"}))
    assert counted_bits(seg) is None
    assert volumes_ml(seg)[1] == pytest.approx(256 * 3.0 * 1.0 * 1.25 / 1000)
    assert counted_bits(binary(images, [(2, (0, plane))], {1: "Lesion"})) is None
