"""Zip and tar files: taken apart with distrust, put together without holding them in memory."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from overread.hub.errors import HubError, bad_request
from overread.hub.layout import safe_path

ZIP_ENDINGS = (".zip", ".jar", ".rar", ".ear", ".gar", ".mrb")
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
MOST_ENTRIES = 200_000
_CHUNK = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, OverflowError,
    OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file to put into an archive: its name there, and where it lies."""

    name: str
    path: Path


def is_archive(name: str) -> bool:
    """Whether XNAT takes a file of this name apart."""
    return name.lower().endswith(ZIP_ENDINGS + TAR_ENDINGS)


def unpack(archive: Path, name: str, *, folder: Path, most_bytes: int) -> Iterator[tuple[str, Path]]:
    """Take `archive` apart, one file at a time.

    Parameters
    ----------
    archive
        The archive.
    name
        The sender's name for it, which says what it is.
    folder
        Where the files are written, under names of our own.
    most_bytes
        How much may come out of it altogether: what is larger is a bomb.

    Yields
    ------
    tuple of str and Path
        Path within the archive, and where the file was written.

    Raises
    ------
    HubError
        400 for a damaged archive, an entry that would leave the folder, a link or a device; 413 for too much content.
    """
    members = _zip_members if name.lower().endswith(ZIP_ENDINGS) else _tar_members
    left = most_bytes
    try:
        for count, (member, stream) in enumerate(members(archive)):
            if count >= MOST_ENTRIES:
                raise HubError(413, f"{name} has more than {MOST_ENTRIES} entries.")
            path = str(safe_path(member))
            if path.endswith("_catalog.xml"):
                continue
            target = folder / f"entry{count}"
            left -= _write(stream, target, left, name)
            yield path, target
    except _DAMAGED as problem:
        if isinstance(problem, OSError) and not isinstance(problem, gzip.BadGzipFile) and problem.errno != errno.EINVAL:
            raise  # EINVAL: it says that a file begins before the archive does
        raise bad_request(f"{name} is damaged or of another kind than its name says: {problem}") from problem
    except (NotImplementedError, RuntimeError) as problem:  # an unknown method; a password
        raise bad_request(f"{name} can't be taken apart: {problem}") from problem


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.is_dir():
                continue
            if (info.external_attr >> 28) == 0xA:  # noqa: PLR2004 - a symbolic link, in Unix's file type bits
                raise bad_request(f"{info.filename!r} is a link: only files are taken.")
            with opened.open(info) as stream:
                yield info.filename, stream


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, mode="r:*") as opened:
        for info in opened:
            if info.isdir():
                continue
            stream = opened.extractfile(info) if info.isreg() else None
            if stream is None:
                raise bad_request(f"{info.name!r} is a link or a device: only files are taken.")
            with stream:
                yield info.name.removeprefix("./"), stream


def _write(stream: IO[bytes], target: Path, left: int, name: str) -> int:
    """Write a stream, but no more than `left` bytes; what an archive says of its sizes is not believed."""
    size = 0
    with target.open("wb") as sink:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise HubError(413, f"{name} holds more than is taken at once.")
            sink.write(chunk)
    return size


class _Sink(io.RawIOBase):
    """A file object that collects what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Say that it is written to."""
        return True

    def write(self, data: Any) -> int:
        """Keep `data`."""
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def take(self, least: int = 0) -> bytes:
        """Return what was written since the last time, or nothing if it is less than `least`."""
        if self._size < least:
            return b""
        taken, self._parts, self._size = b"".join(self._parts), [], 0
        return taken


def zip_stream(entries: Iterable[Entry], *, level: int = 1) -> Iterator[bytes]:
    """Make a zip file of `entries`, chunk by chunk; `level` 0 stores without compressing."""
    sink = _Sink()
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", method, compresslevel=level or None) as archive:
        for entry in entries:
            info = zipfile.ZipInfo.from_file(entry.path, entry.name, strict_timestamps=False)
            info.compress_type = method
            with entry.path.open("rb") as source, archive.open(info, "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield from _some(sink.take(_CHUNK))
    yield from _some(sink.take())


def tar_stream(entries: Iterable[Entry], *, compressed: bool) -> Iterator[bytes]:
    """Make a tar file of `entries`, chunk by chunk."""
    sink = _Sink()
    file = cast("IO[bytes]", sink)
    with (
        tarfile.open(fileobj=file, mode="w|") if not compressed else tarfile.open(fileobj=file, mode="w|gz") as archive
    ):
        for entry in entries:
            archive.add(entry.path, entry.name, recursive=False)
            yield from _some(sink.take(_CHUNK))
    yield from _some(sink.take())


def _some(data: bytes) -> Iterator[bytes]:
    if data:
        yield data
