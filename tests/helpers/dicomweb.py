"""Requests of DICOMweb as a viewer makes them, and answers taken apart, without a library."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.dataset import Dataset

from helpers.arrivals import file_bytes

ROOT = "/xapi/dicomweb/projects/BTS"
OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
BOUNDARY = "----boundary-of-the-test"


def parts_of(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Return content type and content of each part of a multipart answer."""
    kind = answer.headers["content-type"]
    boundary = kind.split("boundary=")[1].strip('"').encode()
    found = []
    for piece in answer.content.split(b"--" + boundary)[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        found.append((headers["Content-Type"], content.removesuffix(b"\r\n")))
    return found


def stow_body(objects: Sequence[bytes], *, content_type: str = "application/dicom") -> bytes:
    """Return the body of a store request."""
    mark = f"--{BOUNDARY}".encode()
    head = f"\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(mark + head + content + b"\r\n" for content in objects) + mark + b"--\r\n"


def stow(client: httpx.Client, *objects: Dataset | bytes, study: str = "", accept: str = "*/*") -> httpx.Response:
    """Store objects as OHIF does."""
    contents = [one if isinstance(one, bytes) else file_bytes(one) for one in objects]
    return client.post(
        f"{ROOT}/studies{study and '/'}{study}",
        content=stow_body(contents),
        headers={
            "content-type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"',
            "accept": accept,
        },
    )


def read_part(part: tuple[str, bytes]) -> Dataset:
    """Return the object of a part."""
    return dcmread(BytesIO(part[1]))


def value(record: dict[str, Any], tag: str) -> Any:
    """Return the first value of an attribute in DICOM JSON, None without one."""
    return record.get(tag, {}).get("Value", [None])[0]
