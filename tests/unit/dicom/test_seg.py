from __future__ import annotations

import copy
import datetime

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.uid import generate_uid

from helpers.segments import LESION, seg_of, through_bytes
from helpers.viewer_seg import binary, frames_of, labelmap
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import ObjectInfo, SegmentInfo, decode_seg, predecessor_of, write_seg
from overread.dicom.segments import describe
from overread.dicom.volumes import volumes_ml
from overread.errors import DataError
from overread.synthetic.phantoms import make_case, make_mr_series

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
SHAPE, SPACING = (5, 6, 7), (3.0, 1.0, 1.25)
IMAGES = make_mr_series(SHAPE)
GEOMETRY = geometry_of(IMAGES)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_what_is_written_is_read_again(orientation):
    case = make_case(orientation=orientation)
    decoded = decode_seg(through_bytes(seg_of(case)))
    assert decoded.segments == (LESION,)
    np.testing.assert_array_equal(decoded.volume(1, geometry_of(case.datasets)), case.mask)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_highdicom_reads_the_same_mask_in_the_same_place(orientation):
    case = make_case(orientation=orientation)
    volume = hd.seg.Segmentation.from_dataset(through_bytes(seg_of(case))).get_volume(combine_segments=True)
    found = np.argwhere(np.asarray(volume.array) == 1)
    theirs = (volume.affine @ np.c_[found, np.ones(len(found))].T)[:3].T
    mine = np.array([geometry_of(case.datasets).position_mm(index) for index in np.argwhere(case.mask)])
    assert len(theirs) == len(mine)
    np.testing.assert_allclose(np.sort(theirs, axis=0), np.sort(mine, axis=0), atol=1e-3)
    order_t, order_m = np.lexsort(np.round(theirs, 2).T), np.lexsort(np.round(mine, 2).T)
    np.testing.assert_allclose(theirs[order_t], mine[order_m], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    masks=st.lists(arrays.arrays(np.bool_, SHAPE), min_size=1, max_size=3),
    order=st.permutations(range(SHAPE[0])),
)
def test_any_masks_overlaps_and_empty_ones_too_survive(masks, order):
    segments = [SegmentInfo(number=n, label=f"S{n}") for n in range(1, len(masks) + 1)]
    seg = write_seg([IMAGES[i] for i in order], dict(enumerate(masks, start=1)), segments)
    decoded = decode_seg(through_bytes(seg))
    for number, mask in enumerate(masks, start=1):
        np.testing.assert_array_equal(decoded.volume(number, GEOMETRY), mask)


def test_slices_without_a_voxel_get_no_frame():
    case = make_case()
    assert seg_of(case).NumberOfFrames == int(case.mask.any(axis=(1, 2)).sum())


def test_an_empty_mask_has_a_frame_per_slice():
    seg = through_bytes(write_seg(IMAGES, {1: np.zeros(SHAPE, dtype=bool)}, [LESION]))
    assert seg.NumberOfFrames == SHAPE[0]
    decoded = decode_seg(seg)
    assert decoded.masks == {1: {}}
    assert decoded.source_uids == set(GEOMETRY.sop_instance_uids)


def test_patient_and_study_come_from_the_images_as_they_are():
    images = copy.deepcopy(IMAGES)
    for ds in images:
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.PatientName = "Müller"
        ds.PatientID = "P 1"
        ds.AccessionNumber = "A1"
    seg = through_bytes(write_seg(images, {1: np.ones(SHAPE, dtype=bool)}, [LESION]))
    assert (seg.PatientName, seg.PatientID, seg.AccessionNumber) == ("Müller", "P 1", "A1")
    assert seg.SpecificCharacterSet == "ISO_IR 192"
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_header_that_breaks_the_rules_is_no_reason_to_lose_a_mask():
    images = copy.deepcopy(IMAGES)
    for ds in images:
        ds.PatientSex = "unknown"
        ds.PatientBirthDate = "1970"
        del ds.StudyID
        del ds.SliceThickness
        del ds.SpacingBetweenSlices
    seg = write_seg(images, {1: np.ones(SHAPE, dtype=bool)}, [LESION])
    assert seg.StudyID == ""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SpacingBetweenSlices, measures.SliceThickness) == (3.0, 3.0)


def test_what_the_object_says_of_itself():
    moment = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)
    info = ObjectInfo(
        series_instance_uid="2.25.1",
        sop_instance_uid="2.25.2",
        series_number=77,
        series_description="a\\b\nc" + "x" * 80,
        content_creator_name="jdoe",
        content_datetime=moment,
    )
    original = write_seg(IMAGES, {1: np.ones(SHAPE, dtype=bool)}, [LESION])
    seg = write_seg(IMAGES, {1: np.ones(SHAPE, dtype=bool)}, [LESION], info=info, predecessor=original)
    assert (seg.SeriesInstanceUID, seg.SOPInstanceUID, seg.SeriesNumber) == ("2.25.1", "2.25.2", 77)
    assert seg.file_meta.MediaStorageSOPInstanceUID == "2.25.2"
    assert (seg.ContentDate, seg.ContentTime, seg.ContentCreatorName) == ("20260504", "101112", "jdoe")
    assert seg.SeriesDescription.startswith("a b c")
    assert len(seg.SeriesDescription) == 64
    assert predecessor_of(seg) == original.SOPInstanceUID
    assert predecessor_of(original) == ""


