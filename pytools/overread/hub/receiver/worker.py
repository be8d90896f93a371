"""A receiving process: ``python -m overread.hub.receiver.worker CHANNEL``, started by the hub.

It gets open connections from the hub, answers their associations, and writes what they bring to the spool. It knows
no database. Several of them use several cores; one that dies takes its associations with it and nothing that was
acknowledged. When the hub is gone, it goes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from pynetdicom import AE, _config, evt
from pynetdicom.events import Event

from overread.hub.arrival.objects import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from overread.hub.arrival.spool import COMMITMENT, Desk, Spool, SpoolFile
from overread.hub.receiver import commitment, negotiation, tls
from overread.hub.receiver.admission import admit
from overread.hub.receiver.channel import Channel
from overread.hub.receiver.stores import OUT_OF_RESOURCES, SUCCESS, Origin, Stores
from overread.hub.receiver.upper import MAX_PDU_BYTES, Receiving

log = logging.getLogger("overread.hub.receiver")

# Settings of the library that hold for the whole process. The first two print identifiers, the third every PDU.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"

_MAX_ASSOCIATIONS: Final = 100
_MAX_CONNECTIONS: Final = 2 * _MAX_ASSOCIATIONS
"""Those that have not asked for an association yet count too."""
_NETWORK_TIMEOUT_S: Final = 300.0
_HANDSHAKE_TIMEOUT_S: Final = 30.0
_RECEIVE_BUFFER_BYTES: Final = 1 << 20
_CALLING_TITLE_UNKNOWN, _CALLED_TITLE_UNKNOWN = 0x03, 0x07


class Worker:
    """Serves the associations that one process has.

    Parameters
    ----------
    channel
        To the hub.
    settings
        What the hub said first: ``spool``, ``folder``, ``reserve_bytes``, ``tls`` (`overread.hub.receiver.tls`).
    """

    def __init__(self, channel: Channel, settings: dict[str, Any]) -> None:
        self._channel = channel
        self._desk = Desk(Spool(Path(settings["spool"]), settings["reserve_bytes"]), Path(settings["folder"]))
        self._tls = tls.server_context(settings["tls"]) if settings["tls"] else None
        self._entity = AE()
        self._entity.maximum_pdu_size = MAX_PDU_BYTES
        self._entity.maximum_associations = _MAX_ASSOCIATIONS
        self._entity.network_timeout = _NETWORK_TIMEOUT_S
        self._entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._associations: dict[int, Receiving] = {}
        self._connections: set[int] = set()

    def serve(self, messages: Iterator[dict[str, Any]]) -> None:
        """Serve until the hub says stop, or is gone."""
        for message in messages:
            if message["kind"] == "connection":
                connection = self._channel.connection()
                self._connections.add(message["number"])
                threading.Thread(target=self._begin, args=(connection, message), daemon=True).start()
            elif message["kind"] == "report":
                threading.Thread(target=self._report, args=(message,), daemon=True).start()
            elif message["kind"] == "stop":
                break
        for association in list(self._associations.values()):
            association.abort()

    def _begin(self, connection: socket.socket, message: dict[str, Any]) -> None:
        """Begin an association on a connection."""
        number = message["number"]
        remote: Any = ("", 0)
        try:
            remote = connection.getpeername()
            # Without it each answer waits for the peer's delayed acknowledgement of the one before.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            local = connection.getsockname()
            if len(self._connections) > _MAX_CONNECTIONS:
                raise ConnectionError(f"too many connections at once ({_MAX_CONNECTIONS})")
            if message["tls"] and self._tls is not None:
                connection.settimeout(_HANDSHAKE_TIMEOUT_S)
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.settimeout(_NETWORK_TIMEOUT_S)
        except (OSError, ValueError) as problem:
            log.warning("a connection to port %d was given up: %s", message["port"], problem)
            connection.close()
            self._tell("refused", **_who(message, remote[0]), reason=_said(problem))
            self._ended(number)
            return
        association = Receiving(
            self._entity, connection, local=local, remote=remote, on_end=lambda _one: self._ended(number)
        )
        association.on_broken(lambda reason: self._refused(association, message, reason))
        association.bind(evt.EVT_REQUESTED, self._on_requested, [message])
        association.bind(evt.EVT_REJECTED, self._on_limit, [message])
        association.bind(evt.EVT_C_ECHO, lambda _event: SUCCESS)
        association.bind(evt.EVT_N_ACTION, self._on_action, [number, message["port"]])
        self._associations[number] = association
        association.start()

    def _ended(self, number: int) -> None:
        self._associations.pop(number, None)
        self._connections.discard(number)
        self._tell("ended", number=number)

    def _refused(self, association: Receiving, message: dict[str, Any], reason: str) -> None:
        """Tell the hub of an association that came to nothing."""
        asked = association.requestor.primitive
        titles = {} if asked is None else {"called": str(asked.called_ae_title), "calling": str(asked.calling_ae_title)}
        self._tell("refused", **_who(message, str(association.requestor.address)) | titles, reason=reason)

    def _on_limit(self, event: Event, message: dict[str, Any]) -> None:
        """Tell that the library itself refused one: it has one reason only."""
        log.warning("association refused: there are %d already", _MAX_ASSOCIATIONS)
        reason = f"too many associations at once ({_MAX_ASSOCIATIONS})"
        self._refused(cast("Receiving", event.assoc), message, reason)

    def _on_requested(self, event: Event, message: dict[str, Any]) -> None:
        """Accept an association if a receiver has the called AE title and its whitelist, if any, the sender."""
        association = cast("Receiving", event.assoc)
        asked = association.requestor.primitive
        if asked is None:
            return
        called, calling = str(asked.called_ae_title).strip(), str(asked.calling_ae_title).strip()
        admission = admit(
            message["receivers"], called=called, calling=calling, address=str(association.requestor.address)
        )
        port = message["port"]
        if not admission.title_known:
            log.warning("association refused: no receiver %r listens on port %d", called, port)
            self._refused(association, message, "no receiver of this AE title listens on this port")
            _reject(event, reason=_CALLED_TITLE_UNKNOWN)
            return
        if not admission.sender_welcome:
            log.warning("association refused: %r is not on the whitelist of %r", calling, called)
            self._refused(association, message, "the sender is not on this receiver's whitelist")
            _reject(event, reason=_CALLING_TITLE_UNKNOWN)
            return
        untaken = negotiation.refused(asked.presentation_context_definition_list)
        if untaken:
            log.warning("of what %r offers to %r %s", calling, called, untaken)
            self._refused(association, message, untaken)
        association.acceptor.ae_title = called
        association.acceptor.supported_contexts = negotiation.supported(asked.presentation_context_definition_list)
        association.receive_into(
            Stores(
                self._desk,
                Origin(calling, called, port),
                syntax_of=lambda context_id: _syntax_of(association, context_id),
                on_kept=self._kept,
            )
        )

    def _kept(self) -> None:
        self._tell("kept")

    def _on_action(self, event: Event, number: int, port: int) -> tuple[int, None]:
        """Take a request for storage commitment: once it lies in the spool, it is not forgotten."""
        association = event.assoc
        request = commitment.read_request(event)
        if isinstance(request, int):
            return request, None
        document = {
            **request,
            "sender": str(association.requestor.ae_title).strip(),
            "receiver": str(association.acceptor.ae_title).strip(),
            "address": str(association.requestor.address),
            "association": f"{self._desk.folder.name}/{number}",
        }
        try:
            with SpoolFile(self._desk, COMMITMENT) as file:
                file.write(json.dumps(document).encode())
                file.keep(port)
        except OSError as problem:
            log.error("a request for storage commitment could not be kept: %s", problem.strerror or problem)  # noqa: TRY400 - said in full
            return OUT_OF_RESOURCES, None
        self._kept()
        return SUCCESS, None

    def _tell(self, kind: str, **content: Any) -> None:
        with contextlib.suppress(OSError):  # the hub is gone, and this process goes too
            self._channel.send(kind, **content)

    def _report(self, message: dict[str, Any]) -> None:
        """Report a storage commitment on the association that asked for it."""
        association = self._associations.get(message["number"])
        done = association is not None and commitment.report(association, message["report"])
        self._tell("reported", pk=message["pk"], done=done)


class _ToHub(logging.Handler):
    """Gives the hub what is to be logged."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.INFO)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        text = record.getMessage()
        if record.exc_info and record.name.startswith("overread"):
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        with contextlib.suppress(OSError):  # the hub is gone, and this process goes too
            self._channel.send("log", name=record.name, level=record.levelno, text=text)


