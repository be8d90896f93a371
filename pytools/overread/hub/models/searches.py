"""Searches that are kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class StoredSearch(Base):
    """xdat:stored_search: a search document under a name. ``tag`` is the project it belongs to, or ""."""

    __tablename__ = "stored_search"
    __table_args__ = (Index("ix_stored_search_tag", "tag"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(default="")
    root: Mapped[str]
    brief_description: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    secure: Mapped[bool] = mapped_column(default=True)
    allowed_users: Mapped[list[str]] = mapped_column(default=list)
    allowed_groups: Mapped[list[str]] = mapped_column(default=list)
    document: Mapped[str]
    user: Mapped[str] = mapped_column(default="")
    last_modified: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
