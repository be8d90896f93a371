"""Files of objects before anyone has decided about them: below ``HOME/tmp``, synced to disk."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from overread.errors import DataError
from overread.hub.arrival.objects import PREAMBLE, file_meta_bytes, read_file_meta, text

if TYPE_CHECKING:
    from overread.hub.core import Hub

_META_GROUP: Final = b"\x02\x00"
"""How file meta information begins: group 0002, little endian."""
_META_BYTES: Final = 4096
"""More than file meta information is long."""


@dataclass(frozen=True)
class Spooled:
    """A file below ``HOME/tmp`` that survives a power cut.

    Parameters
    ----------
    path
        Where it lies.
    digest
        MD5 in hex.
    size
        In bytes.
    """

    path: Path
    digest: str
    size: int


def has_room(hub: Hub, size: int) -> bool:
    """Whether `size` more bytes can be taken."""
    return shutil.disk_usage(hub.layout.home).free > size + hub.config.disk_reserve_bytes


def spool(hub: Hub, parts: Iterable[bytes | memoryview]) -> Spooled:
    """Write `parts`, one after the other, to a new file below ``HOME/tmp`` and sync it."""
    path = hub.layout.tmp / f"{secrets.token_hex(12)}.dcm"
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        with path.open("xb", buffering=0) as sink:
            for part in parts:
                rest = memoryview(part)
                digest.update(rest)
                size += len(rest)
                while rest:
                    rest = rest[sink.write(rest) or 0 :]
            os.fsync(sink.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Spooled(path, digest.hexdigest(), size)


def spool_file(hub: Hub, pieces: Iterable[bytes]) -> Spooled:
    """Write a DICOM file that somebody sent, as `spool` does.

    Some programs leave out the preamble (PS3.10 7.1) and begin with the file meta information: they get one.
    """
    return spool(hub, _with_preamble(iter(pieces)))


def _with_preamble(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    while len(head) < _META_BYTES and (piece := next(pieces, b"")):
        head += piece
    if head[128:132] != b"DICM" and head.startswith(_META_GROUP):
        head = _with_own_meta(head)
    yield head
    yield from pieces


def _with_own_meta(head: bytes) -> bytes:
    """Give the beginning of a file proper file meta information in the place of what it has."""
    stream = BytesIO(PREAMBLE + head)
    try:
        meta = read_file_meta(stream)
    except DataError:
        return head
    own = file_meta_bytes(
        sop_class_uid=text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=text(meta, "MediaStorageSOPInstanceUID"),
        transfer_syntax_uid=text(meta, "TransferSyntaxUID"),
    )
    return own + stream.read()
