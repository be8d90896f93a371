"""One DICOM object as it arrives: what is known of it without looking at its pixels.

Objects are kept as they came. They are read here only to know where they belong, and whether they are whole.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import data_element_generator
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from overread.errors import DataError

# A value that the standard does not allow must neither stop an exam nor be printed as a warning: it may be a name.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

PREAMBLE: Final = b"\0" * 128 + b"DICM"
"""How a DICOM file begins (PS3.10 7.1)."""
IMPLEMENTATION_CLASS_UID: Final = UID("2.25.147204861936325817482660319572409116843")
IMPLEMENTATION_VERSION_NAME: Final = "OVERREAD"  # no version in it: the same object has the same bytes next year

SUMMARY_KEYWORDS: Final = (
    "SOPClassUID", "Modality", "ImageType", "SeriesDescription", "StudyDescription", "ProtocolName", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "NumberOfFrames", "BodyPartExamined", "Laterality", "ImageLaterality",
    "ViewPosition", "PatientPosition", "Rows", "Columns", "SliceThickness", "SpacingBetweenSlices", "PixelSpacing",
    "ImageOrientationPatient", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "AcquisitionDate",
    "AcquisitionTime", "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "ScanningSequence",
    "SequenceVariant", "SequenceName", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime",
    "InversionTime", "EchoTrainLength", "FlipAngle", "DiffusionBValue", "ContrastBolusAgent", "ContrastBolusVolume",
    "KVP", "ConvolutionKernel", "PhotometricInterpretation", "BurnedInAnnotation", "LossyImageCompression",
)  # fmt: skip
"""What the ledger keeps of every object: attributes that arrival rules look at. None tells who the patient is."""

_SUMMARY_TAGS: Final = {
    keyword: BaseTag(tag) for keyword in SUMMARY_KEYWORDS if (tag := tag_for_keyword(keyword)) is not None
}
_TEXT_VRS: Final = frozenset({"AS", "CS", "DA", "LO", "SH", "TM", "UI"})
_DECIMAL: Final = re.compile(r" *[+-]?\d{1,12}(\.\d{0,12})? *")
_CODE: Final = re.compile(r"[A-Z0-9_][A-Z0-9_ ]*(?<! )")
_WHOLE: Final = re.compile(r" *[+-]?\d{1,12} *")
_UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
"""A UID (PS3.5 9.1), but for zeros that begin a component: some devices send them."""
_PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_LONG_VRS: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
_MAX_INFLATED_BYTES: Final = 2**28
MAX_VALUE_BYTES: Final = 2**24
"""Longer values before the pixels are skipped: nobody fills our memory with them, and nothing here looks at them."""
_UNREADABLE: Final = (
    AttributeError, BytesLengthException, EOFError, InvalidDicomError, KeyError, LookupError, NotImplementedError,
    OSError, OverflowError, RecursionError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom raises over bytes that are no DICOM."""


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of an object.

    Parameters
    ----------
    dataset
        All attributes before the pixel data.
    transfer_syntax_uid
        How it is encoded.
    sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid
        Checked: they have the characters of UIDs.
    pixel_data_at
        Position in the stream at which the pixel data begins, if there is any (of a deflated dataset: once inflated).
    """

    dataset: Dataset
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    pixel_data_at: int


def read_header(stream: BinaryIO, *, transfer_syntax_uid: str) -> Header:
    """Read a dataset without file meta information, as C-STORE brings it, up to its pixel data.

    Parameters
    ----------
    stream
        At the beginning of the dataset; seekable.
    transfer_syntax_uid
        The one agreed on.

    Raises
    ------
    DataError
        It can't be read in this transfer syntax, ends too early, or lacks a UID.
    """
    uid = UID(transfer_syntax_uid)
    if uid == DeflatedExplicitVRLittleEndian:
        stream = _inflate(stream)
    # All encapsulated syntaxes, private ones too, are explicit VR little endian (PS3.5 A.4).
    implicit = uid == pydicom.uid.ImplicitVRLittleEndian
    little = uid != pydicom.uid.ExplicitVRBigEndian
    try:
        dataset = _read_elements(stream, implicit=implicit, little=little)
        pixel_data_at = stream.tell()
        whole = _is_whole(dataset, stream, implicit=implicit, little=little)
    except _UNREADABLE as problem:
        raise DataError(
            "These bytes are no DICOM dataset in the transfer syntax agreed on: send the object again.",
            tag=str(uid.name),
        ) from problem
    header = Header(
        dataset,
        str(transfer_syntax_uid),
        sop_class_uid=_uid_of(dataset, "SOPClassUID"),
        sop_instance_uid=_uid_of(dataset, "SOPInstanceUID"),
        series_instance_uid=_uid_of(dataset, "SeriesInstanceUID"),
        study_instance_uid=_uid_of(dataset, "StudyInstanceUID"),
        pixel_data_at=pixel_data_at,
    )
    if not whole:
        raise DataError("The object ends before its end: send it again.", uid=header.sop_instance_uid)
    return header


class Fault(Enum):
    """Why an object can't be taken."""

    UNREADABLE = "unreadable"  # it is no whole object
    MISMATCH = "mismatch"  # it is another object than was announced


