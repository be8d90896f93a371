"""What became of items: who changed what, when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class HistoryEvent(Base):
    """What one transaction did to one project, subject or experiment, and to the scans and files below it.

    It outlives its object, so nothing here is a foreign key. ``session_id`` (of image assessors) and ``subject_id`` say
    in whose history it shows besides. ``changes`` are maps of ``header``, ``label``, ``action`` (Added, Modified,
    Removed), and for a changed field ``path``, ``old`` and ``new``.
    """

    __tablename__ = "history_event"
    __table_args__ = (
        Index("ix_history_object", "kind", "object_id"),
        Index("ix_history_session", "session_id"),
        Index("ix_history_subject", "subject_id"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    date: Mapped[datetime] = mapped_column(default=utc_now)
    user: Mapped[str] = mapped_column(default="")
    kind: Mapped[str]  # project | subject | experiment
    object_id: Mapped[str]
    project: Mapped[str]
    session_id: Mapped[str] = mapped_column(default="")
    subject_id: Mapped[str] = mapped_column(default="")
    type: Mapped[str] = mapped_column(default="PROCESS")  # WEB_SERVICE for a call, PROCESS for the hub's own work
    action: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    comment: Mapped[str] = mapped_column(default="")
    changes: Mapped[list[Any]] = mapped_column(default=list)
