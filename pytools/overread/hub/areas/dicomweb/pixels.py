"""Frames and other bulk data as they lie in the file: nothing is decoded, only what is asked for is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, get_frame

from overread.errors import DataError
from overread.hub.areas.dicomweb.accept import EXPLICIT_LITTLE, NATIVE
from overread.hub.arrival.objects import read_file_meta, read_header, text, whole_number

_MEDIA_TYPES: Final = {
    "1.2.840.10008.1.2.4.50": "image/jpeg", "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg", "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls", "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2", "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx", "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}  # fmt: skip
"""Media types of single compressed frames (PS3.18 Table 8.7.3-2)."""
_LONG: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
_UNDEFINED: Final = 0xFFFFFFFF
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class PixelFile:
    """A file whose pixel data was found.

    Parameters
    ----------
    path
        The file.
    dataset
        Attributes before the pixel data.
    transfer_syntax_uid
        Of the file.
    start, length
        Where the value of PixelData lies; the length is None for encapsulated frames.
    """

    path: Path
    dataset: Dataset
    transfer_syntax_uid: str
    start: int
    length: int | None

    @property
    def frames(self) -> int:
        """NumberOfFrames, 1 if it is not given."""
        return max(1, whole_number(self.dataset, "NumberOfFrames") or 1)

    @property
    def frame_syntax(self) -> str:
        """Transfer syntax of a frame that is sent alone."""
        return EXPLICIT_LITTLE if self.transfer_syntax_uid in NATIVE else self.transfer_syntax_uid

    @property
    def media_type(self) -> str:
        """Media type of a compressed frame; ``application/octet-stream`` for plain numbers."""
        return _MEDIA_TYPES.get(self.transfer_syntax_uid, "application/octet-stream")


def open_pixels(path: Path) -> PixelFile:
    """Find the pixel data of a file.

    Raises
    ------
    DataError
        There is none, or the file can't be read.
    """
    with path.open("rb") as stream:
        syntax = text(read_file_meta(stream), "TransferSyntaxUID")
        header = read_header(stream, transfer_syntax_uid=syntax)
        if syntax == _DEFLATED:
            raise DataError("Frames of deflated objects are not given: ask for the whole object.")
        stream.seek(header.pixel_data_at)
        start, length = _value(stream, syntax)
    return PixelFile(path, header.dataset, syntax, start, length)


def _value(stream: BinaryIO, syntax: str) -> tuple[int, int | None]:
    """Return where the value of the element at the stream's position begins, and its length."""
    position = stream.tell()
    head = stream.read(12)
    if len(head) < 8:  # noqa: PLR2004 - tag and length
        raise DataError("The object has no pixel data.")
    order: Literal["big", "little"] = "big" if syntax == "1.2.840.10008.1.2.2" else "little"
    if syntax == "1.2.840.10008.1.2":
        length, skip = int.from_bytes(head[4:8], order), 8
    elif head[4:6] in _LONG:
        length, skip = int.from_bytes(head[8:12], order), 12
    else:
        length, skip = int.from_bytes(head[6:8], order), 8
    return position + skip, None if length == _UNDEFINED else length


def read_frames(pixels: PixelFile, numbers: Sequence[int]) -> Iterator[bytes]:
    """Read frames, numbered from 1.

    Raises
    ------
    DataError
        There is no frame of such a number, or the data ends before it.
    """
    count = pixels.frames
    outside = [number for number in numbers if not 1 <= number <= count]
    if outside or not numbers:
        raise DataError(f"There is no frame {outside[0] if outside else ''}: the object has {count}.")
    with pixels.path.open("rb") as stream:
        for number in numbers:
            if pixels.length is None:
                stream.seek(pixels.start)
                yield get_frame(stream, number - 1, number_of_frames=count)
            else:
                yield _native_frame(pixels, stream, number - 1)


def all_frames(pixels: PixelFile) -> Iterator[bytes]:
    """Read all frames, one after the other."""
    if pixels.length is not None:
        yield from read_frames(pixels, range(1, pixels.frames + 1))
        return
    with pixels.path.open("rb") as stream:
        stream.seek(pixels.start)
        yield from generate_frames(stream, number_of_frames=pixels.frames)


def _native_frame(pixels: PixelFile, stream: BinaryIO, index: int) -> bytes:
    ds = pixels.dataset
    samples = (whole_number(ds, "Rows") or 0) * (whole_number(ds, "Columns") or 0)
    samples *= whole_number(ds, "SamplesPerPixel") or 1
    if text(ds, "PhotometricInterpretation") == "YBR_FULL_422":
        samples = samples * 2 // 3  # PS3.3 C.7.6.3.1.2: two pixels share their colour
    bits = samples * (whole_number(ds, "BitsAllocated") or 8)
    first_bit, last_bit = index * bits, (index + 1) * bits
    first, last = first_bit // 8, (last_bit + 7) // 8
    if not bits or last > (pixels.length or 0):
        raise DataError(f"The pixel data ends before frame {index + 1}.")
    stream.seek(pixels.start + first)
    data = stream.read(last - first)
    if first_bit % 8 == 0 and bits % 8 == 0:
        return data
    # Frames of one bit per pixel need not begin with a byte (PS3.5 8.2): bring this one to the beginning.
    unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(unpacked[first_bit % 8 :][:bits], bitorder="little").tobytes()


def bulk_value(path: Path, tag: int) -> Iterator[bytes]:
    """Read the value of a binary attribute of a file in pieces; encapsulated pixel data frame by frame.

    Raises
    ------
    DataError
        There is no such attribute.
    """
    if tag == 0x7FE00010:  # noqa: PLR2004 - PixelData
        pixels = open_pixels(path)
        if pixels.length is None:
            return all_frames(pixels)
        return _range(path, pixels.start, pixels.length)
    with path.open("rb") as stream:
        syntax = text(read_file_meta(stream), "TransferSyntaxUID")
        dataset = read_header(stream, transfer_syntax_uid=syntax).dataset
    value = dataset[tag].value if tag in dataset else None
    if not isinstance(value, bytes):
        raise DataError(f"The object has no binary attribute {tag:08X}.")
    return iter([value])


def _range(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        left = length
        while left > 0 and (piece := stream.read(min(left, 1 << 18))):
            left -= len(piece)
            yield piece
