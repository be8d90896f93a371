"""Events of the DICOM network: each becomes one call, and its outcome a status (PS3.4 B.2.3)."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from sqlalchemy.exc import DBAPIError

from overread.errors import DataError
from overread.hub.arrival import storage
from overread.hub.arrival.assignment import assign
from overread.hub.arrival.objects import Header, file_meta_bytes, read_header
from overread.hub.arrival.storage import Fate, Incoming, Spooled
from overread.hub.receiver.settings import admit, find_receiver, rules_of

if TYPE_CHECKING:
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


def on_requested(event: Event, hub: Hub) -> None:
    """Accept an association if a receiver has the called AE title and its whitelist, if any, the sender."""
    assoc = event.assoc
    asked = assoc.requestor.primitive
    if asked is None:
        return
    called, calling = str(asked.called_ae_title), str(asked.calling_ae_title)
    port, address = _port(event), str(assoc.requestor.address)
    with hub.database.read() as db:
        receiver = find_receiver(db, called, port, own_port=hub.config.dicom_port)
        admission = admit(receiver, calling=calling, address=address)
    if not admission.title_known:
        log.warning("association refused: no receiver %r listens on port %d", called.strip(), port)
        _reject(event, reason=_CALLED_TITLE_UNKNOWN)
    elif not admission.sender_welcome:
        log.warning("association refused: %r is not on the whitelist of %r", calling.strip(), called.strip())
        _reject(event, reason=_CALLING_TITLE_UNKNOWN)
    else:
        assoc.acceptor.ae_title = called.strip()


def _reject(event: Event, *, reason: int) -> None:
    """Refuse for good (PS3.8 9.3.4: result 1, source 1)."""
    event.assoc.acse.send_reject(0x01, 0x01, reason)
    event.assoc.is_rejected = True
    event.assoc.kill()


def on_echo(_event: Event) -> int:
    """Answer C-ECHO."""
    return SUCCESS


def on_store(event: Event, hub: Hub) -> Dataset:
    """Answer C-STORE, only once the object is safe, or with what it is refused for."""
    try:
        code, comment = _store(event, hub)
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


def _store(event: Event, hub: Hub) -> tuple[int, str]:
    request = cast("C_STORE", event.request)
    # The dataset came in pieces into one buffer: from here on it is looked at, never copied.
    buffer = cast("BytesIO", request.DataSet)
    data = buffer.getbuffer()
    transfer_syntax_uid = str(event.context.transfer_syntax)
    sop_class_uid, sop_instance_uid = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
    if not storage.has_room(hub, len(data)):
        return OUT_OF_RESOURCES, "the hub's disk is full"
    meta = file_meta_bytes(
        sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=transfer_syntax_uid
    )
    header: Header | None = None
    try:
        buffer.seek(0)
        header = read_header(buffer, transfer_syntax_uid=transfer_syntax_uid)
        code, reason = _compare(header, sop_class_uid, sop_instance_uid)
    except DataError as problem:
        code, reason = CANNOT_UNDERSTAND, problem.message
    called = event.assoc.acceptor.ae_title.strip()
    source = f"{called}:{_port(event)} from {event.assoc.requestor.ae_title.strip()}"
    spooled = storage.spool(hub, (meta, data))
    if reason or header is None:
        storage.refuse(hub, spooled, reason=reason, source=source, header=header)
        return code, reason
    return _keep(hub, Incoming(spooled, header, source), called=called, port=_port(event))


def _compare(header: Header, sop_class_uid: str, sop_instance_uid: str) -> tuple[int, str]:
    if header.sop_instance_uid != sop_instance_uid:
        return MISMATCH, "SOP Instance UID differs between command and dataset"
    if header.sop_class_uid != sop_class_uid:
        return MISMATCH, "SOP Class UID differs between command and dataset"
    return SUCCESS, ""


def _keep(hub: Hub, incoming: Incoming, *, called: str, port: int) -> tuple[int, str]:
    spooled: Spooled = incoming.spooled
    try:
        with hub.database.read() as db:
            receiver = find_receiver(db, called, port, own_port=hub.config.dicom_port)
            rules = rules_of(receiver) if receiver is not None else None
            assignment = assign(db, incoming.header.dataset, rules=rules)
        receipt = storage.store(hub, incoming, assignment)
    except BaseException:
        spooled.path.unlink(missing_ok=True)
        raise
    if receipt.fate is Fate.SET_ASIDE:
        return COERCED, "another object with this SOP Instance UID is kept"
    return SUCCESS, ""


def _port(event: Event) -> int:
    return int(event.assoc.acceptor.port)
