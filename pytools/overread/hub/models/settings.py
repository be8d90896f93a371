"""Configuration service, site preferences, custom forms and custom fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class SiteSetting(Base):
    """A site preference."""

    __tablename__ = "site_setting"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(default="")


class ConfigEntry(Base):
    """One version of a configuration: the newest of (project, tool, path) counts; ``project`` "" is the site."""

    __tablename__ = "config_entry"
    __table_args__ = (Index("ix_config", "project", "tool", "path"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project: Mapped[str] = mapped_column(default="")
    tool: Mapped[str]
    path: Mapped[str]
    version: Mapped[int]
    status: Mapped[str] = mapped_column(default="enabled")
    contents: Mapped[str] = mapped_column(default="")
    user: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)


class ButtonSecret(Base):
    """With what a project's PACS button signs its addresses. No route tells it."""

    __tablename__ = "button_secret"
    project: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[str]


class CustomForm(Base):
    """A Form.io form and where it applies."""

    __tablename__ = "custom_form"
    uuid: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    xsi_type: Mapped[str]
    projects: Mapped[list[str]] = mapped_column(default=list)  # empty: the whole site
    status: Mapped[str] = mapped_column(default="enabled")
    display_order: Mapped[int] = mapped_column(default=10)
    contents: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)
    username: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)


class CustomFields(Base):
    """Values of custom fields, one row per top-level key of an item, so that two writers never meet."""

    __tablename__ = "custom_fields"
    __table_args__ = (UniqueConstraint("owner_kind", "owner_id", "name"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    owner_kind: Mapped[str]  # project | subject | experiment | scan
    owner_id: Mapped[str]
    name: Mapped[str]
    value: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {"value": ...}: any JSON
    user: Mapped[str] = mapped_column(default="")
    last_modified: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
