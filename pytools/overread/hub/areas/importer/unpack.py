"""Files out of an archive that a stranger sent.

An archive is looked through before anything of it is stored: one that does not mean well is refused whole. What it says
of its sizes is not believed; they are counted while it is unpacked.
"""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from overread.hub.errors import HubError, bad_request

MAX_ENTRIES: Final = 200_000
MAX_DEPTH: Final = 3
"""So deep archives may lie in archives."""
MAX_RATIO: Final = 200
"""So many times its own size an archive may unpack to: pixels of an empty room shrink to a hundredth."""
MIN_ALLOWANCE_BYTES: Final = 64 * 2**20
"""What any archive may unpack to, however small it is."""
_CHUNK: Final = 1 << 20
_IGNORED: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db", "DICOMDIR")
"""What file managers put beside the files, and the index of a DICOM medium."""
_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".tar.gz")
_BROKEN: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, ValueError, struct.error,
)  # fmt: skip
_ENCRYPTED: Final = 0x1
"""Bit of a zip entry's flags."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a (compressed) tar."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def entries(path: Path, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
    """Go through the files of a zip or tar, and of archives in it, each as its content in pieces.

    Parameters
    ----------
    path
        The archive. Archives in it are unpacked beside it, and removed again.
    max_bytes
        So much all files together may hold.

    Raises
    ------
    HubError
        400: it is no archive, broken, encrypted, or names what lies outside of it; 413: it holds too much.
    """
    allowed = min(max_bytes, max(MIN_ALLOWANCE_BYTES, MAX_RATIO * path.stat().st_size))
    yield from _Unpacking(allowed).files(path, depth=1)


class _Unpacking:
    """Counts what one upload unpacks to."""

    def __init__(self, allowed: int) -> None:
        self._left, self._entries = allowed, 0

    def files(self, path: Path, *, depth: int) -> Iterator[Iterator[bytes]]:
        if depth > MAX_DEPTH:
            raise bad_request(f"Archives lie more than {MAX_DEPTH} deep in each other: unpack the inner ones first.")
        with _reading():
            reader = _zip_files if zipfile.is_zipfile(path) else _tar_files
            for name, stream in reader(path, self._left):
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise HubError(413, f"The archive has more than {MAX_ENTRIES} files: send it in parts.")
                if name.lower().endswith(_SUFFIXES):
                    yield from self._inner(stream, path, depth)
                else:
                    yield self._pieces(stream)

    def _inner(self, stream: IO[bytes], path: Path, depth: int) -> Iterator[Iterator[bytes]]:
        inner = path.with_name(f"{path.name}-{depth}-{self._entries}")
        try:
            with inner.open("xb") as sink:
                for piece in self._pieces(stream):
                    sink.write(piece)
            if not is_archive(inner):
                raise bad_request("A file in the archive is named like an archive, but is none.")
            yield from self.files(inner, depth=depth + 1)
        finally:
            inner.unlink(missing_ok=True)

    def _pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
        while True:
            with _reading():
                piece = stream.read(_CHUNK)
            if not piece:
                return
            self._left -= len(piece)
            if self._left < 0:
                raise _too_large()
            yield piece


def _zip_files(path: Path, allowed: int) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for count, info in enumerate(archive.infolist(), start=1):
            allowed -= info.file_size
            _check_entry(count, info.filename, allowed)
            if info.flag_bits & _ENCRYPTED:
                raise bad_request("The archive is encrypted: send one that is not.")
            if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _link()
        for info in archive.infolist():
            if not info.is_dir() and not _ignored(info.filename):
                with archive.open(info) as stream:
                    yield info.filename, stream


def _tar_files(path: Path, allowed: int) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r:*") as archive:
        for count, member in enumerate(archive, start=1):
            allowed -= member.size
            _check_entry(count, member.name, allowed)
            if not (member.isreg() or member.isdir()):
                raise _link()
        for member in archive.getmembers():
            content = archive.extractfile(member) if member.isreg() and not _ignored(member.name) else None
            if content is not None:
                yield member.name, content


def _check_entry(count: int, name: str, left: int) -> None:
    """Refuse too many entries, too much, and names that lead elsewhere.

    Names play no part in where objects are stored, but no honest program writes such ones.
    """
    if count > MAX_ENTRIES:
        raise HubError(413, f"The archive has more than {MAX_ENTRIES} files: send it in parts.")
    if left < 0:
        raise _too_large()
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or name[1:2] == ":":
        raise bad_request("The archive names files outside of it ('..' or an absolute path): pack it anew.")


def _too_large() -> HubError:
    return HubError(413, "The archive unpacks to more than an upload of its size may: send it in parts.")


def _link() -> HubError:
    return bad_request("The archive holds a link or device: pack the files themselves.")


def _ignored(name: str) -> bool:
    return any(mark in name for mark in _IGNORED)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _BROKEN as problem:
        raise _broken(problem) from problem
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # it says that a file begins before the archive does
            raise
        raise _broken(problem) from problem


def _broken(problem: Exception) -> HubError:
    return bad_request(f"The archive can't be unpacked: {type(problem).__name__}. Send a zip or tar.gz.")
