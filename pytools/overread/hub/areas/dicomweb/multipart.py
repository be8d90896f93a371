"""Bodies of several parts (RFC 2387), written and read without holding them in memory."""

from __future__ import annotations

import mmap
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import StreamingResponse

from overread.hub.errors import bad_request

_CHUNK: Final = 1 << 18
_BOUNDARY: Final = re.compile(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;,]{1,200}))', re.IGNORECASE)
MAX_PARTS: Final = 20_000


@dataclass(frozen=True)
class Part:
    """One part to be sent: its headers and its content, in pieces."""

    headers: Mapping[str, str]
    pieces: Iterable[bytes]


@dataclass(frozen=True)
class ReceivedPart:
    """One part of a body: where its content lies in the file, and its media type."""

    start: int
    end: int
    content_type: str


def related(parts: Iterable[Part], *, media_type: str) -> StreamingResponse:
    """Answer ``multipart/related`` with `parts`, of which each is asked for only when it is sent."""
    boundary = secrets.token_hex(16)
    content_type = f'multipart/related; type="{media_type}"; boundary={boundary}'
    return StreamingResponse(_stream(parts, boundary), headers={"content-type": content_type})


def file_pieces(path: Path) -> Iterator[bytes]:
    """Return a file's content in pieces."""
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _stream(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in part.headers.items())
        yield f"--{boundary}\r\n{head}\r\n".encode()
        yield from part.pieces
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def read_parts(path: Path, content_type: str) -> list[ReceivedPart]:
    """Find the parts of a body.

    Parameters
    ----------
    path
        File with the body.
    content_type
        Header of the request, which names the boundary.

    Raises
    ------
    HubError
        400: there is no boundary, or the body does not keep to it.
    """
    found = _BOUNDARY.search(content_type)
    if not found or path.stat().st_size == 0:
        raise bad_request('The body must be multipart/related; type="application/dicom"; boundary=...')
    mark = b"--" + (found[1] or found[2]).encode()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return list(_parts(body, mark))


def read_content(path: Path, part: ReceivedPart) -> Iterator[bytes]:
    """Return a part's content in pieces."""
    with path.open("rb") as stream:
        stream.seek(part.start)
        left = part.end - part.start
        while left > 0 and (piece := stream.read(min(_CHUNK, left))):
            left -= len(piece)
            yield piece


def _parts(body: mmap.mmap, mark: bytes) -> Iterator[ReceivedPart]:
    position = body.find(mark)
    count = 0
    while position >= 0:
        start = position + len(mark)
        if body[start : start + 2] == b"--":
            return
        following = body.find(b"\r\n" + mark, start)
        head_end = body.find(b"\r\n\r\n", start)
        if following < 0 or head_end < 0 or head_end > following:
            raise bad_request("The multipart body ends too early: send it again.")
        count += 1
        if count > MAX_PARTS:
            raise bad_request(f"The body has more than {MAX_PARTS} parts: send them in several requests.")
        yield ReceivedPart(head_end + 4, following, _content_type(body[start:head_end]))
        position = following + 2
    raise bad_request("The multipart body has no end: send it again.")


def _content_type(head: bytes) -> str:
    for line in head.decode("latin-1").split("\r\n"):
        name, separator, value = line.partition(":")
        if separator and name.strip().lower() == "content-type":
            return value.split(";")[0].strip().lower()
    return ""
