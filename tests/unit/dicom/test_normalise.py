from __future__ import annotations

import copy
import datetime

import numpy as np
import pytest

from helpers.segments import ABNORMAL, LESION, NEOPLASM, through_bytes
from helpers.viewer_seg import binary, frames_of, labelmap
from overread.dicom.codes import TISSUE
from overread.dicom.geometry import geometry_of
from overread.dicom.normalise import empty_seg, normalise_viewer_seg
from overread.dicom.seg import SegmentInfo, decode_seg, predecessor_of, write_seg
from overread.dicom.volumes import volumes_ml
from overread.errors import DataError
from overread.synthetic.phantoms import make_mr_series

SHAPE = (5, 6, 7)
IMAGES = make_mr_series(SHAPE)
GEOMETRY = geometry_of(IMAGES)
SAVED_AT = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)
LIVER = SegmentInfo(
    number=1, label="Liver", algorithm_type="AUTOMATIC", algorithm_name="net", algorithm_version="2", tracking_id="L",
    tracking_uid="2.25.11",
)  # fmt: skip
LESION_2 = SegmentInfo(
    number=2, label="Lesion", category=ABNORMAL, type=NEOPLASM, algorithm_type="AUTOMATIC", algorithm_name="net",
    algorithm_version="2", tracking_id="T", tracking_uid="2.25.12",
)  # fmt: skip


def box(*bounds: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[tuple(slice(*b) for b in bounds)] = True
    return mask


LIVER_MASK = box((0, 3), (0, 3), (0, 3))
LESION_MASK = box((2, 5), (3, 6), (2, 6))
ORIGINAL = write_seg(IMAGES, {1: LIVER_MASK, 2: LESION_MASK}, [LIVER, LESION_2])


def normalise(upload, original=ORIGINAL, images=IMAGES, reader="jdoe"):
    return through_bytes(
        normalise_viewer_seg(upload, original=original, source_images=images, reader=reader, content_datetime=SAVED_AT)
    )


def upload_of(masks: dict[int, np.ndarray], labels: dict[int, str]):
    frames = [frame for number, mask in masks.items() for frame in frames_of(mask, number)]
    return through_bytes(labelmap(IMAGES, frames, labels))


LABELS = {1: "Liver", 2: "Lesion"}


def test_an_untouched_upload_is_the_original_again():
    result = normalise(upload_of({1: LIVER_MASK, 2: LESION_MASK}, LABELS))
    decoded = decode_seg(result)
    assert decoded.segments == (LIVER, LESION_2)
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY), LIVER_MASK)
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), LESION_MASK)


def test_a_changed_segment_is_semiautomatic_and_keeps_its_names():
    edited = LESION_MASK | box((0, 1), (5, 6), (5, 7))
    upload = upload_of({1: LIVER_MASK, 2: edited}, LABELS)
    liver, lesion = decode_seg(normalise(upload)).segments
    assert liver == LIVER
    assert lesion.algorithm_type == "SEMIAUTOMATIC"
    assert (lesion.algorithm_name, lesion.tracking_uid, lesion.type) == ("net", "2.25.12", NEOPLASM)
    np.testing.assert_array_equal(decode_seg(normalise(upload)).volume(2, GEOMETRY), edited)


def test_a_manual_segment_stays_manual_when_it_is_changed():
    original = write_seg(IMAGES, {1: LIVER_MASK}, [SegmentInfo(number=1, label="Liver")])
    (liver,) = decode_seg(normalise(upload_of({1: LIVER_MASK | LESION_MASK}, {1: "Liver"}), original)).segments
    assert liver.algorithm_type == "MANUAL"


def test_who_when_and_after_what():
    upload = upload_of({1: LIVER_MASK, 2: LESION_MASK}, LABELS)
    result = normalise(upload)
    assert result.ContentCreatorName == "jdoe"
    assert (result.ContentDate, result.ContentTime) == ("20260504", "101112")
    assert predecessor_of(result) == ORIGINAL.SOPInstanceUID
    assert (result.SOPInstanceUID, result.SeriesInstanceUID) == (upload.SOPInstanceUID, upload.SeriesInstanceUID)
    assert (result.SeriesNumber, result.SeriesDescription) == (3101, "Research Derived series")
    assert result.SegmentationType == "BINARY"
    referenced = result.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert len(referenced) == SHAPE[0]


