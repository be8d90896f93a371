"""Who saw, changed, launched, took out: the audit trail."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class AuditEvent(Base):
    """One act of one user. Rows are added and never changed.

    They outlive what they are about, so nothing here is a foreign key. ``item`` is an ID that the hub gave
    (``XNAT_E00017``, ``run 3``), never a label, which may name a patient. ``route`` is the template of the path.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_time", "time"),
        Index("ix_audit_user", "user"),
        Index("ix_audit_project", "project"),
        Index("ix_audit_item", "item"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[datetime] = mapped_column(default=utc_now)
    user: Mapped[str]
    action: Mapped[str]  # one of overread.hub.audit.ACTIONS
    outcome: Mapped[str]  # done | refused | failed
    status: Mapped[int] = mapped_column(default=0)  # of the HTTP answer; 0 for what was no call
    method: Mapped[str] = mapped_column(default="")
    route: Mapped[str] = mapped_column(default="")
    project: Mapped[str] = mapped_column(default="")
    item: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")
