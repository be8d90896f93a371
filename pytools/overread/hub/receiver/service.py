"""Which ports listen: as many as the receivers' rows name, from the moment they name them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.core import Ticker
from overread.hub.errors import conflict
from overread.hub.models import Receiver
from overread.hub.receiver.listener import Listener

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
_OWN_TITLE: Final = "XNAT"


class Receivers:
    """The hub's DICOM listeners. A service: started and stopped with the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._listeners: dict[int, Listener] = {}
        self._failed: dict[int, str] = {}
        self._lock = threading.Lock()
        self._running = False
        self._suspended = False
        self._retry = Ticker("dicom-ports", self.reconcile, interval_s=_RETRY_S)

    def start(self) -> None:
        """Open the ports of all enabled receivers; a fresh home gets XNAT's own receiver on the hub's port."""
        with self._hub.database.write() as db:
            if self._hub.config.dicom_port and db.scalar(select(Receiver.id).limit(1)) is None:
                db.add(Receiver(ae_title=_OWN_TITLE, port=0))
        self._running = True
        self.reconcile()
        self._retry.start()

    def stop(self) -> None:
        """Close all ports."""
        self._running = False
        self._retry.stop()
        with self._lock:
            for listener in self._listeners.values():
                listener.close()
            self._listeners.clear()

    def reconcile(self) -> None:
        """Open and close ports so that they are those of the enabled receivers. A port that fails is tried again."""
        if not self._running:
            return
        with self._hub.database.read() as db:
            wanted = set() if self._suspended else self._wanted(db)
        with self._lock:
            for port in set(self._listeners) - wanted:
                self._listeners.pop(port).close()
                log.info("DICOM port %d closed", port)
            for port in wanted - set(self._listeners):
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
            if port not in self._listeners and not self._open(port):
                raise conflict(f"DICOM port {port} can't be opened: {self._failed[port]}. Choose another port.")

    def actual_port(self, port: int) -> int:
        """Return the port that a receiver's row means: 0 stands for the hub's own."""
        return port or self._hub.config.dicom_port

    def _wanted(self, db: Session) -> set[int]:
        rows = db.scalars(select(Receiver.port).where(Receiver.enabled.is_(True)).distinct())
        return {port for row in rows if (port := self.actual_port(row))}

    def _open(self, port: int) -> bool:
        try:
            self._listeners[port] = Listener(self._hub, port)
        except OSError as problem:
            why = problem.strerror or str(problem)
            if self._failed.get(port) != why:  # once, not at every attempt
                log.warning("DICOM port %d can't be opened: %s", port, why)
            self._failed[port] = why
            return False
        self._failed.pop(port, None)
        log.info("DICOM port %d open", port)
        return True
