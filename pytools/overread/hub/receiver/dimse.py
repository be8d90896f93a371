"""The few bytes of DIMSE that storing needs (PS3.7 6.3, PS3.8 9.3.5): commands are implicit VR little endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

C_STORE_REQUEST: Final = 0x0001
_C_STORE_RESPONSE: Final = 0x8001
_NO_DATASET: Final = 0x0101
_MAX_COMMENT: Final = 64


class BadCommandError(ValueError):
    """These bytes are no command set."""


@dataclass(frozen=True)
class Command:
    """What is read of a command set.

    Parameters
    ----------
    field
        Which command it is (0000,0100).
    message_id
        (0000,0110).
    sop_class_uid, sop_instance_uid
        Affected SOP class and instance; "" if absent.
    has_dataset
        Whether a dataset follows.
    """

    field: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_dataset: bool


def parse_command(data: bytes) -> Command:
    """Read a command set.

    Raises
    ------
    BadCommandError
        It can't be read.
    """
    values: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise BadCommandError("a command set ends within an element")
        group, element, length = struct.unpack_from("<HHL", data, position)
        position += 8
        if group != 0 or position + length > len(data):
            raise BadCommandError("a command set has an element that can't be in it")
        values[element] = data[position : position + length]
        position += length
    return Command(
        field=_number(values, 0x0100),
        message_id=_number(values, 0x0110, default=0),
        sop_class_uid=_uid(values.get(0x0002, b"")),
        sop_instance_uid=_uid(values.get(0x1000, b"")),
        has_dataset=_number(values, 0x0800) != _NO_DATASET,
    )


def store_response(request: Command, *, context_id: int, status: int, comment: str = "") -> bytes:
    """Return a C-STORE response as one P-DATA-TF PDU."""
    elements = [
        _element(0x0002, _padded(request.sop_class_uid.encode(), b"\0")),
        _element(0x0100, struct.pack("<H", _C_STORE_RESPONSE)),
        _element(0x0120, struct.pack("<H", request.message_id)),
        _element(0x0800, struct.pack("<H", _NO_DATASET)),
        _element(0x0900, struct.pack("<H", status)),
    ]
    if comment:
        elements.append(_element(0x0902, _padded(comment[:_MAX_COMMENT].encode("ascii", "replace"), b" ")))
    elements.append(_element(0x1000, _padded(request.sop_instance_uid.encode(), b"\0")))
    group = b"".join(elements)
    command = _element(0x0000, struct.pack("<L", len(group))) + group
    return pdata(struct.pack(">BB", context_id, 0x03) + command)


def pdata(value: bytes | memoryview) -> bytes:
    """Return a presentation data value (context, header, data) as a PDU of its own."""
    return struct.pack(">BBLL", 0x04, 0, len(value) + 4, len(value)) + bytes(value)


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value


def _padded(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _number(values: dict[int, bytes], element: int, *, default: int | None = None) -> int:
    value = values.get(element, b"")
    if len(value) != 2:  # noqa: PLR2004 - US
        if default is None:
            raise BadCommandError(f"a command set lacks (0000,{element:04X})")
        return default
    return int(struct.unpack("<H", value)[0])