@pytest.mark.parametrize(
    ("numbers", "masks", "message"),
    [
        ([], {}, "must be 1, 2, 3"),
        ([2], {2: np.ones(SHAPE, dtype=bool)}, r"\[2\], they must be"),
        ([1], {}, "one mask each"),
        ([1], {1: np.ones((5, 7, 6), dtype=bool)}, r"is \(5, 7, 6\), the images are \(5, 6, 7\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(numbers, masks, message):
    with pytest.raises(DataError, match=message):
        write_seg(IMAGES, masks, [SegmentInfo(number=n, label="x") for n in numbers])


@pytest.mark.parametrize("rle", [False, True])
def test_a_viewers_label_map_is_read(rle):
    mask = make_case(SHAPE, lesions=None).mask
    other = np.zeros(SHAPE, dtype=bool)
    other[0, 0, :3] = True
    frames = [*frames_of(mask, 1), *frames_of(other, 3)]
    decoded = decode_seg(through_bytes(labelmap(IMAGES, frames, {1: "Lesion", 3: "Cyst"}, rle=rle)))
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY), mask)
    np.testing.assert_array_equal(decoded.volume(3, GEOMETRY), other)
    assert not decoded.binary


def test_several_frames_of_one_slice_are_put_together():
    one, two = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    one[2, :4, :4], two[2, 2:, 2:] = True, True
    frames = [*frames_of(one, 1), *frames_of(two, 2), *frames_of(two, 1)]
    decoded = decode_seg(labelmap(IMAGES, frames, {1: "Liver", 2: "Lesion"}))
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY), one | two)
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), two)


def test_a_single_frame_is_read():
    plane = np.zeros(SHAPE[1:], dtype=np.uint8)
    plane[1, 2] = 1
    decoded = decode_seg(through_bytes(labelmap(IMAGES, [(3, plane)], {1: "Lesion"})))
    assert [tuple(v) for v in np.argwhere(decoded.volume(1, GEOMETRY))] == [(3, 1, 2)]


def test_the_background_of_a_label_map_is_no_segment():
    decoded = decode_seg(labelmap(IMAGES, frames_of(np.ones(SHAPE, dtype=bool)), {0: "Background", 1: "Lesion"}))
    assert [s.label for s in decoded.segments] == ["Lesion"]


def test_numbers_in_frames_that_are_not_listed_are_refused():
    plane = np.ones(SHAPE[1:])
    with pytest.raises(DataError, match=r"Voxels belong to segment 2, but only 1 \(Lesion\) is listed"):
        decode_seg(binary(IMAGES, [(2, (0, plane))], {1: "Lesion"}))
    with pytest.raises(DataError, match="Voxels belong to segment 2"):
        decode_seg(labelmap(IMAGES, [(0, plane * 2)], {1: "Lesion"}))


def test_frames_without_a_source_image_are_placed_by_position():
    seg = labelmap(IMAGES, frames_of(np.ones(SHAPE, dtype=bool)), {1: "Lesion"})
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    assert decode_seg(seg, geometry=GEOMETRY).source_uids == set(GEOMETRY.sop_instance_uids)
    # Without a grid they are counted all the same, and told apart by their places.
    assert len(decode_seg(seg).source_uids) == SHAPE[0]
    assert volumes_ml(seg) == {1: pytest.approx(np.prod(SHAPE) * np.prod(SPACING) / 1000)}
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    with pytest.raises(DataError, match="Frame 1 does not say on which image"):
        decode_seg(seg)


def _broken(change):
    seg = labelmap(IMAGES, frames_of(np.ones(SHAPE, dtype=bool)), {1: "Lesion"})
    change(seg)
    return seg


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: setattr(s, "SOPClassUID", IMAGES[0].SOPClassUID), "no segmentation"),
        (lambda s: setattr(s, "SegmentationType", "MESH"), "type MESH are not read"),
        (lambda s: setattr(s, "SegmentationType", "FRACTIONAL"), "does not say its largest value"),
        (lambda s: setattr(s, "PixelData", s.PixelData[:20]), "can't be decoded"),
        (lambda s: delattr(s, "PixelData"), "can't be decoded"),
        (lambda s: setattr(s, "NumberOfFrames", 10**9), "can't be: save it again"),
        (lambda s: setattr(s, "NumberOfFrames", 0), "can't be: save it again"),
        (lambda s: s.PerFrameFunctionalGroupsSequence.pop(), "4 frames are described, 5 are stored"),
        (lambda s: delattr(s, "SegmentSequence"), "lists no segment"),
        (lambda s: s.SegmentSequence.append(s.SegmentSequence[0]), "are not unique"),
    ],
)
def test_broken_segmentations_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        decode_seg(_broken(change))


def test_a_binary_with_eight_bits_is_refused():
    seg = binary(IMAGES, [(1, (0, np.ones(SHAPE[1:])))], {1: "Lesion"})
    seg.BitsAllocated = 8
    with pytest.raises(DataError, match="1 bit per pixel"):
        decode_seg(seg)


def test_a_mask_is_only_laid_on_its_own_images():
    decoded = decode_seg(seg_of(make_case()))
    with pytest.raises(DataError, match="which is not in the series"):
        decoded.volume(1, GEOMETRY)


@pytest.mark.parametrize("kind", ["OCCUPANCY", "PROBABILITY"])
def test_a_fractional_one_counts_from_half_of_its_largest_value(kind):
    """Made by highdicom, its frames in another order than the slices."""
    values = np.linspace(0.0, 1.0, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
    seg = hd.seg.Segmentation(
        source_images=IMAGES,
        pixel_array=values,
        segmentation_type="FRACTIONAL",
        fractional_type=kind,
        segment_descriptions=[describe(SegmentInfo(number=1, label="Lesion"))],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="N",
        software_versions="1",
        device_serial_number="1",
        max_fractional_value=200,
    )
    mask = decode_seg(through_bytes(seg)).volume(1, GEOMETRY)
    np.testing.assert_array_equal(mask, np.rint(values * 200) >= 100)
    assert volumes_ml(seg)[1] == pytest.approx(mask.sum() * np.prod(SPACING) / 1000)
