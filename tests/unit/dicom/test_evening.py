from __future__ import annotations

import copy
import datetime
import hashlib
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from helpers.segments import BRAIN, LESION, NEOPLASM, through_bytes
from helpers.viewer_seg import binary, frames_of, labelmap
from overread.dicom.evening import burned_in, even_images, even_segmentation
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import ObjectInfo, SegmentInfo, decode_seg, write_seg
from overread.errors import DataError
from overread.study.blinding import uids_of
from overread.synthetic import awkward
from overread.synthetic.phantoms import make_case

SALT = bytes(range(32))
CODE = "K3F9W2ZB7M"
UIDS = uids_of(SALT, CODE)
STUDY = (
    SegmentInfo(number=1, label="Left lobe", type=NEOPLASM, anatomic_region=BRAIN, color_cielab=(1, 2, 3)),
    SegmentInfo(number=2, label="Vessels"),
)
CASE = make_case()
SECOND = np.roll(CASE.mask, 3, axis=2)
MOMENT = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)


def octets(ds):
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def evened(seg, images=CASE.datasets, code=CODE):
    uids = uids_of(SALT, code)
    return even_segmentation(
        seg, images=even_images(images, code=code, uids=uids), code=code, uids=uids, segments=STUDY
    )


def sources():
    """Yield one drawing as the model, an expert's workstation, and OHIF as label map and binary write it."""
    model = [
        replace(LESION, label="Left lobe"),
        replace(LESION, number=2, label="Vessels", tracking_uid="2.25.9", color_cielab=(9, 9, 9)),
    ]
    info = ObjectInfo(manufacturer="A", model_name="liver", software_version="3", series_description="AI liver")
    yield write_seg(CASE.datasets, {1: CASE.mask, 2: SECOND}, model, info=info)
    person = [SegmentInfo(number=1, label="vessels"), SegmentInfo(number=2, label="LEFT  LOBE")]
    by_hand = ObjectInfo(content_creator_name="expert1", content_datetime=MOMENT, series_description="Dr. X")
    signed = write_seg(CASE.datasets, {1: SECOND, 2: CASE.mask}, person, info=by_hand)
    signed.add_new(0x00091001, "LO", "private creator")
    signed.OperatorsName = "Doe^Jane"
    signed.ContributingEquipmentSequence = [Dataset()]
    signed.DigitalSignaturesSequence = [Dataset()]
    signed.file_meta.SourceApplicationEntityTitle = "WS7"
    yield signed
    frames = [*frames_of(CASE.mask, 1), *frames_of(SECOND, 2)]
    yield labelmap(CASE.datasets, frames, {1: "Left lobe", 2: "Vessels"}, rle=True)
    yield binary(CASE.datasets, [(int(v.max()), (k, v > 0)) for k, v in frames], {1: "Left lobe", 2: "Vessels"})


def test_one_drawing_of_four_sources_gives_one_file_byte_by_byte():
    files = {hashlib.sha256(octets(evened(through_bytes(seg)))).hexdigest() for seg in sources()}
    assert len(files) == 1


def test_what_is_drawn_survives():
    images = even_images(CASE.datasets, code=CODE, uids=UIDS)
    decoded = decode_seg(evened(next(sources())))
    np.testing.assert_array_equal(decoded.volume(1, geometry_of(images)), CASE.mask)
    np.testing.assert_array_equal(decoded.volume(2, geometry_of(images)), SECOND)
    assert [s.label for s in decoded.segments] == ["Left lobe", "Vessels"]


def test_nothing_of_the_source_stands_in_the_file():
    for seg in sources():
        raw = octets(evened(through_bytes(seg)))
        gone = [
            "Overread",
            "liver",
            "expert1",
            "Doe",
            "WS7",
            "OHIF",
            "AUTOMATIC",
            "brain-tumor",
            "20260504",
            "highdicom",
        ]
        gone += [seg.SOPInstanceUID, seg.SeriesInstanceUID, seg.StudyInstanceUID, CASE.datasets[0].SOPInstanceUID]
        gone += [CASE.datasets[0].PatientID, CASE.datasets[0].SeriesInstanceUID]
        assert [word for word in gone if word.encode() in raw] == []
        assert CODE.encode() in raw


def test_the_size_of_the_file_tells_nothing_of_what_is_drawn():
    empty, full = np.zeros_like(CASE.mask), np.ones_like(CASE.mask)
    for_each = [
        write_seg(CASE.datasets, {1: first, 2: second}, STUDY)
        for first, second in ((empty, empty), (empty, full), (CASE.mask, empty), (full, full))
    ]
    sizes = {
        len(octets(evened(seg, code=code)))
        for seg, code in zip(for_each, ("B" * 10, "C" * 10, "D" * 10, "F" * 10), strict=True)
    }
    assert len(sizes) == 1


