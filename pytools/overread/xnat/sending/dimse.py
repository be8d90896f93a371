"""What is said to a DICOM node: objects by C-STORE, storage commitment by N-ACTION, and what it reports of itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from overread.errors import Unavailable

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

_TIMEOUT_S: Final = 20.0
_ANSWER_S: Final = 60.0
"""So long a node that reports waits for our status: till what it says is kept in XNAT."""
_TAKEN: Final = (0x0000, 0xB000, 0xB006, 0xB007)
"""Success, and warnings of PS3.4 Table B.2-1: taken, with something changed or left out."""
_FULL: Final = 0xA7
_OUT_S: Final = 0.1
_NOT_KEPT, _ASK = 0x0110, 1
_MAX_OBJECTS: Final = 1000
FAILURES: Final = {
    0x0110: "could not be processed",
    0x0112: "is not there",
    0x0119: "is of another class there",
    0x0122: "its class is not supported",
    0x0131: "the transaction is known already",
    0x0213: "no room for it",
}
"""Failure reasons (PS3.3 C.14.1.1)."""


class Refused(Exception):  # noqa: N818 - what the node says, not a fault of ours
    """The node does not want an object, today or tomorrow."""


@dataclass(frozen=True)
class Peer:
    """A node, and who we are to it."""

    ae_title: str
    host: str
    port: int
    calling: str


@dataclass
class Commitment:
    """What a node says of a transaction: (SOP instance: why) of what it has not kept."""

    transaction: str
    failed: dict[str, str]
    kept: bool = False
    done: threading.Event = field(default_factory=threading.Event)


Inbox = queue.Queue[Commitment]


@contextmanager
def _association(peer: Peer, contexts: Sequence[tuple[str, Sequence[str]]], inbox: Inbox) -> Iterator[Association]:
    entity = AE(ae_title=peer.calling)
    entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = entity.network_timeout = _TIMEOUT_S
    for abstract, syntaxes in contexts:
        entity.add_requested_context(abstract, list(syntaxes))
    thanks = _Thanks()
    handlers = [(evt.EVT_N_EVENT_REPORT, _heard(inbox, thanks)), (evt.EVT_DIMSE_SENT, thanks.said)]
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, evt_handlers=handlers)  # type: ignore[arg-type]
    if not association.is_established:
        why = "refuses the association" if association.is_rejected else "does not answer"
        raise Unavailable(f"{peer.host}:{peer.port} {why}")
    try:
        yield association
    finally:
        thanks.finish()
        if association.is_established:
            association.release()


class _Thanks:
    """Our answer to a report, which must be out before the association is released."""

    def __init__(self) -> None:
        self.owed, self._said = threading.Event(), threading.Event()

    def said(self, event: Event) -> None:
        if type(event.message).__name__ == "N_EVENT_REPORT_RSP":
            self._said.set()

    def finish(self) -> None:
        if self.owed.is_set():
            self._said.wait(_TIMEOUT_S)
            time.sleep(_OUT_S)  # it is told of just before its last bytes go


def store(peer: Peer, objects: Sequence[Dataset], inbox: Inbox) -> tuple[tuple[str, str], ...]:
    """Send objects of a report.

    Returns
    -------
    tuple of tuple of str
        (SOP class, SOP instance) of each.

    Raises
    ------
    Unavailable
        The node is away, or full: to be tried again.
    Refused
        It does not want one of them; the others it has got.
    """
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    wanted = [(uid, syntaxes) for uid in dict.fromkeys(str(ds.SOPClassUID) for ds in objects)]
    refused, sent = [], []
    with _association(peer, wanted, inbox) as association:
        for ds in objects:
            name = ds.SOPClassUID.name
            try:
                status = association.send_c_store(ds)
            except ValueError:
                refused.append(f"{name} is not accepted")
                continue
            except RuntimeError:  # the association has ended
                status = Dataset()
            if "Status" not in status or status.Status >> 8 == _FULL:
                told = f"has no room ({status.Status:#06x})" if "Status" in status else "broke off"
                raise Unavailable(f"{peer.host}:{peer.port} {told}")
            if status.Status not in _TAKEN:
                refused.append(f"{name} is refused ({status.Status:#06x})")
                continue
            sent.append((str(ds.SOPClassUID), str(ds.SOPInstanceUID)))
    if refused:
        raise Refused("; ".join(refused))
    return tuple(sent)


def ask(
    peer: Peer,
    objects: Sequence[tuple[str, str]],
    inbox: Inbox,
    *,
    transaction: str,
    wait: Callable[[], None],
) -> None:
    """Ask a node whether it answers for objects; it reports on this association, or later on one of its own.

    Parameters
    ----------
    peer, objects
        Whom, and about what.
    inbox
        Where its report goes.
    transaction
        UID to ask under.
    wait
        Waits a moment for a report on this association, and deals with it.

    Raises
    ------
    Unavailable
        It could not be asked.
    """
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = Items([_reference(*one) for one in objects])
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    place = f"{peer.host}:{peer.port}"
    with _association(peer, [(StorageCommitmentPushModel, syntaxes)], inbox) as association:
        try:
            status, _ = association.send_n_action(
                asked, _ASK, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        except (ValueError, RuntimeError):
            raise Unavailable(f"{place} has no storage commitment") from None
        if "Status" not in status or status.Status != 0:
            told = f"{status.Status:#06x}" if "Status" in status else "no answer"
            raise Unavailable(f"{place} does not answer for objects ({told})")
        wait()


def new_transaction() -> str:
    """Return a UID for a transaction."""
    return str(generate_uid())


@contextmanager
def listening(ae_title: str, port: int | None, inbox: Inbox) -> Iterator[None]:
    """Take reports of nodes on associations of theirs, as long as it is open; nothing else is taken.

    Raises
    ------
    Unavailable
        The port is taken.
    """
    if port is None:
        yield
        return
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.acse_timeout = entity.network_timeout = _TIMEOUT_S
    entity.dimse_timeout = _ANSWER_S
    entity.add_supported_context(
        StorageCommitmentPushModel, [ExplicitVRLittleEndian, ImplicitVRLittleEndian], scu_role=True, scp_role=True
    )
    try:
        handlers = [(evt.EVT_N_EVENT_REPORT, _heard(inbox))]
        server = entity.start_server(("", port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    except OSError as error:
        raise Unavailable(f"port {port} can't be listened on ({error.strerror}); is it in use?") from None
    try:
        yield
    finally:
        server.shutdown()  # type: ignore[union-attr]


def _heard(inbox: Inbox, thanks: _Thanks | None = None) -> Callable[[Event], tuple[int, Dataset | None]]:
    """Return a handler that gives a report to the inbox, and answers once it is kept."""

    def handle(event: Event) -> tuple[int, Dataset | None]:
        if thanks is not None:
            thanks.owed.set()
        try:
            told = read_report(event.event_information)
        except Exception:  # noqa: BLE001 - the library raises anything over bytes that are no dataset
            told = None
        if told is None:
            return _NOT_KEPT, None
        inbox.put(told)
        told.done.wait(_ANSWER_S - 5.0)
        return (0x0000 if told.kept else _NOT_KEPT), None

    return handle


def read_report(information: Dataset) -> Commitment | None:
    """Return what a node reports; None if it says nothing that we could have asked for."""
    transaction = str(information.get("TransactionUID") or "")
    items: list[Any] = list(information.get("FailedSOPSequence") or [])
    if not transaction or len(items) > _MAX_OBJECTS:
        return None
    failed = {str(item.get("ReferencedSOPInstanceUID") or ""): _reason(item.get("FailureReason")) for item in items}
    return Commitment(transaction, failed)


def _reason(code: object) -> str:
    return FAILURES.get(code, f"failure {code:#06x}") if isinstance(code, int) else "no reason given"


def _reference(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item
