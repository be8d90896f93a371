"""Receivers, what they received, and the prearchive."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, validates

from overread.hub.models.base import Base, utc_now

_MAX_LOG = 50


class Receiver(Base):
    """A DICOM receiver, as `/xapi/dicomscp` has it. ``settings`` holds the other keys of that document."""

    __tablename__ = "receiver"
    __table_args__ = (UniqueConstraint("ae_title", "port"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    ae_title: Mapped[str]
    port: Mapped[int]
    enabled: Mapped[bool] = mapped_column(default=True)
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class PrearchiveSession(Base):
    """A session that is arriving. Its folder in the prearchive is project/timestamp/name.

    ``status`` is XNAT's, or ``ARCHIVED`` or ``DELETED`` for a session that has left the prearchive: its row stays, so
    that the ledger can say what became of an exam, but no list shows it.
    """

    __tablename__ = "prearchive_session"
    __table_args__ = (
        Index("ix_prearchive_study", "study_instance_uid"),
        Index("ix_prearchive_place", "project", "timestamp"),
        Index("ix_prearchive_status", "status"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project: Mapped[str]  # "Unassigned" when no project took it
    timestamp: Mapped[str]
    name: Mapped[str]
    subject: Mapped[str] = mapped_column(default="")
    study_instance_uid: Mapped[str]
    status: Mapped[str] = mapped_column(default="RECEIVING")
    auto_archive: Mapped[bool | None]
    reason: Mapped[str] = mapped_column(default="")  # why it waits, is whole, or went wrong, in words
    session_id: Mapped[str | None]  # experiment it became, or was merged into
    uploaded: Mapped[datetime] = mapped_column(default=utc_now)
    receiving_since: Mapped[datetime] = mapped_column(default=utc_now)  # later than uploaded if it was READY between
    last_modified: Mapped[datetime] = mapped_column(default=utc_now)
    prevent_anon: Mapped[bool] = mapped_column(default=False, server_default=false())  # no site script is run
    prevent_auto_commit: Mapped[bool] = mapped_column(default=False, server_default=false())  # waits to be committed
    source: Mapped[str] = mapped_column(default="", server_default="")  # SOURCE and VISIT, as an import gave them
    visit: Mapped[str] = mapped_column(default="", server_default="")
    log: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # former reasons, the oldest first

    @validates("reason")
    def _keep_in_log(self, _key: str, reason: str) -> str:
        """Note each new reason with its moment; the last ones are enough."""
        log = list(self.log or ())
        if reason and (not log or log[-1]["entry"] != reason):
            self.log = [*log[-(_MAX_LOG - 1) :], {"date": utc_now().isoformat(), "entry": reason}]
        return reason


class ReceivedObject(Base):
    """The ledger: one line for every object that reached us, whatever became of it.

    ``state`` is received, refused, duplicate (the same bytes came before), archived or deleted.
    """

    __tablename__ = "received_object"
    __table_args__ = (
        Index("ix_received_session", "prearchive_pk"),
        Index("ix_received_study", "study_instance_uid"),
        Index("ix_received_sop", "sop_instance_uid"),
        Index("ix_received_state", "state"),
        Index("ix_received_archived", "session_id"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    prearchive_pk: Mapped[int | None] = mapped_column(ForeignKey("prearchive_session.pk"))
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    path: Mapped[str] = mapped_column(default="")  # relative to the hub's home
    source: Mapped[str] = mapped_column(default="")  # receiver and calling AE title, or the REST route
    study_instance_uid: Mapped[str] = mapped_column(default="")
    series_instance_uid: Mapped[str] = mapped_column(default="")
    sop_instance_uid: Mapped[str] = mapped_column(default="")
    sop_class_uid: Mapped[str] = mapped_column(default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(default="")
    header: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the few keywords that arrival rules look at
    size: Mapped[int] = mapped_column(default=0)
    digest: Mapped[str] = mapped_column(default="")  # MD5 of the file in hex, as XNAT's catalogs have it
    received_at: Mapped[datetime] = mapped_column(default=utc_now)
    session_id: Mapped[str | None]  # experiment it was archived into
    original_digest: Mapped[str] = mapped_column(default="", server_default="")  # MD5 before it was anonymised


class RefusedAssociation(Base):
    """An association that was refused, or broke off, and why. Equal ones are one row."""

    __tablename__ = "refused_association"
    __table_args__ = (
        UniqueConstraint("reason", "called", "calling", "address", "port"),
        Index("ix_refused_association_last", "last_at"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    reason: Mapped[str]
    called: Mapped[str]  # AE titles; "" if it did not come that far
    calling: Mapped[str]
    address: Mapped[str]  # the sender's
    port: Mapped[int]  # ours
    times: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]


class StorageCommitment(Base):
    """A request for storage commitment (PS3.4 Annex J) and what became of it.

    ``state`` is asked, reported (the sender has taken the report) or failed (it could not be told for a day).
    """

    __tablename__ = "storage_commitment"
    __table_args__ = (Index("ix_commitment_state", "state"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    transaction_uid: Mapped[str]
    sender: Mapped[str]  # AE titles of the association that asked
    receiver: Mapped[str]
    port: Mapped[int]
    address: Mapped[str] = mapped_column(default="")  # the sender's
    association: Mapped[str] = mapped_column(default="")  # on which it was asked: receiving process/number
    objects: Mapped[list[Any]] = mapped_column(default=list)  # pairs of SOP class and instance UID
    kept: Mapped[int] = mapped_column(default=0)  # how many of them are kept, as last told
    state: Mapped[str] = mapped_column(default="asked")
    reason: Mapped[str] = mapped_column(default="")  # what the last attempt to report came to
    attempts: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[datetime] = mapped_column(default=utc_now)
    next_attempt_at: Mapped[datetime] = mapped_column(default=utc_now)
    reported_at: Mapped[datetime | None]