def test_a_segment_that_a_source_did_not_draw_is_there_and_empty():
    seg = write_seg(CASE.datasets, {1: SECOND}, [SegmentInfo(number=1, label="Vessels")])
    decoded = decode_seg(evened(seg))
    assert decoded.masks[1] == {}
    assert len(decoded.masks[2]) > 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["Left lobe", "Tumour"], "'Tumour' is not one of the study's"), (["Vessels", "vessels"], "'vessels' is twice")],
)
def test_a_segment_that_the_study_does_not_know_is_refused(labels, message):
    named = [SegmentInfo(number=n, label=label) for n, label in enumerate(labels, start=1)]
    seg = write_seg(CASE.datasets, {1: CASE.mask, 2: SECOND}, named)
    with pytest.raises(DataError, match=message):
        evened(seg)


def test_a_segmentation_of_another_exam_or_grid_is_refused():
    seg = next(sources())
    with pytest.raises(DataError, match="another study"):
        evened(seg, images=make_case(seed=5).datasets)
    other = copy.deepcopy(seg)
    small = make_case((24, 32, 32)).datasets
    for ds in small:
        ds.StudyInstanceUID = CASE.datasets[0].StudyInstanceUID
    with pytest.raises(DataError, match="32 x 40, the images 32 x 32"):
        evened(other, images=small)


@pytest.mark.parametrize("kind", ["plain", "compressed", "multi-frame"])
def test_images_keep_pixels_and_place_and_lose_identity(kind):
    whole = {
        "plain": CASE.datasets,
        "compressed": awkward.in_syntax(CASE.datasets, RLELossless),
        "multi-frame": [awkward.enhanced(CASE.datasets)],
    }[kind]
    images = copy.deepcopy(list(whole))
    for ds in images:
        ds.PatientName, ds.PatientID, ds.AccessionNumber, ds.PatientBirthDate = (
            "Secret^Name",
            "PID7",
            "ACC7",
            "19310203",
        )
        ds.PatientAge, ds.PatientSex = "094Y", "F"
        ds.InstitutionName, ds.StationName, ds.ProtocolName, ds.SeriesDescription = "Clinic7", "ST7", "Prot7", "Desc7"
        ds.OperatorsName, ds.PatientComments, ds.DeviceSerialNumber = "Op7", "Remark7", "Serial7"
        ds.AcquisitionDate, ds.AcquisitionTime = "20250607", "080910"
        ds.add_new(0x00091001, "LO", "Private7")
        ds.add_new(0x60003000, "OW", b"\0\1")
    new = [
        through_bytes(ds) for ds in even_images(images, code=CODE, uids=UIDS, series_number=3, series_description="pv")
    ]
    for before, after in zip(images, new, strict=True):
        assert after.PixelData == before.PixelData
        assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
        assert after.SOPInstanceUID == UIDS(before.SOPInstanceUID)
        assert (after.PatientAge, after.PatientSex, after.PatientName) == ("090Y", "F", CODE)
        assert (after.SeriesNumber, after.SeriesDescription, after.StudyDate) == (3, "pv", "20000101")
        raw = octets(after)
        words = ("Secret", "PID7", "ACC7", "1931", "Clinic7", "ST7", "Prot7", "Desc7", "Op7", "Remark7", "Serial7")
        assert [word for word in (*words, "20250607", "20240115", "Private7") if word.encode() in raw] == []
        assert before.StudyInstanceUID.encode() not in raw
        assert [e.tag for e in after if e.tag.is_private or e.tag.group == 0x6000] == []
    if kind == "plain":
        was, now = geometry_of(images), geometry_of(new)
        np.testing.assert_array_equal(was.affine_lps, now.affine_lps)


def test_a_segmentation_drawn_on_a_multi_frame_image_goes_along():
    whole = awkward.enhanced(CASE.datasets)
    seg = write_seg([whole], {1: CASE.mask, 2: SECOND}, STUDY)
    even = evened(seg, images=[whole])
    assert len(decode_seg(even).masks[1]) == int(CASE.mask.any(axis=(1, 2)).sum())


def test_images_given_are_left_as_they_are():
    before = [octets(ds) for ds in CASE.datasets]
    even_images(CASE.datasets, code=CODE, uids=UIDS)
    assert [octets(ds) for ds in CASE.datasets] == before


def test_a_name_in_the_pixels_is_refused():
    image = copy.deepcopy(CASE.datasets[0])
    image.BurnedInAnnotation = "YES"
    with pytest.raises(DataError, match="its header says"):
        even_images([image], code=CODE, uids=UIDS, look_at_pixels=True)
    capture = copy.deepcopy(CASE.datasets[0])
    capture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    assert (burned_in(image), burned_in(capture), burned_in(CASE.datasets[0])) == (True, None, False)
    with pytest.raises(DataError, match="set BurnedInAnnotation to NO"):
        even_images([capture], code=CODE, uids=UIDS)
    assert len(even_images([capture], code=CODE, uids=UIDS, look_at_pixels=True)) == 1
    capture.BurnedInAnnotation = "NO"
    assert len(even_images([capture], code=CODE, uids=UIDS)) == 1
