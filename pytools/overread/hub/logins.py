"""Names and passwords: argon2 hashes, alias tokens, directories, and the lock after too many failures.

A wrong password, an unknown name, a disabled and a locked account get the same answer after the same work, so that
nobody learns who has an account here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from overread.hub.audit import Entry, note
from overread.hub.models import AliasToken, User
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

_AT_A_TIME: Final = 2  # a hash takes 64 MiB for a while
_REMEMBERED_S: Final = 900.0
_REMEMBERED: Final = 1000


@dataclass(frozen=True)
class _Known:
    """What is known of an account before its password is looked at."""

    password_hash: str
    is_open: bool  # neither disabled nor locked
    has_failed: bool


class Logins:
    """Checks names and passwords.

    Parameters
    ----------
    hub
        The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._hasher = PasswordHasher()
        self._hashing = threading.BoundedSemaphore(_AT_A_TIME)
        # Basic authentication comes with every request of a script; argon2 takes tens of milliseconds on purpose.
        # A keyed digest of a pair that was right a moment ago spares the repetition.
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}
        self._lock = threading.Lock()
        self._nobodys = ""

    def hash_password(self, password: str) -> str:
        """Return argon2's text form of `password`."""
        with self._hashing:
            return self._hasher.hash(password)

    def check(self, login: str, password: str, *, address: str = "") -> str | None:
        """Return the account behind a name and password (or an alias token and its secret), or None.

        Every failure is noted in the audit trail; enough of them in a row lock the account for a while.
        """
        with self._hub.database.read() as db:
            token = db.get(AliasToken, login)
            if token is not None:
                return self._by_token(token, password)
            user = db.scalar(select(User).where(User.login == login))
            known = _known(user) if user is not None else None
        digest = hmac.digest(self._key, f"{login}\0{password}".encode(), hashlib.sha256)
        if known is not None:
            digest += known.password_hash.encode()  # a changed password forgets what was right before
        right = known is not None and known.is_open and self._was_right(digest)
        if not right:
            right = self._verify(known.password_hash if known is not None else "", password)
        if known is not None and known.is_open and right:
            self._remember(digest)
            if known.has_failed:
                self._forget_failures(login)
            return login
        self._note_failure(login, address)
        return None

    def _by_token(self, token: AliasToken, secret: str) -> str | None:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        fresh = token.expires > utc_now()
        return token.login if fresh and hmac.compare_digest(digest, token.secret_hash) else None

    def _verify(self, password_hash: str, password: str) -> bool:
        with self._hashing:
            if not password_hash:  # nobody's: the same work for nothing
                self._nobodys = self._nobodys or self._hasher.hash(secrets.token_hex(16))
                password_hash = self._nobodys
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

    def _was_right(self, digest: bytes) -> bool:
        with self._lock:
            return time.monotonic() - self._right.get(digest, -_REMEMBERED_S) < _REMEMBERED_S

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right[digest] = time.monotonic()

    def _forget_failures(self, login: str) -> None:
        with self._hub.database.write() as db:
            user = db.scalar(select(User).where(User.login == login))
            if user is not None:
                user.failed_logins, user.locked_until = 0, None

    def _note_failure(self, login: str, address: str) -> None:
        """Count a failure. A name that is none of ours is not written down: it may be a password in the wrong field."""
        policy, now = self._hub.policies.now(), utc_now()
        with self._hub.database.write() as db:
            user = db.scalar(select(User).where(User.login == login))
            failure = Entry("", "login", outcome="failed", address=address, detail="no such user", time=now)
            if user is None:
                note(db, failure)
                return
            note(db, Entry(login, "login", outcome="failed", address=address, detail=_state(user), time=now))
            if not user.enabled or _is_locked(user):
                return
            wait = timedelta(seconds=policy.lockout_s)
            if user.last_failed_login is not None and now - user.last_failed_login > wait:
                user.failed_logins = 0
            user.failed_logins += 1
            user.last_failed_login = now
            if 0 < policy.max_failed_logins <= user.failed_logins:
                user.failed_logins, user.locked_until = 0, now + wait
                note(db, Entry(login, "lock", address=address, detail=f"for {policy.lockout_s:.0f} s", time=now))


def _known(user: User) -> _Known:
    return _Known(user.password_hash, user.enabled and not _is_locked(user), user.failed_logins > 0)


def _is_locked(user: User) -> bool:
    return user.locked_until is not None and user.locked_until > utc_now()


def _state(user: User) -> str:
    return "the account is disabled" if not user.enabled else "the account is locked" if _is_locked(user) else ""
