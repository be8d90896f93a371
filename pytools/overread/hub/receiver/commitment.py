"""Storage commitment, its messages (PS3.4 Annex J): N-ACTION asks, N-EVENT-REPORT answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.events import Event

from overread.hub.arrival.objects import text
from overread.hub.receiver.negotiation import STORAGE_COMMITMENT

if TYPE_CHECKING:
    from pynetdicom.association import Association

log = logging.getLogger("overread.hub.receiver")

INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance, the only one there is."""
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
"""Failure reasons (PS3.3 C.14.1.1)."""
_REQUEST_ACTION: Final = 1
_TIMEOUT_S: Final = 20.0
_ALL_KEPT, _SOME_FAILED = 1, 2
_NO_SUCH_ACTION, _INVALID_ARGUMENT, _NO_SUCH_INSTANCE = 0x0123, 0x0115, 0x0112


def read_request(event: Event) -> dict[str, Any] | int:
    """Return what an N-ACTION asks (``transaction`` and ``objects``, pairs of class and instance), or its status."""
    request: Any = event.request
    if request.RequestedSOPInstanceUID != INSTANCE:
        return _NO_SUCH_INSTANCE
    if event.action_type != _REQUEST_ACTION:
        return _NO_SUCH_ACTION
    try:
        asked = event.action_information
        objects = [
            (text(item, "ReferencedSOPClassUID"), text(item, "ReferencedSOPInstanceUID"))
            for item in asked.get("ReferencedSOPSequence") or []
        ]
        transaction = text(asked, "TransactionUID")
    except Exception:  # noqa: BLE001 - the library raises anything over bytes that are no dataset
        return _INVALID_ARGUMENT
    if not transaction or not objects or not all(instance for _, instance in objects):
        return _INVALID_ARGUMENT
    return {"transaction": transaction, "objects": objects}


def report(association: Association, content: Mapping[str, Any]) -> bool:
    """Send an N-EVENT-REPORT; whether the other side has taken it.

    Parameters
    ----------
    association
        An open one on which storage commitment was agreed.
    content
        ``transaction``; ``kept``, pairs of class and instance; ``failed``, the same with a reason.
    """
    if not association.is_established:
        return False
    information = Dataset()
    information.TransactionUID = content["transaction"]
    if content["kept"]:
        information.ReferencedSOPSequence = Sequence([_reference(*one) for one in content["kept"]])
    if content["failed"]:
        information.FailedSOPSequence = Sequence([_reference(*one) for one in content["failed"]])
    event_type = _SOME_FAILED if content["failed"] else _ALL_KEPT
    try:
        status, _ = association.send_n_event_report(information, event_type, UID(STORAGE_COMMITMENT), UID(INSTANCE))
    except (RuntimeError, ValueError) as problem:  # it has ended, or storage commitment was not agreed on it
        log.info("a storage commitment can't be reported on its association: %s", problem)
        return False
    return "Status" in status and status.Status == 0


def _reference(sop_class_uid: str, sop_instance_uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def report_to(address: tuple[str, int], content: Mapping[str, Any], *, called: str, calling: str) -> str:
    """Report on an association of our own; "" if the other side has taken it, else what went wrong.

    Parameters
    ----------
    address
        Host and port.
    content
        As for `report`.
    called, calling
        AE titles.
    """
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = _TIMEOUT_S
    entity.add_requested_context(STORAGE_COMMITMENT)
    role = build_role(STORAGE_COMMITMENT, scp_role=True)  # PS3.4 J.3.3: who reports is the SCP, here as the requestor
    association = entity.associate(*address, ae_title=called, ext_neg=[role])
    if not association.is_established:
        return f"{called} at {address[0]}:{address[1]} did not accept an association"
    try:
        done = report(association, content)
    finally:
        association.release()
    return "" if done else f"{called} at {address[0]}:{address[1]} did not take the report"
