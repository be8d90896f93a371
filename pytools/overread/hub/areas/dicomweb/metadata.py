"""Attributes of an object as DICOM JSON (PS3.18 Annex F), made once and kept ready.

Pixel data and other long binary values are left out and referred to by URI; sequences are given whole.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from overread.errors import DataError
from overread.hub.arrival.objects import read_file_header

Json = dict[str, Any]

BULK_LIMIT_BYTES: Final = 1024
"""Longer binary values are referred to."""
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_CACHE_BYTES: Final = 256 * 2**20
_PIXEL_DATA: Final = "7FE00010"
_CHARSET: Final = "00080005"


class MetadataCache:
    """DICOM JSON of files, the longest unused forgotten first. Safe for use by several threads.

    Parameters
    ----------
    max_bytes
        So much is kept.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._entries: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, *, digest: str, bulk_uri: str) -> bytes:
        """Return the JSON text of a file's attributes.

        Parameters
        ----------
        path
            The file.
        digest
            Its digest: another one is another file.
        bulk_uri
            Beginning of the URIs under which its long values are found; the tag follows.

        Raises
        ------
        DataError
            The file can't be read.
        """
        key = (str(path), digest, bulk_uri)
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                return found
        made = to_text(to_json(read_file_header(path).dataset, bulk_uri=bulk_uri))
        with self._lock:
            if key not in self._entries:
                self._entries[key] = made
                self._bytes += len(made)
            while self._bytes > self._max_bytes and len(self._entries) > 1:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= len(oldest)
        return made

    def document(self, path: Path, *, digest: str, bulk_uri: str) -> Json:
        """Return the same as a document."""
        document: Json = json.loads(self.get(path, digest=digest, bulk_uri=bulk_uri))
        return document


def to_json(dataset: Dataset, *, bulk_uri: str) -> Json:
    """Return a dataset as DICOM JSON. Attributes whose bytes are no value of their type are left out."""
    document: Json = {}
    for tag in sorted(dataset.keys()):
        name = f"{int(tag):08X}"
        entry = _entry(dataset, int(tag), f"{bulk_uri}{name}")
        if entry is not None:
            document[name] = entry
    if "BitsAllocated" in dataset and _PIXEL_DATA not in document:
        wide = dataset.get("BitsAllocated", 8) > 8  # noqa: PLR2004 - a byte
        document[_PIXEL_DATA] = {"vr": "OW" if wide else "OB", "BulkDataURI": f"{bulk_uri}{_PIXEL_DATA}"}
    document[_CHARSET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8, whatever the file was
    return document


def to_text(document: Json) -> bytes:
    """Return a document as JSON text; numbers that JSON can't hold become null."""
    try:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document), separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def joined(texts: Iterator[bytes]) -> bytes:
    """Return several JSON texts as one list."""
    return b"[" + b",".join(texts) + b"]"


def _entry(dataset: Dataset, tag: int, uri: str) -> Json | None:
    try:
        element: DataElement = dataset[tag]
        if element.VR in _BINARY and len(element.value or b"") > BULK_LIMIT_BYTES:
            return {"vr": element.VR, "BulkDataURI": uri}
        entry: Json = element.to_json_dict(None, 2**31)
        json.dumps(entry)  # values that pydicom passes on although JSON has no such thing
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, NotImplementedError, DataError):
        return None
    return entry


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