@dataclass(frozen=True, eq=False)
class Finding:
    """What a file of the receiver's spool holds.

    Parameters
    ----------
    header
        The object's attributes, None if they can't be read.
    fault, reason
        Why it can't be taken, for programs and in words; None and "" if it can.
    sender, receiver
        AE titles of the association that brought it.
    """

    header: Header | None
    fault: Fault | None = None
    reason: str = ""
    sender: str = ""
    receiver: str = ""


def examine(path: Path) -> Finding:
    """Judge an object that came by C-STORE, whose file meta information tells what was announced.

    Raises
    ------
    OSError
        The file can't be read.
    """
    meta, header = Dataset(), None
    fault, reason = None, ""
    try:
        with path.open("rb") as stream:
            meta = read_file_meta(stream)
            header = read_header(stream, transfer_syntax_uid=text(meta, "TransferSyntaxUID"))
    except DataError as problem:
        fault, reason = Fault.UNREADABLE, str(problem)
    if header is not None:
        for what, announced, found in (
            ("Instance", text(meta, "MediaStorageSOPInstanceUID"), header.sop_instance_uid),
            ("Class", text(meta, "MediaStorageSOPClassUID"), header.sop_class_uid),
        ):
            if announced != found:
                fault, reason = Fault.MISMATCH, f"SOP {what} UID differs between command and dataset"
                break
    titles = {"sender": text(meta, "SendingApplicationEntityTitle")}
    titles["receiver"] = text(meta, "ReceivingApplicationEntityTitle")
    return Finding(header, fault, reason, **titles)


def read_file_header(path: Path) -> Header:
    """Read a DICOM file (PS3.10) up to its pixel data.

    Raises
    ------
    DataError
        It is no DICOM file, or its dataset is not in order (see `read_header`), or file meta information and dataset
        are of different objects.
    """
    with path.open("rb") as stream:
        meta = read_file_meta(stream)
        header = read_header(stream, transfer_syntax_uid=text(meta, "TransferSyntaxUID"))
    named = text(meta, "MediaStorageSOPInstanceUID")
    if named and named != header.sop_instance_uid:
        raise DataError(
            f"The file meta information is of object {named}: write the file again.", uid=header.sop_instance_uid
        )
    return header


def read_file_meta(stream: BinaryIO) -> Dataset:
    """Read the file meta information and leave `stream` at the beginning of the dataset.

    Raises
    ------
    DataError
        There is none.
    """
    if stream.read(len(PREAMBLE))[-4:] != b"DICM":
        raise DataError("This is no DICOM file (it has no 'DICM' after 128 bytes): send DICOM Part 10 files.")
    try:
        elements = data_element_generator(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)  # noqa: FBT003, PLR2004 - file meta is explicit VR little endian, group 2
        meta = Dataset({element.tag: element for element in elements})
        known = text(meta, "TransferSyntaxUID")
    except _UNREADABLE as problem:
        raise DataError("The file meta information can't be read: write the file again.") from problem
    if not known:
        raise DataError("The file does not name its transfer syntax: write it again.", tag="TransferSyntaxUID")
    return meta


