"""Users, their place in projects, alias tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class User(Base):
    """An account.

    ``password_hash`` is argon2's own text form, "" where none is kept here. ``provider`` names who knows the password:
    "" the hub itself, else a directory (`overread.hub.ldap`). Failed logins are counted in a row; they lock the
    account until ``locked_until``.
    """

    __tablename__ = "user"
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    login: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    verified: Mapped[bool] = mapped_column(default=True)
    roles: Mapped[list[str]] = mapped_column(default=list)  # Administrator, DataManager, CustomFormManager, ...
    created: Mapped[datetime] = mapped_column(default=utc_now)
    provider: Mapped[str] = mapped_column(default="")
    failed_logins: Mapped[int] = mapped_column(default=0)
    last_failed_login: Mapped[datetime | None]
    locked_until: Mapped[datetime | None]


class Membership(Base):
    """A user's role in a project: owner, member or collaborator."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("project", "login"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project: Mapped[str] = mapped_column(ForeignKey("project.id"))
    login: Mapped[str] = mapped_column(ForeignKey("user.login"))
    role: Mapped[str]


class AliasToken(Base):
    """A short-lived stand-in for a user's name and password."""

    __tablename__ = "alias_token"
    alias: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]
    login: Mapped[str] = mapped_column(ForeignKey("user.login"))
    created: Mapped[datetime] = mapped_column(default=utc_now)
    expires: Mapped[datetime]
