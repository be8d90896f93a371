"""The few attributes by which files are sorted into series, read from a file's first bytes.

A parser for the usual file alone: Part 10, explicit or implicit little endian, not deflated. Of anything else, and of
anything strange, it says nothing, and the caller has pydicom look. It never guesses.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 16384
_PREAMBLE: Final = 132
_EXPLICIT, _IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
_LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs with a length of four bytes (PS3.5 7.1.2)."""
_UNDEFINED: Final = 0xFFFFFFFF
_TRANSFER_SYNTAX: Final = 0x0002_0010
_ROWS, _COLUMNS, _FRAMES, _SAMPLES, _BITS = 0x0028_0010, 0x0028_0011, 0x0028_0008, 0x0028_0002, 0x0028_0100
_WANTED: Final = {
    0x0008_0016: "SOPClassUID",
    0x0008_0018: "SOPInstanceUID",
    0x0020_000D: "StudyInstanceUID",
    0x0020_000E: "SeriesInstanceUID",
}
_META: Final = 2
"""Group of the file meta information, which is always explicit."""
_NUMBERS: Final = frozenset({_ROWS, _COLUMNS, _SAMPLES, _BITS})
_SHORT = struct.Struct("<H")
_TAG = struct.Struct("<HH")
_LENGTH = struct.Struct("<L")


@dataclass(frozen=True)
class QuickHeader:
    """What a file's first bytes say: the four UIDs, by keyword, of an image whose file is long enough for it."""

    uids: Mapping[str, str]


def quick_header(path: Path) -> QuickHeader | None:
    """Return the UIDs of a plainly stored single-frame image; None if pydicom has to look at the file."""
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
    try:
        return _parse(head, size)
    except (struct.error, UnicodeDecodeError):
        return None  # cut off within the first bytes, or no plain text where there should be


def _parse(head: bytes, size: int) -> QuickHeader | None:
    if head[128:_PREAMBLE] != b"DICM":
        return None
    at, implicit, tag = _PREAMBLE, False, 0
    uids: dict[str, str] = {}
    numbers: dict[int, int] = {}
    while at + 8 <= len(head) and tag < _BITS:
        tag, value_at, length = _element(head, at, implicit=implicit)
        if length == _UNDEFINED or tag == _FRAMES:
            return None  # a sequence to be searched for its end, or frames
        at = value_at + length
        if tag == _TRANSFER_SYNTAX:
            syntax = head[value_at:at].rstrip(b"\0 ")
            if syntax not in (_EXPLICIT, _IMPLICIT):
                return None
            implicit = syntax == _IMPLICIT
        elif tag in _WANTED:
            uids[_WANTED[tag]] = head[value_at:at].decode("ascii").strip("\0 ")
        elif tag in _NUMBERS:
            (numbers[tag],) = _SHORT.unpack_from(head, value_at)
    if len(numbers) < len(_NUMBERS) or len(uids) < len(_WANTED) or not all(uids.values()):
        return None
    pixels = numbers[_ROWS] * numbers[_COLUMNS] * numbers[_SAMPLES] * numbers[_BITS] // 8
    return QuickHeader(uids) if 0 < pixels <= size - at else None


def _element(head: bytes, at: int, *, implicit: bool) -> tuple[int, int, int]:
    """Return tag, position of the value, and its length."""
    group, element = _TAG.unpack_from(head, at)
    tag = group << 16 | element
    if implicit and group != _META:
        return tag, at + 8, _LENGTH.unpack_from(head, at + 4)[0]
    if head[at + 4 : at + 6] in _LONG:
        return tag, at + 12, _LENGTH.unpack_from(head, at + 8)[0]
    return tag, at + 8, _SHORT.unpack_from(head, at + 6)[0]
