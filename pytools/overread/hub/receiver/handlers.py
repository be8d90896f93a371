"""Events of the DICOM network: each becomes one call, and its outcome a status (PS3.4 B.2.3)."""

from __future__ import annotations

import logging
import weakref
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from sqlalchemy.exc import DBAPIError

from overread.errors import DataError
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.assignment import Rules
from overread.hub.arrival.objects import Header, file_meta_bytes, read_header
from overread.hub.arrival.storage import Fate, Incoming
from overread.hub.receiver.settings import admit, find_receiver, rules_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from overread.hub.core import Hub

log = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
COERCED: Final = 0xB000
"""Warning: what is stored is not what was sent. Senders count it as sent, and note it."""
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110

_CALLING_TITLE_UNKNOWN, _CALLED_TITLE_UNKNOWN = 0x03, 0x07
_MAX_COMMENT: Final = 64


class Handlers:
    """Answers the associations of one port.

    Parameters
    ----------
    hub
        Whose receivers answer.
    port
        The port, as receivers' rows name it.
    """

    def __init__(self, hub: Hub, port: int) -> None:
        self._hub, self._port = hub, port
        # A receiver that is changed answers by its new rules from the next association on.
        self._rules: weakref.WeakKeyDictionary[Association, Rules] = weakref.WeakKeyDictionary()

    def on_requested(self, event: Event) -> None:
        """Accept an association if a receiver has the called AE title and its whitelist, if any, the sender."""
        assoc = event.assoc
        asked = assoc.requestor.primitive
        if asked is None:
            return
        called, calling = str(asked.called_ae_title).strip(), str(asked.calling_ae_title).strip()
        with self._hub.database.read() as db:
            receiver = find_receiver(db, called, self._port, own_port=self._hub.config.dicom_port)
            admission = admit(receiver, calling=calling, address=str(assoc.requestor.address))
            rules = rules_of(receiver) if receiver is not None else Rules()
        if not admission.title_known:
            log.warning("association refused: no receiver %r listens on port %d", called, self._port)
            _reject(event, reason=_CALLED_TITLE_UNKNOWN)
        elif not admission.sender_welcome:
            log.warning("association refused: %r is not on the whitelist of %r", calling, called)
            _reject(event, reason=_CALLING_TITLE_UNKNOWN)
        else:
            assoc.acceptor.ae_title = called
            self._rules[assoc] = rules

    def on_store(self, event: Event) -> Dataset:
        """Answer C-STORE, only once the object is safe, or with what it is refused for."""
        try:
            code, comment = self._store(event)
        except (OSError, DBAPIError):
            log.exception("an object could not be stored")
            code, comment = OUT_OF_RESOURCES, "the hub can't store now, try again later"
        except Exception:  # the outermost loop of an association: the sender gets an answer whatever happened
            log.exception("storing an object failed")
            code, comment = PROCESSING_FAILURE, "the hub failed, its log says why"
        status = Dataset()
        status.Status = code
        if comment:
            status.ErrorComment = comment[:_MAX_COMMENT]
        return status

    def _store(self, event: Event) -> tuple[int, str]:
        request = cast("C_STORE", event.request)
        # The dataset came in pieces into one buffer: from here on it is looked at, never copied.
        buffer = cast("BytesIO", request.DataSet)
        data = buffer.getbuffer()
        if not spooling.has_room(self._hub, len(data)):
            return OUT_OF_RESOURCES, "the hub's disk is full"
        header, code, reason = _read(buffer, event)
        meta = file_meta_bytes(
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
        )
        assoc = event.assoc
        source = f"{assoc.acceptor.ae_title}:{self._port} from {assoc.requestor.ae_title}"
        spooled = spooling.spool(self._hub, (meta, data))
        try:
            if header is None or reason:
                storage.refuse(self._hub, spooled, reason=reason, source=source, header=header)
                return code, reason
            incoming = Incoming(spooled, header, source)
            receipt = storage.store(self._hub, incoming, rules=self._rules.get(assoc))
        except BaseException:
            spooled.path.unlink(missing_ok=True)
            raise
        if receipt.fate is Fate.SET_ASIDE:
            return COERCED, "another object with this SOP Instance UID is kept"
        return SUCCESS, ""


def on_echo(_event: Event) -> int:
    """Answer C-ECHO."""
    return SUCCESS


def _read(buffer: BytesIO, event: Event) -> tuple[Header | None, int, str]:
    """Return the object's header, and the status and reason for which it is refused (reason "" if it is not)."""
    request = cast("C_STORE", event.request)
    buffer.seek(0)
    try:
        header = read_header(buffer, transfer_syntax_uid=str(event.context.transfer_syntax))
    except DataError as problem:
        return None, CANNOT_UNDERSTAND, str(problem)
    if header.sop_instance_uid != request.AffectedSOPInstanceUID:
        return header, MISMATCH, "SOP Instance UID differs between command and dataset"
    if header.sop_class_uid != request.AffectedSOPClassUID:
        return header, MISMATCH, "SOP Class UID differs between command and dataset"
    return header, SUCCESS, ""


def _reject(event: Event, *, reason: int) -> None:
    """Refuse for good (PS3.8 9.3.4: result 1, source 1)."""
    event.assoc.acse.send_reject(0x01, 0x01, reason)
    event.assoc.is_rejected = True
    event.assoc.kill()
