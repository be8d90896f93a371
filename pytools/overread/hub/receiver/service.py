"""Which ports listen: as many as the receivers' rows name, from the moment they name them."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import SpecError
from overread.hub.core import Ticker
from overread.hub.errors import conflict
from overread.hub.models import Receiver
from overread.hub.receiver import tls
from overread.hub.receiver.pool import Pool
from overread.hub.receiver.settings import receivers_of_port, rows_of_port

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
_OWN_TITLE: Final = "XNAT"
_BACKLOG: Final = 128
_LOOK_AGAIN_S: Final = 0.5


class Receivers:
    """The hub's DICOM ports. A service: started and stopped with the hub.

    The hub itself accepts connections and hands them to its receiving processes.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._files = _tls_files(hub)
        self.pool = Pool(
            hub.intake.spool,
            processes=hub.config.dicom_processes,
            tls=self._files,
            on_kept=hub.intake.wake,
            on_reported=hub.commitments.reported,
            on_refused=hub.refusals.note,
        )
        self._listening: dict[int, socket.socket] = {}
        self._failed: dict[int, str] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._accepting = threading.Thread(target=self._accept_all, name="dicom-accept", daemon=True)
        self._running = False
        self._suspended = False
        self._retry = Ticker("dicom-ports", self.reconcile, interval_s=_RETRY_S)

    def start(self) -> None:
        """Open the ports of all enabled receivers; a fresh home gets XNAT's own receiver on the hub's port.

        Raises
        ------
        SpecError
            The certificate of the TLS port can't be used.
        """
        if self._files is not None:
            try:
                tls.server_context(self._files)
            except OSError as problem:
                raise SpecError(
                    f"DICOM over TLS: the certificate, key or client CA can't be used ({problem})."
                ) from problem
        own = self._hub.config.dicom_port or self._hub.config.dicom_tls_port
        with self._hub.database.write() as db:
            if own and db.scalar(select(Receiver.id).limit(1)) is None:
                db.add(Receiver(ae_title=_OWN_TITLE, port=0))
        self._running = True
        self._accepting.start()
        self.reconcile()
        self._retry.start()

    def stop(self) -> None:
        """Close all ports and end what is under way."""
        self._running = False
        self._retry.stop()
        if self._accepting.is_alive():
            self._accepting.join(timeout=10)
        with self._lock:
            for port in list(self._listening):
                self._close(port)
        self._selector.close()
        self.pool.stop()

    def reconcile(self) -> None:
        """Open and close ports so that they are those of the enabled receivers. A port that fails is tried again.

        Associations under way on a port that is closed go on to their end.
        """
        if not self._running:
            return
        with self._hub.database.read() as db:
            wanted = set() if self._suspended else self._wanted(db)
        with self._lock:
            for port in set(self._listening) - wanted:
                self._close(port)
                log.info("DICOM port %d closed", port)
            for port in wanted - set(self._listening):
                self._open(port)

    def suspend(self, *, suspended: bool) -> None:
        """Close all ports until told otherwise, or open them again."""
        self._suspended = suspended
        self.reconcile()

    def ensure(self, port: int) -> None:
        """Open a port now, before the receiver that needs it is kept.

        Raises
        ------
        HubError
            409: it can't be opened.
        """
        if not self._running or self._suspended:
            return
        with self._lock:
            if port not in self._listening and not self._open(port):
                raise conflict(f"DICOM port {port} can't be opened: {self._failed[port]}. Choose another port.")

    def actual_port(self, port: int) -> int:
        """Return the port that a receiver's row means: 0 stands for the hub's own."""
        return port or self._hub.config.dicom_port or self._hub.config.dicom_tls_port

    def _wanted(self, db: Session) -> set[int]:
        config = self._hub.config
        rows = db.scalars(select(Receiver.port).where(Receiver.enabled.is_(True)).distinct())
        ports = {port for row in rows if (port := self.actual_port(row))}
        # Over TLS the receivers of the hub's own port can be reached as well.
        if config.dicom_tls_port and self.actual_port(0) in ports:
            ports.add(config.dicom_tls_port)
        return ports

    def _open(self, port: int) -> bool:
        host = self._hub.config.host
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
            listening.setblocking(False)  # noqa: FBT003
            self.pool.start()
        except OSError as problem:
            why = problem.strerror or str(problem)
            if self._failed.get(port) != why:  # once, not at every attempt
                log.warning("DICOM port %d can't be opened: %s", port, why)
            self._failed[port] = why
            return False
        self._listening[port] = listening
        self._selector.register(listening, selectors.EVENT_READ, port)
        self._failed.pop(port, None)
        log.info("DICOM port %d open", port)
        return True

    def _close(self, port: int) -> None:
        listening = self._listening.pop(port)
        self._selector.unregister(listening)
        listening.close()

    def _accept_all(self) -> None:
        while self._running:
            for key, _ in self._selector.select(_LOOK_AGAIN_S):
                try:
                    self._accept(key.fileobj, key.data)
                except Exception:  # the outermost loop: one connection must not stop the others
                    log.exception("a connection to DICOM port %d could not be served", key.data)

    def _accept(self, listening: Any, port: int) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:  # the sender, or the port, is gone already
            return
        with connection:
            config = self._hub.config
            with self._hub.database.read() as db:
                receivers = receivers_of_port(db, rows_of_port(config, port))
            self.pool.hand_over(connection, port=port, tls=port == config.dicom_tls_port, receivers=receivers)


def _tls_files(hub: Hub) -> dict[str, str] | None:
    config = hub.config
    if not config.dicom_tls_port:
        return None
    if config.dicom_tls_certificate is None or config.dicom_tls_key is None:
        raise SpecError("DICOM over TLS needs a certificate and its key: name both, or leave out the TLS port.")
    return {
        "certificate": str(config.dicom_tls_certificate),
        "key": str(config.dicom_tls_key),
        "client_ca": str(config.dicom_tls_client_ca or ""),
    }
