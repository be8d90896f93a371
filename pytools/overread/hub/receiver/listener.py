"""One port that listens for DICOM associations.

pynetdicom serves it. Its defaults are changed where they would print identifiers, refuse what can be kept, or wait.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Final

from pynetdicom import AE, _config, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from overread.hub.arrival.objects import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from overread.hub.receiver import handlers

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

# Settings of the library that hold for the whole process. The first two print identifiers, the third every PDU.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"
# Storage of every SOP class, private ones too, in the transfer syntax that the sender likes best: bytes are kept as
# they come, so none needs to be understood.
_config.UNRESTRICTED_STORAGE_SERVICE = True

_VERIFICATION: Final = "1.2.840.10008.1.1"
_NO_TITLE: Final = "ANY"
"""pynetdicom wants one AE title per port; each association gets that of its receiver."""
_MAX_PDU_BYTES: Final = 131072
_MAX_ASSOCIATIONS: Final = 100
_NETWORK_TIMEOUT_S: Final = 300.0


class _RequestHandler(RequestHandler):
    """Lets answers leave at once: without TCP_NODELAY each waits for the peer's delayed acknowledgement."""

    def setup(self) -> None:
        """Prepare the connection."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Listener:
    """Listens on one port until closed.

    Parameters
    ----------
    hub
        Whose receivers answer.
    port
        TCP port on the hub's host.

    Raises
    ------
    OSError
        The port can't be opened.
    """

    def __init__(self, hub: Hub, port: int) -> None:
        self.port = port
        self._ae = AE()
        self._ae.maximum_pdu_size = _MAX_PDU_BYTES
        self._ae.maximum_associations = _MAX_ASSOCIATIONS
        self._ae.network_timeout = _NETWORK_TIMEOUT_S
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._ae.add_supported_context(_VERIFICATION)
        answers = handlers.Handlers(hub, port)
        self._server = ThreadedAssociationServer(
            self._ae,
            (hub.config.host, port),
            _NO_TITLE,
            self._ae.supported_contexts,
            evt_handlers=[
                (evt.EVT_REQUESTED, answers.on_requested),
                (evt.EVT_C_ECHO, handlers.on_echo),
                (evt.EVT_C_STORE, answers.on_store),
            ],
            request_handler=_RequestHandler,
        )
        self._ae._servers.append(self._server)  # AE.start_server has no place for a request handler
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name=f"dicom-{port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and abort the associations under way: what they have not got an answer for is sent again."""
        self._ae.shutdown()
        self._thread.join(timeout=10)
