"""Files out of an archive that a stranger sent."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from overread.hub.errors import HubError, bad_request

MAX_ENTRIES: Final = 200_000
_CHUNK: Final = 1 << 20
_IGNORED: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db", "DICOMDIR")
"""What file managers put beside the files, and the index of a DICOM medium."""
_BROKEN: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a (compressed) tar."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def entries(path: Path, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
    """Go through the files of a zip or tar, each as its content in pieces. Names play no part, so none can do harm.

    Parameters
    ----------
    path
        The archive.
    max_bytes
        So much all files together may hold; what an archive says of its sizes is not believed.

    Raises
    ------
    HubError
        400: it is no archive, or broken; 413: it holds too much.
    """
    left = max_bytes
    with _reading():
        for count, stream in enumerate(_streams(path), start=1):
            if count > MAX_ENTRIES:
                raise HubError(413, f"The archive has more than {MAX_ENTRIES} files: send it in parts.")
            pieces = _Pieces(stream, left)
            yield pieces
            left = pieces.left


class _Pieces(Iterator[bytes]):
    """The content of one file, counted."""

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream, self.left = stream, left

    def __next__(self) -> bytes:
        with _reading():
            piece = self._stream.read(_CHUNK)
        if not piece:
            raise StopIteration
        self.left -= len(piece)
        if self.left < 0:
            raise HubError(413, "The archive unpacks to more than an upload may have: send it in parts.")
        return piece


def _streams(path: Path) -> Iterator[BinaryIO]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir() and not _ignored(info.filename):
                    with archive.open(info) as stream:
                        yield stream  # type: ignore[misc]
        return
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() and not _ignored(member.name) else None
            if content is not None:
                yield content  # type: ignore[misc]


def _ignored(name: str) -> bool:
    return any(mark in name for mark in _IGNORED)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _BROKEN as problem:
        raise bad_request(
            f"The archive can't be unpacked: {type(problem).__name__}. Send a zip or tar.gz."
        ) from problem