@pytest.mark.parametrize("labels", [{2: "Lesion"}, LABELS])
def test_a_deleted_or_emptied_lower_segment_leaves_the_other_its_number(labels):
    decoded = decode_seg(normalise(upload_of({2: LESION_MASK}, labels)))
    liver, lesion = decoded.segments
    assert (liver.label, liver.algorithm_type) == ("Liver", "SEMIAUTOMATIC")
    assert lesion == LESION_2
    assert not decoded.masks[1]
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), LESION_MASK)


def test_a_segment_that_got_another_number_is_found_by_its_label():
    decoded = decode_seg(normalise(upload_of({1: LESION_MASK, 2: LIVER_MASK}, {1: "lesion ", 2: "Liver"})))
    assert decoded.segments == (LIVER, LESION_2)
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), LESION_MASK)


def test_a_new_segment_is_manual_and_takes_the_codes_of_its_kin():
    second = box((0, 1), (4, 6), (0, 2))
    decoded = decode_seg(normalise(upload_of({1: LIVER_MASK, 2: LESION_MASK, 3: second}, {**LABELS, 3: "Lesion 2"})))
    new = decoded.segments[2]
    assert (new.number, new.label, new.algorithm_type, new.type) == (3, "Lesion 2", "MANUAL", NEOPLASM)
    assert new.tracking_uid not in ("", "2.25.11", "2.25.12")
    np.testing.assert_array_equal(decoded.volume(3, GEOMETRY), second)


def test_a_renamed_segment_is_a_new_one_and_the_old_one_is_empty():
    decoded = decode_seg(normalise(upload_of({1: LIVER_MASK, 2: LESION_MASK}, {1: "Liver", 2: "Cyst"})))
    assert [(s.number, s.label) for s in decoded.segments] == [(1, "Liver"), (2, "Lesion"), (3, "Cyst")]
    assert not decoded.masks[2]
    assert decoded.segments[2].type == TISSUE
    np.testing.assert_array_equal(decoded.volume(3, GEOMETRY), LESION_MASK)


def test_two_segments_of_one_label_are_not_taken_for_one():
    second = box((0, 1), (4, 6), (0, 2))
    upload = upload_of({1: LIVER_MASK, 2: LESION_MASK, 3: second}, {1: "Liver", 2: "Lesion", 3: "Lesion"})
    decoded = decode_seg(normalise(upload))
    assert [s.label for s in decoded.segments] == ["Liver", "Lesion", "Lesion"]
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), LESION_MASK)
    np.testing.assert_array_equal(decoded.volume(3, GEOMETRY), second)


def test_a_listed_new_segment_without_a_voxel_is_left_out():
    decoded = decode_seg(normalise(upload_of({1: LIVER_MASK, 2: LESION_MASK}, {**LABELS, 3: "Segment 3"})))
    assert len(decoded.segments) == 2


def test_drawn_from_nothing():
    decoded = decode_seg(normalise(upload_of({2: LESION_MASK}, {2: "Tumour"}), None))
    (segment,) = decoded.segments
    assert (segment.number, segment.label, segment.algorithm_type, segment.type) == (1, "Tumour", "MANUAL", TISSUE)
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY), LESION_MASK)


def test_overlaps_saved_as_several_frames_of_one_slice_are_kept():
    overlap = LESION_MASK | box((2, 3), (0, 3), (0, 3))
    frames = [*frames_of(LIVER_MASK, 1), *frames_of(overlap, 2)]
    decoded = decode_seg(normalise(labelmap(IMAGES, frames, LABELS)))
    np.testing.assert_array_equal(decoded.volume(1, GEOMETRY), LIVER_MASK)
    np.testing.assert_array_equal(decoded.volume(2, GEOMETRY), overlap)


def test_a_sound_binary_upload_is_taken():
    frames = [(n, f) for n, m in ((1, LIVER_MASK), (2, LESION_MASK)) for f in frames_of(m)]
    upload = through_bytes(binary(IMAGES, frames, LABELS))
    assert volumes_ml(normalise(upload)) == volumes_ml(ORIGINAL)


@pytest.mark.parametrize("labels", [{1: "Lesion"}, {1: "Lesion", 2: "Cyst"}])
def test_a_binary_upload_whose_numbers_may_be_wrong_is_refused(labels):
    """Fault 1: Liver was deleted, SegmentSequence is numbered anew, the frames are not."""
    upload = binary(IMAGES, [(2, frame) for frame in frames_of(LESION_MASK)], labels)
    with pytest.raises(DataError, match="LABELMAP"):
        normalise(upload)


