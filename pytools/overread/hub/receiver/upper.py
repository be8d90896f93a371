"""pynetdicom's upper layer, without its waiting: associations that are told of events, and objects that go to disk.

The library negotiates, and serves all messages but C-STORE. Its loops look for work a thousand times a second and
sleep in between, and an object passes through them in a dozen copies; here a loop sleeps until something comes, and an
object's pieces are written where they arrive (`overread.hub.receiver.stores`).
"""

from __future__ import annotations

import logging
import queue
import selectors
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import AddressInformation, AssociationSocket

from overread.hub.receiver.dimse import pdata
from overread.hub.receiver.stores import BadMessageError, Stores

log = logging.getLogger(__name__)

MAX_PDU_BYTES: Final = 131072
_MAX_ANY_PDU_BYTES: Final = 2**20
"""Longer PDUs are no PDUs: nobody may send them, since we tell everyone our limit."""
_P_DATA: Final = 0x04
_WAITING_FOR_REQUEST: Final = "Sta2"
_ESTABLISHED: Final = "Sta6"
_ENDING: Final = "Sta13"
_LOOK_AGAIN_S: Final = 0.5
_BROKEN, _INVALID, _P_DATA_CAME = "Evt17", "Evt19", "Evt10"  # PS3.8 Table 9-10
_POKE: Final[Any] = ("poke", None)


class _Messages(DIMSEServiceProvider):
    """DIMSE messages; asking for one waits for it, or for something else to look at."""

    def get_msg(self, block: bool = False) -> Any:  # noqa: FBT001, FBT002 - the library's signature
        """Return the next message and its context; (None, None) if there is none."""
        while True:
            try:
                found = self.msg_queue.get(timeout=self.dimse_timeout if block else _LOOK_AGAIN_S)
            except queue.Empty:
                return None, None
            if found is not _POKE:
                return found
            if not block:
                return None, None


class _ToUser(queue.Queue[Any]):
    """What the association's thread must look at, which waits in `_Messages.get_msg`."""

    def __init__(self, messages: _Messages) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - queue's signature
        super().put(item, block, timeout)
        self._messages.msg_queue.put(_POKE)


