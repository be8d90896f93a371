"""How logins are guarded: the site preferences for it, under XNAT's names, read when they are needed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.database import after_commit
from overread.hub.errors import bad_request
from overread.hub.models import SiteSetting

if TYPE_CHECKING:
    from overread.hub.core import Hub

DEFAULTS: Final[dict[str, str | int | bool]] = {
    "sessionTimeout": "15 minutes",
    "sessionLifetime": "12 hours",  # not XNAT's: however busy, a session ends then
    "concurrentMaxSessions": 1000,
    "maxFailedLogins": 20,
    "maxFailedLoginsLockoutDuration": "1 hour",
    "resetFailedLogins": "1 hour",  # XNAT's resetFailedLoginsSchedule, as an interval
    "aliasTokenTimeout": "2 days",
    "auditRetention": "",  # not XNAT's: the audit trail's older lines leave the database; "" keeps all
    "passwordComplexity": "^.{8,}$",
    "passwordComplexityMessage": "A password has eight characters or more.",
}
_MAX_PASSWORD = 1000  # characters: a hash of megabytes would cost seconds
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DURATION = re.compile(r"(\d{1,9}) ?(second|minute|hour|day|week)s?")


@dataclass(frozen=True)
class LoginPolicy:
    """The preferences, in numbers.

    ``max_failed_logins`` 0 or less locks nobody out; ``audit_retention_s`` None keeps the audit trail for ever.
    ``session_lifetime_s`` counts from the login.
    """

    session_timeout_s: float
    session_lifetime_s: float
    max_sessions: int
    max_failed_logins: int
    lockout_s: float
    reset_failed_s: float
    alias_token_s: float
    audit_retention_s: float | None
    password_pattern: str
    password_message: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.password_pattern)

    def check_password(self, login: str, password: str) -> None:
        """Refuse a new password that is too weak, with 400."""
        if len(password) > _MAX_PASSWORD:
            raise bad_request(f"A password has {_MAX_PASSWORD} characters at most.")
        if not self._pattern.fullmatch(password):
            raise bad_request(self.password_message or f"A password must match {self.password_pattern}.")
        if password.lower() == login.lower():
            raise bad_request("The password must differ from the user name.")


class Policies:
    """Gives the policy that counts now. It is read once, and again after it was changed."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._read: LoginPolicy | None = None

    def now(self) -> LoginPolicy:
        """Return the policy."""
        policy = self._read
        if policy is None:
            with self._hub.database.read() as db:
                policy = self._read = read_policy(db)
        return policy

    def change(self, db: Session) -> None:
        """Read anew once the transaction of `db` is kept."""
        after_commit(db, self._forget)

    def _forget(self) -> None:
        self._read = None


def read_policy(db: Session) -> LoginPolicy:
    """Return the policy as the database has it."""
    rows = db.scalars(select(SiteSetting).where(SiteSetting.name.in_(DEFAULTS)))
    found = DEFAULTS | {row.name: json.loads(row.value) for row in rows}
    return LoginPolicy(
        session_timeout_s=seconds(str(found["sessionTimeout"])),
        session_lifetime_s=seconds(str(found["sessionLifetime"])),
        max_sessions=int(found["concurrentMaxSessions"]),
        max_failed_logins=int(found["maxFailedLogins"]),
        lockout_s=seconds(str(found["maxFailedLoginsLockoutDuration"])),
        reset_failed_s=seconds(str(found["resetFailedLogins"])),
        alias_token_s=seconds(str(found["aliasTokenTimeout"])),
        audit_retention_s=seconds(kept) if (kept := str(found["auditRetention"])) else None,
        password_pattern=str(found["passwordComplexity"]),
        password_message=str(found["passwordComplexityMessage"]),
    )


def check_preference(name: str, value: object) -> None:
    """Refuse a value of one of these preferences that could not be used later, with 400."""
    if isinstance(DEFAULTS[name], str) and isinstance(value, str):
        if name == "passwordComplexity":
            try:
                re.compile(value)
            except re.error as problem:
                raise bad_request(f"{name} is no regular expression: {problem}.") from problem
        elif name == "auditRetention":
            if value and seconds(value) < _UNITS["day"]:
                raise bad_request(f"{name} must be a day or more, or empty to keep all.")
        elif not name.endswith("Message") and seconds(value) < 1:
            raise bad_request(f"{name} must be a second or more.")
    if name == "concurrentMaxSessions" and str(value).isdecimal() and int(str(value)) < 1:
        raise bad_request(f"{name} must be 1 or more.")


def seconds(text: str) -> float:
    """Return the seconds of an interval such as ``15 minutes``, 400 if it is none."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise bad_request(f"{text!r} is no duration: write it like 15 minutes, 1 hour or 2 days.")
    return float(int(found[1]) * _UNITS[found[2]])