def file_meta_bytes(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: str = "", receiver: str = ""
) -> bytes:
    """Return preamble and file meta information (PS3.10 7.1). The same object gets the same bytes every time.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        Of the object.
    sender, receiver
        AE titles of the association that brought it (0002,0017 and 0002,0018); "" leaves them out.
    """
    elements = [
        b"\x02\x00\x01\x00OB\0\0\x02\0\0\0\x00\x01",
        _meta_element(0x02, b"UI", sop_class_uid),
        _meta_element(0x03, b"UI", sop_instance_uid),
        _meta_element(0x10, b"UI", transfer_syntax_uid),
        _meta_element(0x12, b"UI", IMPLEMENTATION_CLASS_UID),
        _meta_element(0x13, b"SH", IMPLEMENTATION_VERSION_NAME),
    ]
    if sender:
        elements.append(_meta_element(0x17, b"AE", sender))
    if receiver:
        elements.append(_meta_element(0x18, b"AE", receiver))
    group = b"".join(elements)
    return PREAMBLE + b"\x02\x00\x00\x00UL\x04\0" + struct.pack("<L", len(group)) + group


def _meta_element(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii", errors="replace")
    encoded += (b"\0" if vr == b"UI" else b" ") * (len(encoded) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(encoded)) + encoded


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return the attributes of `SUMMARY_KEYWORDS` that have a value, as JSON can hold them."""
    there = dataset.keys()
    values = ((keyword, _json_value(dataset, tag)) for keyword, tag in _SUMMARY_TAGS.items() if tag in there)
    return {keyword: value for keyword, value in values if value is not None}


def json_value(dataset: Dataset, keyword: str) -> Any:
    """Return an attribute as text, number or list of these; None if it is absent, empty or unreadable."""
    tag = tag_for_keyword(keyword)
    return None if tag is None or tag not in dataset else _json_value(dataset, tag)


def _json_value(dataset: Dataset, tag: int) -> Any:
    try:
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and (plain := _plain_value(element)) is not None:
            return plain
        value = dataset[tag].value
        if isinstance(value, MultiValue | list | tuple):
            return [_plain(item) for item in value] or None
        return None if value is None or value == "" else _plain(value)
    except _UNREADABLE:
        return None


def _plain_value(element: RawDataElement) -> str | float | list[str] | list[float] | None:
    """Return the value of an attribute of a simple kind, None if it is not that simple.

    pydicom takes ten times as long, and several dozen attributes of every object are read.
    """
    value = element.value
    if not isinstance(value, bytes):
        return None
    if element.VR == "US" and len(value) == 2:  # noqa: PLR2004 - one of them
        return int.from_bytes(value, "little" if element.is_little_endian else "big")
    if not value.isascii() or b"\x1b" in value:
        return None
    first, *more = value.decode("ascii").rstrip(" \0").split("\\")
    return _plain_values(element.VR, [first, *more]) if more else _only_plain_value(element.VR, first)


def _only_plain_value(vr: str | None, plain: str) -> str | float | None:
    if vr == "DS":
        return float(plain) if _DECIMAL.fullmatch(plain) else None
    if vr == "IS":
        return int(plain) if _WHOLE.fullmatch(plain) else None
    if vr in _TEXT_VRS:
        return (plain.strip(" ") if vr == "UI" else plain) or None
    return None


def _plain_values(vr: str | None, parts: list[str]) -> list[str] | list[float] | None:
    """Return several values of a simple kind, None if they are not that simple."""
    if vr == "DS" and all(map(_DECIMAL.fullmatch, parts)):
        return [float(part) for part in parts]
    return parts if vr == "CS" and all(map(_CODE.fullmatch, parts)) else None


def text(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as text without padding, "" if it is absent or unreadable; the first of several values."""
    value = json_value(dataset, keyword)
    first = value[0] if isinstance(value, list) else value
    return "" if first is None else str(first).strip(" \0")


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """Return an attribute as a whole number, None if it is none."""
    try:
        return int(text(dataset, keyword))
    except ValueError:
        return None


def file_stem(uid: str) -> str:
    """Return a UID as a file name: itself, or its digest if it has anything in it but digits and dots."""
    return uid if _UID.fullmatch(uid) and uid.strip(".") else hashlib.sha256(uid.encode()).hexdigest()[:32]


def _plain(value: object) -> Any:
    if isinstance(value, bool | bytes):
        return None
    if isinstance(value, float):  # DS too
        return float(value) if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
    if isinstance(value, int):  # IS too
        return int(value)
    return str(value)


def _read_elements(stream: BinaryIO, *, implicit: bool, little: bool) -> Dataset:
    elements: dict[BaseTag, Any] = {}
    for element in data_element_generator(
        stream, implicit, little, stop_when=lambda tag, _vr, _length: tag in _PIXEL_TAGS, defer_size=MAX_VALUE_BYTES
    ):
        elements[element.tag] = element
    first = next(iter(elements.values()), None)
    if first is None or (not implicit and first.VR is None):
        raise ValueError("there is no attribute in it")
    dataset = Dataset(elements)
    charset = dataset.get("SpecificCharacterSet")
    encodings = convert_encodings(charset) if charset else default_encoding
    dataset.set_original_encoding(implicit, little, encodings)
    return dataset


def _is_whole(dataset: Dataset, stream: BinaryIO, *, implicit: bool, little: bool) -> bool:
    """Whether nothing ends too early: the last attribute, the pixel data, an image before its pixel data."""
    start = stream.tell()
    last = dataset.get_item(list(dataset.keys())[-1], keep_deferred=True)
    if isinstance(last, RawDataElement) and last.length != _UNDEFINED and last.value_tell + last.length != start:
        return False
    size = stream.seek(0, 2)
    if start > size:  # a value that was skipped
        return False
    stream.seek(start)
    order = "<" if little else ">"
    head = stream.read(12)
    if not head:
        return not _needs_pixels(dataset)
    if len(head) < 8:  # noqa: PLR2004 - tag, VR and length
        return False
    length_at, length_form = (8, "L") if not implicit and head[4:6] in _LONG_VRS else (6, "H")
    if implicit:
        length_at, length_form = 4, "L"
    (length,) = struct.unpack_from(order + length_form, head, length_at)
    value_at = start + length_at + struct.calcsize(order + length_form)
    if length != _UNDEFINED:
        return bool(value_at + length <= size)
    return _fragments_end(stream, value_at, size)


def _needs_pixels(dataset: Dataset) -> bool:
    """Whether an object without pixel data is not whole: an image, unless its pixels lie elsewhere (PS3.5 8.1.2)."""
    is_image = "BitsAllocated" in dataset or "Image Storage" in UID(text(dataset, "SOPClassUID")).name
    return is_image and "PixelDataProviderURL" not in dataset


def _fragments_end(stream: BinaryIO, position: int, size: int) -> bool:
    """Whether encapsulated pixel data (PS3.5 A.4) ends with its delimiter."""
    while position + 8 <= size:
        stream.seek(position)
        group, element, length = struct.unpack("<HHL", stream.read(8))
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return True
        if tag != _ITEM or length == _UNDEFINED:
            return False
        position += 8 + length
    return False


def _inflate(stream: BinaryIO) -> BinaryIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(stream.read(), _MAX_INFLATED_BYTES)
    except zlib.error as problem:
        raise DataError("The deflated dataset can't be inflated: send the object again.") from problem
    if not inflater.eof:
        raise DataError(
            f"The deflated dataset ends too early or is larger than {_MAX_INFLATED_BYTES} bytes: send it uncompressed."
        )
    return BytesIO(data)


def _uid_of(dataset: Dataset, keyword: str) -> str:
    uid = text(dataset, keyword)
    if not _UID.fullmatch(uid):
        known = text(dataset, "SOPInstanceUID")
        raise DataError(
            "This attribute is missing or no UID: correct it at the source, then send the object again.",
            uid=known if _UID.fullmatch(known) else "",
            tag=keyword,
        )
    return uid