class _UpperLayer(DULServiceProvider):
    """Reads PDUs; those of objects never leave it."""

    def __init__(self, association: Receiving, messages: _Messages) -> None:
        super().__init__(association)
        self.daemon = True
        self.to_user_queue = _ToUser(messages)
        self.stores: Stores | None = None
        self.on_broken: Callable[[str], None] = _ignore
        self._messages = messages
        self._woken, self._wakes = socket.socketpair()
        self._woken.setblocking(False)  # noqa: FBT003
        self._wakes.setblocking(False)  # noqa: FBT003
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._watched: Any = None
        self._buffer = bytearray(MAX_PDU_BYTES)

    def send_pdu(self, primitive: Any) -> None:
        """Have something sent, at once."""
        super().send_pdu(primitive)
        self._wake()

    def kill_dul(self) -> None:
        """End."""
        super().kill_dul()
        self._wake()

    def run_reactor(self) -> None:
        """Serve until the connection has ended."""
        try:
            super().run_reactor()
        finally:
            if self.stores is not None and self.stores.abandon():
                self.on_broken("an object broke off before its end: nothing of it is kept")
            self._messages.msg_queue.put(_POKE)
            self._selector.close()
            self._woken.close()
            self._wakes.close()

    def _wake(self) -> None:
        try:
            self._wakes.send(b".")
        except OSError:  # it is awake, or has ended
            return

    def _is_transport_event(self) -> bool:
        if self.state_machine.current_state != _ESTABLISHED:
            return bool(super()._is_transport_event())
        while not self._kill_thread and self._wait():
            self._read_pdu_data()
            self._idle_timer.restart()
            if not self.event_queue.empty():
                return True
        return False

    def _wait(self) -> bool:
        """Wait until something can be read; False if there is something else to do."""
        connection = self.socket.socket if self.socket is not None else None
        if connection is None:
            return False
        if not self.to_provider_queue.empty():
            return False
        if getattr(connection, "pending", lambda: 0)():  # TLS has read more than was asked for
            return True
        if self._watched is not connection:
            self._selector.register(connection, selectors.EVENT_READ)
            self._watched = connection
        ready = {key.fileobj for key, _ in self._selector.select(_LOOK_AGAIN_S)}
        if self._woken in ready:
            self._woken.recv(4096)
            return False
        return connection in ready

    def _read_pdu_data(self) -> None:
        """Read one PDU. C-STORE goes to the spool, everything else to the library's state machine."""
        if self.state_machine.current_state == _ENDING:
            self._discard()
            return
        try:
            head = self._read(6)
            kind, _, length = struct.unpack(">BBL", head)
            _check_head(kind, length)
            prefix = bytes(head)
            body = self._read(length)
            if kind == _P_DATA and self.stores is not None and self.state_machine.current_state == _ESTABLISHED:
                self._take(self.stores, body)
                return
            pdu, event = self._decode_pdu(bytearray(prefix + body))
        except OSError:
            self._fail(_BROKEN)
            return
        except Exception as problem:  # noqa: BLE001 - the library raises anything over bytes that are no PDU
            log.warning("an association breaks the protocol and is ended: %s", problem)
            said = f": {problem}" if isinstance(problem, BadMessageError) else ""
            self.on_broken(f"the sender breaks the protocol{said}")
            self._fail(_INVALID)
            return
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _discard(self) -> None:
        """Throw away what still comes after our last word, until the other side hangs up or its time is over."""
        connection = self.socket.socket if self.socket is not None else None
        try:
            ended = connection is None or not connection.recv_into(self._buffer)
        except OSError:
            ended = True
        if ended:
            self.event_queue.put(_BROKEN)

    def _fail(self, event: str) -> None:
        """Let the connection end. Who waits for a request that will never come is told so, and holds no place."""
        self.event_queue.put(event)
        if self.state_machine.current_state == _WAITING_FOR_REQUEST:
            self.to_user_queue.put(cast("Any", None))  # what an empty queue would give

    def _take(self, stores: Stores, body: memoryview) -> None:
        taken = stores.take(body)
        for answer in taken.answers:
            if self.socket is not None:
                self.socket.send(answer)
        for value in taken.others:
            pdu = P_DATA_TF()
            pdu.decode(pdata(value))
            self.event_queue.put(_P_DATA_CAME)
            self._recv_pdu.put(pdu)

    def _read(self, size: int) -> memoryview:
        """Read so many bytes; what is returned holds until the next call."""
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        connection = self.socket.socket if self.socket is not None else None
        view = memoryview(self._buffer)[:size]
        done = 0
        while done < size:
            got = connection.recv_into(view[done:]) if connection is not None else 0
            if not got:
                raise ConnectionResetError("the connection ended")
            done += got
        return view


def _ignore(_reason: str) -> None:
    """Nobody wants to know."""


def _check_head(kind: int, length: int) -> None:
    if not 1 <= kind <= 7 or length > _MAX_ANY_PDU_BYTES:  # noqa: PLR2004 - the PDUs of PS3.8 9.3
        raise BadMessageError("there is no such PDU")


class Receiving(Association):
    """An association that somebody opened with us.

    Parameters
    ----------
    entity
        pynetdicom's application entity.
    connection
        The open connection, TLS done; it is closed at the end.
    local, remote
        Its addresses.
    on_end
        Called once it has ended.
    """

    def __init__(
        self, entity: AE, connection: socket.socket, *, local: Any, remote: Any, on_end: Callable[[Receiving], None]
    ) -> None:
        super().__init__(entity, "acceptor")
        self.dimse = messages = _Messages(self)
        self.dul = self._upper = _UpperLayer(self, messages)
        # Timeouts belong to the layer below and are set through it.
        self.acse_timeout, self.network_timeout = entity.acse_timeout, entity.network_timeout
        self._connection, self._on_end = connection, on_end
        self.set_socket(AssociationSocket(self, client_socket=connection))
        self.acceptor.maximum_length = entity.maximum_pdu_size
        self.acceptor.ae_title = entity.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(local)
        self.acceptor.implementation_class_uid = entity.implementation_class_uid
        self.acceptor.implementation_version_name = entity.implementation_version_name
        self.requestor.address_info = AddressInformation.from_tuple(remote)

    def on_broken(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called with the reason if it breaks the protocol, or off in the middle of an object."""
        self._upper.on_broken = tell

    def receive_into(self, stores: Stores) -> None:
        """Have objects taken by `stores` from now on."""
        self._upper.stores = stores

    def run_reactor(self) -> None:
        """Serve until it has ended."""
        try:
            super().run_reactor()
        finally:
            self._connection.close()
            self._on_end(self)
