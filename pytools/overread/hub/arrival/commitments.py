"""Storage commitments: what senders asked to be confirmed, kept until they have been told (PS3.4 Annex J).

A request comes through the spool behind the objects that it names, so these are filed when it is looked at. The report
goes out on the association that asked while that is open, else on a new one, to the address that the receiver's
settings give for the sender's AE title (``commitmentReplies``, ``AE@host:port``). It is tried again for a day.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from overread.hub.core import Ticker
from overread.hub.models import Instance, ReceivedObject, StorageCommitment
from overread.hub.models.base import utc_now
from overread.hub.receiver import commitment
from overread.hub.receiver.settings import find_receiver, reply_address, rows_of_port

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_GIVE_UP_AFTER: Final = timedelta(days=1)
_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(minutes=10)
_ANSWER_WITHIN: Final = timedelta(seconds=60)
"""A report on the association that asked is tried again when nothing was heard of it for so long."""
_CHUNK: Final = 500


def ask(db: Session, request: Mapping[str, Any], *, port: int, asked_at: datetime) -> None:
    """Note a request; one that is noted already (after a crash) counts once.

    Parameters
    ----------
    db
        Transaction.
    request
        ``transaction``, ``objects`` (pairs of SOP class and instance), ``sender``, ``receiver``, ``address``,
        ``association``.
    port
        The hub's port by which it came.
    asked_at
        When it came.
    """
    known = select(StorageCommitment.pk).where(
        StorageCommitment.transaction_uid == request["transaction"],
        StorageCommitment.sender == request["sender"],
        StorageCommitment.asked_at == asked_at,
    )
    if db.scalar(known.limit(1)) is not None:
        return
    db.add(
        StorageCommitment(
            transaction_uid=request["transaction"],
            sender=request["sender"],
            receiver=request["receiver"],
            port=port,
            address=request["address"],
            association=request["association"],
            objects=request["objects"],
            asked_at=asked_at,
        )
    )


def outcome(db: Session, objects: list[list[str]]) -> tuple[list[list[str]], list[list[Any]]]:
    """Return which of these objects (pairs of SOP class and instance) are kept, and which are not, with the reason.

    Kept is an object that lies in the prearchive or the archive; one that was put aside or deleted is not.
    """
    classes: dict[str, set[str]] = {}
    instances = [instance for _, instance in objects]
    for start in range(0, len(instances), _CHUNK):
        chunk = instances[start : start + _CHUNK]
        ledger = select(ReceivedObject.sop_instance_uid, ReceivedObject.sop_class_uid).where(
            ReceivedObject.sop_instance_uid.in_(chunk),
            or_(ReceivedObject.state == "received", ReceivedObject.state == "archived"),
        )
        archive = select(Instance.sop_instance_uid, Instance.sop_class_uid).where(Instance.sop_instance_uid.in_(chunk))
        for row in [*db.execute(ledger), *db.execute(archive)]:
            classes.setdefault(row.sop_instance_uid, set()).add(row.sop_class_uid)
    kept: list[list[str]] = []
    failed: list[list[Any]] = []
    for sop_class, instance in objects:
        if instance not in classes:
            failed.append([sop_class, instance, commitment.NO_SUCH_OBJECT])
        elif sop_class not in classes[instance]:
            failed.append([sop_class, instance, commitment.CLASS_CONFLICT])
        else:
            kept.append([sop_class, instance])
    return kept, failed


class Commitments(Ticker):
    """Tells senders what became of the objects they asked about. A service."""

    def __init__(self, hub: Hub) -> None:
        super().__init__("commitments", self._look, interval_s=_TICK_S)
        self._hub = hub

    def reported(self, pk: int, done: bool) -> None:  # noqa: FBT001 - as the receiving processes tell it
        """Note what became of a report on the association that asked."""
        if done:
            self._note(pk, reason="reported on the association that asked", done=True)
        else:
            self._note(pk, reason="the association that asked has ended", done=False)
            self.wake()

    def _look(self) -> None:
        with self._hub.database.read() as db:
            due = db.scalars(
                select(StorageCommitment.pk)
                .where(StorageCommitment.state == "asked", StorageCommitment.next_attempt_at <= utc_now())
                .order_by(StorageCommitment.pk)
            ).all()
        for pk in due:
            self._tell(pk)

    def _tell(self, pk: int) -> None:
        with self._hub.database.write() as db:
            row = db.get_one(StorageCommitment, pk)
            kept, failed = outcome(db, row.objects)
            row.kept, row.attempts = len(kept), row.attempts + 1
            row.next_attempt_at = utc_now() + _ANSWER_WITHIN
            content = {"transaction": row.transaction_uid, "kept": kept, "failed": failed}
            association, sender, title, port = row.association, row.sender, row.receiver, row.port
            receiver = find_receiver(db, title, rows_of_port(self._hub.config, port))
            address = reply_address(receiver.settings, sender) if receiver is not None else None
        if association and self._hub.receivers.pool.report(pk, association, content):
            return  # `reported` tells the rest
        if address is None:
            reason = f"the association has ended, and no commitmentReplies of {title} names an address of {sender}"
            self._note(pk, reason=reason, done=False)
            return
        problem = commitment.report_to(address, content, called=sender, calling=title)
        self._note(pk, reason=problem or "reported on an association of its own", done=not problem)

    def _note(self, pk: int, *, reason: str, done: bool) -> None:
        now = utc_now()
        with self._hub.database.write() as db:
            row = db.get(StorageCommitment, pk)
            if row is None or row.state != "asked":
                return
            row.reason = reason
            if done:
                row.state, row.reported_at = "reported", now
            elif now - row.asked_at > _GIVE_UP_AFTER:
                row.state = "failed"
                log.error("storage commitment %s could not be reported for a day: %s", row.transaction_uid, reason)
            elif row.association:
                row.association, row.next_attempt_at = "", now  # it has ended: an association of our own, now
            else:
                row.next_attempt_at = now + min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(row.attempts, 10))
