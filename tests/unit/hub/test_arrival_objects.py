"""What is read of an object without its pixels, and what is no whole object."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from helpers.arrivals import dataset_bytes, file_bytes
from overread.errors import DataError
from overread.hub.arrival import objects
from overread.hub.arrival.objects import SUMMARY_KEYWORDS, file_meta_bytes, read_file_header, read_header, summary
from overread.study.keywords import IDENTIFYING
from overread.synthetic.phantoms import make_mr_series


def image() -> Dataset:
    return make_mr_series((3, 16, 20))[0]


def encoded(dataset: Dataset, syntax: str) -> bytes:
    if syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return dataset_bytes(dataset)
    buffer = DicomBytesIO()
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = bytes(dataset.PixelData)
    write_dataset(buffer, dataset)
    content = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = packer.compress(content) + packer.flush()
    return bytes(content)


SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_every_encoding_is_read_up_to_its_pixels(syntax: str) -> None:
    dataset = image()
    header = read_header(BytesIO(encoded(dataset, syntax)), transfer_syntax_uid=syntax)
    assert header.sop_instance_uid == dataset.SOPInstanceUID
    assert header.series_instance_uid == dataset.SeriesInstanceUID
    assert header.transfer_syntax_uid == syntax
    assert header.dataset.Rows == 16
    assert "PixelData" not in header.dataset


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # the character set's name may be cut, too
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_an_object_cut_anywhere_is_never_taken_for_a_whole_one(syntax: str) -> None:
    content = encoded(image(), syntax)
    for end in [*range(0, len(content) - 1, 7), len(content) - 2, len(content) - 1]:
        with pytest.raises(DataError):
            read_header(BytesIO(content[:end]), transfer_syntax_uid=syntax)


@pytest.mark.parametrize(
    ("claimed", "real"), [(ExplicitVRLittleEndian, ImplicitVRLittleEndian), (ImplicitVRLittleEndian, RLELossless)]
)
def test_an_object_in_another_encoding_than_agreed_is_refused(claimed: str, real: str) -> None:
    with pytest.raises(DataError):
        read_header(BytesIO(encoded(image(), real)), transfer_syntax_uid=claimed)


def test_a_deflated_object_may_not_inflate_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MAX_INFLATED_BYTES", 1000)
    content = encoded(image(), DeflatedExplicitVRLittleEndian)
    with pytest.raises(DataError, match="larger than 1000 bytes"):
        read_header(BytesIO(content), transfer_syntax_uid=DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_an_object_without_a_uid_is_refused_and_the_uid_is_named(keyword: str) -> None:
    dataset = image()
    delattr(dataset, keyword)
    with pytest.raises(DataError, match=keyword):
        read_header(BytesIO(encoded(dataset, ExplicitVRLittleEndian)), transfer_syntax_uid=ExplicitVRLittleEndian)


def test_a_uid_that_could_leave_its_folder_is_refused() -> None:
    content = encoded(image(), ExplicitVRLittleEndian)
    uid = image().SeriesInstanceUID.encode()
    evil = b"../../../etc/passwd".ljust(len(uid), b"x")
    with pytest.raises(DataError, match="SeriesInstanceUID"):
        read_header(BytesIO(content.replace(uid, evil)), transfer_syntax_uid=ExplicitVRLittleEndian)


def test_nested_sequences_without_end_are_refused() -> None:
    bomb = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(DataError):
        read_header(BytesIO(bomb), transfer_syntax_uid=ExplicitVRLittleEndian)


def test_a_file_says_its_own_encoding(tmp_path: Path) -> None:
    dataset = image()
    path = tmp_path / "x.dcm"
    path.write_bytes(file_bytes(dataset))
    assert read_file_header(path).sop_instance_uid == dataset.SOPInstanceUID


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "no 'DICM'"), (b"x" * 500, "no 'DICM'"), (b"\0" * 128 + b"DICM", "transfer syntax")]
)
def test_a_file_that_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_file_header(path)


def test_file_meta_information_of_another_object_is_refused(tmp_path: Path) -> None:
    dataset = image()
    path = tmp_path / "x.dcm"
    meta = file_meta_bytes(
        sop_class_uid=dataset.SOPClassUID, sop_instance_uid="1.2.3", transfer_syntax_uid=ExplicitVRLittleEndian
    )
    path.write_bytes(meta + dataset_bytes(dataset))
    with pytest.raises(DataError, match=r"1\.2\.3"):
        read_file_header(path)


def test_our_file_meta_information_is_read_by_others_and_always_the_same() -> None:
    dataset = image()
    meta = file_meta_bytes(
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    assert meta == file_meta_bytes(
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    read = dcmread(BytesIO(meta + dataset_bytes(dataset)))
    assert read.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert read.PixelData == dataset.PixelData


def test_the_ledger_keeps_what_rules_look_at_and_nothing_of_the_patient() -> None:
    dataset = image()
    kept = summary(dataset)
    assert kept["Modality"] == "MR"
    assert kept["ImageType"] == ["ORIGINAL", "PRIMARY", "OTHER"]
    assert kept["SeriesNumber"] == 1
    assert kept["PixelSpacing"] == [1.0, 1.25]
    assert not IDENTIFYING.intersection(SUMMARY_KEYWORDS)


def test_a_value_that_is_none_of_its_type_does_not_stop_an_object() -> None:
    dataset = image()
    content = encoded(dataset, ExplicitVRLittleEndian)
    position = content.index(b"\x20\x00\x11\x00IS")
    broken = content[: position + 8] + b"?!" + content[position + 10 :]
    header = read_header(BytesIO(broken), transfer_syntax_uid=ExplicitVRLittleEndian)
    assert objects.whole_number(header.dataset, "SeriesNumber") is None
    assert summary(header.dataset)["Modality"] == "MR"


@pytest.mark.parametrize(("uid", "stem"), [("1.2.3", "1.2.3"), ("..", None), ("a/b", None), ("1.2 ", None)])
def test_file_names_are_uids_or_digests(uid: str, stem: str | None) -> None:
    name = objects.file_stem(uid)
    assert name == stem if stem else len(name) == 32


TEXTS = (b"abc ", b" abc", b"", b"  ", b"a\\b", b"abc\0", b"1.2.3\0", b"\0", b"a\0b", b" \0 ", b"\x1b$Ba", b"\xe4")
SEVERAL = (
    b"0.7\\0.7 ",
    b" 1\\2",
    b"1\\",
    b"\\1",
    b"1\\x",
    b"1e3\\2",
    b"ORIGINAL\\PRIMARY ",
    b"A \\B",
    b" A\\B",
    b"A\\\\B",
    b"a\\b",
)
NUMBERS = (
    b"1.5 ",
    b" 1.5",
    b"1e3",
    b"",
    b"nan",
    b"inf",
    b"1_0",
    b"x",
    b"12",
    b"1.0",
    b"-0",
    b"0012 ",
    b"1.5\0",
    b"9" * 20,
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [(keyword, dictionary_VR(keyword), value) for keyword in ("PatientAge", "Modality", "StudyDate", "StudyDescription",
     "AccessionNumber", "StudyTime", "StudyInstanceUID") for value in TEXTS]
    + [(keyword, dictionary_VR(keyword), value) for keyword in ("KVP", "InstanceNumber") for value in NUMBERS]
    + [(keyword, dictionary_VR(keyword), value) for keyword in ("PixelSpacing", "ImageType", "StudyDescription")
       for value in SEVERAL]
    + [("Rows", "US", value) for value in (b"\0\2", b"\1\0", b"\0\0", b"\1\0\2\0", b"\1", b"")],
)  # fmt: skip
def test_simple_values_are_read_as_pydicom_reads_them(
    keyword: str, vr: str, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> object:
        tag = BaseTag(tag_for_keyword(keyword) or 0)
        dataset = Dataset({tag: RawDataElement(tag, vr, len(value), value, 0, False, True)})
        dataset.set_original_encoding(False, True, "iso8859")
        return objects.json_value(dataset, keyword)

    ours = read()
    monkeypatch.setattr(objects, "_plain_value", lambda _element: None)
    assert repr(ours) == repr(read())


def test_a_value_that_would_fill_the_memory_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = image()
    dataset.add_new(0x00091001, "OB", bytes(5000))
    content = encoded(dataset, ExplicitVRLittleEndian)
    monkeypatch.setattr(objects, "MAX_VALUE_BYTES", 1000)
    header = read_header(BytesIO(content), transfer_syntax_uid=ExplicitVRLittleEndian)
    assert header.sop_instance_uid == dataset.SOPInstanceUID
    assert header.dataset.get_item(0x00091001, keep_deferred=True).value is None
    cut = content[: content.index(bytes(5000)) + 4000]
    with pytest.raises(DataError, match=r"ends before its end|no UID"):
        read_header(BytesIO(cut), transfer_syntax_uid=ExplicitVRLittleEndian)
