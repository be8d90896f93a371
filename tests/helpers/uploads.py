"""Archives of DICOM files as somebody uploads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from pydicom.dataset import Dataset

from helpers.arrivals import file_bytes


def zipped(images: Sequence[Dataset], **others: bytes) -> bytes:
    """Return a zip of images, and of other files by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, image in enumerate(images):
            archive.writestr(f"exam/{number}.dcm", file_bytes(image))
        for name, content in others.items():
            archive.writestr(name, content)
    return buffer.getvalue()