def _who(message: dict[str, Any], address: str) -> dict[str, Any]:
    return {"called": "", "calling": "", "address": address, "port": message["port"]}


def _said(problem: Exception) -> str:
    """Say why a connection came to nothing."""
    if isinstance(problem, ssl.SSLError):
        return f"TLS failed: {(problem.reason or 'the handshake broke off').replace('_', ' ').lower()}"
    if isinstance(problem, TimeoutError):
        return "TLS failed: no handshake came in time"
    return str(getattr(problem, "strerror", None) or problem)


def _syntax_of(association: Receiving, context_id: int) -> str | None:
    context = association._accepted_cx.get(context_id)
    return None if context is None else str(context.transfer_syntax[0])


def _reject(event: Event, *, reason: int) -> None:
    """Refuse for good (PS3.8 9.3.4: result 1, source 1)."""
    event.assoc.acse.send_reject(0x01, 0x01, reason)
    event.assoc.is_rejected = True
    event.assoc.kill()


def main(descriptor: int) -> None:
    """Serve on the channel of this descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the hub says when to end
    channel = Channel(socket.socket(fileno=descriptor))
    logging.getLogger().addHandler(_ToHub(channel))
    logging.getLogger("overread").setLevel(logging.INFO)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what matters of its errors is said here, in our words
    messages = channel.messages()
    first = next(messages, None)
    if first is not None:
        Worker(channel, first).serve(messages)
    # Threads of the library may hang in a connection: nothing that was acknowledged depends on them.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
