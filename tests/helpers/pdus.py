"""DICOM's upper layer by hand (PS3.8 9.3): what no library would send can be sent."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Final, Self

from helpers.arrivals import EXPLICIT, MR_IMAGE

ACCEPT, REJECT, DATA, RELEASE, ABORT = 0x02, 0x03, 0x04, 0x05, 0x07
CONTEXT: Final = 1
_APPLICATION: Final = b"1.2.840.10008.3.1.1.1"
_MAX_LENGTH: Final = 131072


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def associate_request(
    *, called: bytes = b"BTS", calling: bytes = b"RAW", abstract: str = MR_IMAGE, syntax: str = EXPLICIT
) -> bytes:
    """Return an A-ASSOCIATE-RQ with one presentation context."""
    context = struct.pack(">BBBB", CONTEXT, 0, 0, 0) + _item(0x30, abstract.encode()) + _item(0x40, syntax.encode())
    user = _item(0x51, struct.pack(">L", _MAX_LENGTH)) + _item(0x52, b"1.2.3.4.5")
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(0x01, body + _item(0x10, _APPLICATION) + _item(0x20, context) + _item(0x50, user))


def store_request(dataset: bytes, *, instance: str, sop_class: str = MR_IMAGE, whole: bool = True) -> bytes:
    """Return the P-DATA-TF PDUs of a C-STORE request: one for the command, one for the dataset (or its first piece)."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHL", 0, number, len(value)) + value

    command = (
        element(0x0002, sop_class.encode())
        + element(0x0100, struct.pack("<H", 1))
        + element(0x0110, struct.pack("<H", 1))
        + element(0x0700, struct.pack("<H", 2))
        + element(0x0800, struct.pack("<H", 1))
        + element(0x1000, instance.encode())
    )
    return _data(0x03, element(0x0000, struct.pack("<L", len(command))) + command) + _data(
        0x02 if whole else 0x00, dataset
    )


def _data(header: int, value: bytes) -> bytes:
    return pdu(DATA, struct.pack(">LBB", len(value) + 2, CONTEXT, header) + value)


class Peer:
    """A connection to a receiver."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Send bytes; the other side may have hung up already."""
        try:
            self._socket.sendall(content)
        except OSError:
            return

    def receive(self) -> tuple[int, bytes]:
        """Return kind and body of the next PDU; (0, b"") once the other side has hung up."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, self._read(length)

    def end(self) -> None:
        """Say that no more will come."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _read(self, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size and (piece := self._socket.recv(size - len(data))):
                data += piece
        except ConnectionError:
            return b""
        return data
