"""Accounts: making and changing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from overread.hub.access import ADMINISTRATOR
from overread.hub.database import after_commit
from overread.hub.errors import bad_request, conflict, forbidden, not_found
from overread.hub.logins import LOGIN
from overread.hub.models import AliasToken, Membership, User
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

ROLES = (ADMINISTRATOR, "DataManager", "CustomFormManager", "ContainerManager", "Dqr")
_COLUMNS = {"firstName": "first_name", "lastName": "last_name", "email": "email"}
_SWITCHES = ("enabled", "verified")


def find_user(db: Session, login: str) -> User:
    """Return the account `login`, 404 if there is none."""
    user = db.scalar(select(User).where(User.login == login))
    if user is None:
        raise not_found(f"user {login}")
    return user


def make_user(db: Session, hub: Hub, document: Mapping[str, Any]) -> User:
    """Make an account from ``{"username", "password", "firstName", "lastName", "email", "enabled", "verified"}``."""
    login = str(document.get("username", ""))
    if not LOGIN.fullmatch(login) or login == "guest":
        raise bad_request(f"{login!r} can't be a user name: use letters, digits, '.', '_', '@' and '-'.")
    if db.scalar(select(User.pk).where(User.login == login)) is not None:
        raise conflict(f"The user {login} exists already.")
    if not document.get("password"):
        raise bad_request(f"The user {login} needs a password.")
    user = User(login=login, password_hash="", roles=[])
    db.add(user)
    change_user(db, hub, user, document)
    db.flush()
    return user


def change_user(db: Session, hub: Hub, user: User, document: Mapping[str, Any]) -> None:
    """Lay the keys of `document` over an account. A new password, or disabling it, ends its sessions and tokens."""
    for key, column in _COLUMNS.items():
        if key in document:
            setattr(user, column, str(document[key] or ""))
    for key in _SWITCHES:
        if key in document:
            set_switch(user, key, on=_truth(key, document[key]))
    if document.get("password"):
        set_password(hub, user, str(document["password"]))
    if document.get("password") or not user.enabled:
        db.execute(delete(AliasToken).where(AliasToken.login == user.login))
        hub.sessions.close_all(user.login)
        after_commit(db, lambda: hub.sessions.close_all(user.login))  # whoever came in between is out as well


def set_password(hub: Hub, user: User, password: str) -> None:
    """Give an account a new password, and open it if failed logins had locked it."""
    if user.provider:
        raise bad_request(f"The password of {user.login} is kept by {user.provider}: change it there.")
    hub.policies.now().check_password(user.login, password)
    user.password_hash = hub.logins.hash_password(password)
    user.failed_logins, user.locked_until = 0, None


def set_switch(user: User, name: str, *, on: bool) -> None:
    """Enable or disable, verify or unverify an account. Enabling opens one that failed logins have locked."""
    if name == "enabled" and not on and user.login == "admin":
        raise forbidden("The account admin can't be disabled.")
    if name == "enabled" and on:
        user.failed_logins, user.locked_until = 0, None
    setattr(user, name, on)


def _truth(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise bad_request(f"{key} must be true or false.")


def checked_role(role: str) -> str:
    """Return `role` if there is such a site role, else refuse it with 400."""
    if role not in ROLES:
        raise bad_request(f"There is no site role {role!r}: use {', '.join(ROLES)}.")
    return role


def set_roles(user: User, roles: list[str]) -> None:
    """Give an account exactly these site roles."""
    if user.login == "admin" and ADMINISTRATOR not in roles:
        raise forbidden(f"The account admin stays an {ADMINISTRATOR}.")
    user.roles = sorted({checked_role(role) for role in roles})


def groups_of(db: Session, login: str) -> list[str]:
    """Return an account's groups, such as ``P_owner``."""
    rows = db.execute(select(Membership.project, Membership.role).where(Membership.login == login))
    return sorted(f"{project}_{role}" for project, role in rows)


def bean(user: User) -> dict[str, Any]:
    """Return an account as ``/xapi/users`` shows it. No password, no hash."""
    return {
        "id": user.pk,
        "username": user.login,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "email": user.email,
        "admin": ADMINISTRATOR in user.roles,
        "enabled": user.enabled,
        "verified": user.verified,
        "secured": True,
        "locked": user.locked_until is not None and user.locked_until > utc_now(),
    }