def test_an_empty_upload_is_refused_with_the_way_out():
    frames = [(0, np.zeros(SHAPE[1:]))]
    with pytest.raises(DataError, match='use "no lesion"'):
        normalise(labelmap(IMAGES, frames, LABELS))


def test_nothing_to_see_is_a_segmentation_of_its_own():
    result = through_bytes(empty_seg(ORIGINAL, IMAGES, reader="jdoe", content_datetime=SAVED_AT))
    assert volumes_ml(result) == {1: 0.0, 2: 0.0}
    assert [s.algorithm_type for s in decode_seg(result).segments] == ["SEMIAUTOMATIC", "SEMIAUTOMATIC"]
    assert [s.tracking_uid for s in decode_seg(result).segments] == ["2.25.11", "2.25.12"]
    assert predecessor_of(result) == ORIGINAL.SOPInstanceUID
    assert result.ContentCreatorName == "jdoe"
    assert result.SOPInstanceUID != ORIGINAL.SOPInstanceUID


def test_nothing_to_see_where_there_was_no_original():
    result = empty_seg(None, IMAGES, reader="jdoe", content_datetime=SAVED_AT)
    (segment,) = decode_seg(result).segments
    assert (segment.label, segment.algorithm_type) == ("Lesion", "MANUAL")
    assert predecessor_of(result) == ""


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"StudyInstanceUID": "2.25.9"}, "another study"),
        ({"PatientID": "SOMEBODY"}, "another patient"),
        ({"FrameOfReferenceUID": "2.25.9"}, "another frame of reference"),
        ({"SeriesInstanceUID": IMAGES[0].SeriesInstanceUID}, "UID of an image"),
        ({"SOPInstanceUID": IMAGES[0].SOPInstanceUID}, "UID of an image"),
        ({"SOPInstanceUID": ORIGINAL.SOPInstanceUID}, "UID of the segmentation it corrects"),
        ({"SOPInstanceUID": "../../etc"}, "no proper UID"),
        ({"Rows": 7, "Columns": 6}, "are 7 x 6, the images 6 x 7"),
    ],
)
def test_uploads_that_belong_elsewhere_are_refused(values, message):
    upload = upload_of({1: LIVER_MASK, 2: LESION_MASK}, LABELS)
    for keyword, value in values.items():
        setattr(upload, keyword, value)
    with pytest.raises(DataError, match=message):
        normalise(upload)


def test_another_series_of_the_same_exam_is_refused():
    other = make_mr_series(SHAPE, series_number=2)
    frames = frames_of(LESION_MASK)
    with pytest.raises(DataError, match="It refers to series"):
        normalise(labelmap(other, frames, {1: "Lesion"}), None)
    upload = labelmap(other, frames, {1: "Lesion"})
    del upload.ReferencedSeriesSequence
    with pytest.raises(DataError, match="3 of its 3 images are not in series"):
        normalise(upload, None)


def test_an_original_of_another_study_is_refused():
    strange = make_mr_series(SHAPE, seed=5, study_instance_uid="2.25.5")
    original = write_seg(strange, {1: LESION_MASK}, [LESION])
    with pytest.raises(DataError, match="original segmentation is of another study"):
        normalise(upload_of({1: LESION_MASK}, {1: "Lesion"}), original)


@pytest.mark.parametrize("reader", ["", " jdoe", "a^b", "a\\b", "x" * 65, "a\nb", "a=b"])
def test_logins_that_can_not_be_written_are_refused(reader):
    with pytest.raises(DataError, match="reader's login"):
        normalise(upload_of({1: LIVER_MASK, 2: LESION_MASK}, LABELS), reader=reader)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.filterwarnings("ignore:The value length")
def test_hostile_texts_become_harmless():
    upload = upload_of({2: LESION_MASK}, {2: "<script>" + "x" * 100})
    upload.SeriesDescription = "line\none"
    upload.SeriesNumber = -4
    result = normalise(upload, None)
    (segment,) = decode_seg(result).segments
    assert len(segment.label) <= 64
    assert result.SeriesDescription == "line one"
    assert result.SeriesNumber == 910


def test_the_upload_and_the_original_are_left_alone():
    upload = upload_of({1: LIVER_MASK, 2: LESION_MASK}, LABELS)
    before, original = copy.deepcopy(upload), copy.deepcopy(ORIGINAL)
    normalise(upload)
    assert upload == before
    assert original == ORIGINAL
