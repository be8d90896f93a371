"""Stored values of images: read straight where they lie plain in the file, by pydicom and its decoders elsewhere."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from overread.dicom.geometry import text_of, whole_number
from overread.errors import DataError

_PIXEL_DATA: Final = b"\xe0\x7f\x10\x00"
_PIXEL_KEYWORDS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_PLAIN_BITS: Final = (8, 16, 32)
_LOSSY_SYNTAXES: Final = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
"""Always with loss. JPEG 2000 may be either: there the image's own word counts."""
_CUT_OFF: Final = "The image's pixels can't be read, it is cut off or damaged: send the series again."


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFile:
    """An image in a file, its header read.

    Parameters
    ----------
    path
        Its file.
    header
        Without pixels.
    pixels_at
        Position of PixelData's element in the file, None if pixels are not stored plainly.
    """

    path: Path
    header: Dataset
    pixels_at: int | None


def read_image(path: Path) -> ImageFile:
    """Read an image's header and find its pixels. The parser may raise anything on a damaged file."""
    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True)
        plain = header.file_meta.get("TransferSyntaxUID") in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        return ImageFile(path=path, header=header, pixels_at=file.tell() if plain else None)


def is_lossy(header: Dataset) -> bool:
    """Say whether an image was compressed with loss: by its own word (PS3.3 C.7.6.1.1.5), or as it is stored."""
    syntax = getattr(header, "file_meta", {}).get("TransferSyntaxUID")
    return text_of(header, "LossyImageCompression") == "01" or syntax in _LOSSY_SYNTAXES


def stored_values(image: ImageFile) -> tuple[bytes, NDArray[Any]]:
    """Return an image's pixel data as stored, and its values as (frames, rows, columns).

    Values are those of the bits that count (PS3.5 8.1.1): of old scanners, overlays lie in the others.

    Raises
    ------
    DataError
        If they are cut off or can't be decoded, or the image has colours. The message names the image's UID.
    """
    header = image.header
    uid = text_of(header, "SOPInstanceUID")
    if whole_number(header, "SamplesPerPixel", default=1) != 1 or (
        text_of(header, "PhotometricInterpretation") not in (*_GREY, "")
    ):
        raise DataError("This image has colours: choose a series of grey images.", uid=uid, tag="SamplesPerPixel")
    shape = (
        whole_number(header, "NumberOfFrames", default=1) or 1,
        whole_number(header, "Rows"),
        whole_number(header, "Columns"),
    )
    stored = _plain(image, shape)
    if stored is None:
        stored = _decoded(image.path, uid)
    raw, values = stored
    if values.size != np.prod(shape):
        raise DataError(
            f"The image's pixels are {values.shape} instead of {shape[1:]}: send a series of single-frame grey images.",
            uid=uid,
            tag="PixelData",
        )
    return raw, _bits_that_count(values.reshape(shape), header)


def _plain(image: ImageFile, shape: tuple[int, int, int]) -> tuple[bytes, NDArray[Any]] | None:
    """Return bytes and values of plainly stored pixels, None if pydicom has to look at them."""
    bits = whole_number(image.header, "BitsAllocated")
    if image.pixels_at is None or bits not in _PLAIN_BITS:
        return None
    size = shape[0] * shape[1] * shape[2] * bits // 8
    implicit = image.header.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    with image.path.open("rb", buffering=0) as file:
        file.seek(image.pixels_at)
        head = file.read(8 if implicit else 12)
        if head[:4] != _PIXEL_DATA or len(head) < (8 if implicit else 12):
            return None
        (length,) = struct.unpack("<L", head[-4:])
        if length not in (size, size + size % 2):
            return None
        raw = file.read(length)
    if len(raw) != length:
        return None
    kind = "i" if whole_number(image.header, "PixelRepresentation") else "u"
    return raw, np.frombuffer(raw, dtype=f"<{kind}{bits // 8}", count=size * 8 // bits)


def _decoded(path: Path, uid: str) -> tuple[bytes, NDArray[Any]]:
    try:
        ds = dcmread(path)
        raw = b"".join(ds[keyword].value for keyword in _PIXEL_KEYWORDS if keyword in ds)
        return raw, np.asarray(ds.pixel_array)
    except Exception as error:  # decoders raise anything on damaged data
        raise DataError(_CUT_OFF, uid=uid, tag="PixelData") from error


def _bits_that_count(values: NDArray[Any], header: Dataset) -> NDArray[Any]:
    allocated, stored = values.dtype.itemsize * 8, whole_number(header, "BitsStored")
    high = whole_number(header, "HighBit", default=stored - 1)
    if values.dtype.kind not in "iu" or not 0 < stored < allocated or high != stored - 1:
        return values
    return np.asarray(np.right_shift(np.left_shift(values, allocated - stored), allocated - stored))
