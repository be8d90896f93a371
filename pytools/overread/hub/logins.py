"""Names and passwords: argon2 hashes, alias tokens, directories, and the lock after too many failures.

A wrong password, an unknown name, a disabled and a locked account get the same answer after the same work, so that
nobody learns who has an account here.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, select

from overread.hub.audit import Entry, note
from overread.hub.ldap import Directory, Person, read_directories
from overread.hub.models import AliasToken, User
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

LOGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""What a user name can be."""

# Every request of a script asks these: columns alone, made once.
_TOKEN: Final = select(AliasToken.login, AliasToken.secret_hash, AliasToken.expires).where(
    AliasToken.alias == bindparam("name")
)
_ACCOUNT: Final = select(User.password_hash, User.enabled, User.locked_until, User.failed_logins, User.provider).where(
    User.login == bindparam("name")
)
_AT_A_TIME: Final = 2  # a hash takes 64 MiB for a while
_REMEMBERED_S: Final = 900.0
_ASKED_AGAIN_S: Final = 60.0  # so long may somebody whom a directory has let go still send Basic credentials
_REMEMBERED: Final = 1000


@dataclass(frozen=True)
class _Known:
    """What is known of an account before its password is looked at."""

    password_hash: str
    is_open: bool  # neither disabled nor locked
    has_failed: bool
    provider: str


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
        self.directories = read_directories(hub.layout.auth)

    def hash_password(self, password: str) -> str:
        """Return argon2's text form of `password`."""
        with self._hashing:
            return self._hasher.hash(password)

    def check(self, login: str, password: str, *, address: str = "") -> str | None:
        """Return the account behind a name and password (or an alias token and its secret), or None.

        Every failure is noted in the audit trail; enough of them in a row lock the account for a while. Names that
        have no account here are looked for in the directories, or in one alone: ``directory/name``.

        Raises
        ------
        HubError
            503: a directory is to say whether the password is right, and can't be asked.
        """
        directories, login = self._asked(login)
        with self._hub.database.read() as db:
            token = db.execute(_TOKEN, {"name": login}).first()
            if token is not None:
                return self._by_token(token, password)
            user = db.execute(_ACCOUNT, {"name": login}).first()
            known = _known(user) if user is not None else None
        digest = hmac.digest(self._key, f"{login}\0{password}".encode(), hashlib.sha256)
        if known is not None:
            digest += known.password_hash.encode()  # a changed password forgets what was right before
        account: str | None = login
        if known is None or not known.is_open or not self._was_right(digest):
            account = self._look_up(directories, login, password, known)
        if account is not None and (known is None or known.is_open):
            self._remember(digest, _REMEMBERED_S if known is not None and not known.provider else _ASKED_AGAIN_S)
            if known is not None and known.has_failed:
                self._forget_failures(login)
            return account
        self._note_failure(login, address)
        return None

    def _asked(self, login: str) -> tuple[list[Directory], str]:
        """Return the directories to look into, and the name without that of a directory."""
        name, slash, rest = login.partition("/")
        chosen = [one for one in self.directories if slash and one.id == name]
        return (chosen, rest) if chosen else (self.directories, login)

    def _look_up(self, directories: list[Directory], login: str, password: str, known: _Known | None) -> str | None:
        """Return the account that the password opens, with the work of one look for whoever it is."""
        if known is not None and not known.provider:
            return login if self._verify(known.password_hash, password) else None
        if known is not None:
            directories = [one for one in directories if one.id == known.provider and known.is_open]
        if not directories or not LOGIN.fullmatch(login):
            self._verify("", password)
            return None
        for directory in directories:
            person = directory.find(login, password)
            if person is not None:
                return self._account_of(directory, person)
        return None

    def _account_of(self, directory: Directory, person: Person) -> str | None:
        """Return the account of somebody whom a directory knows, made at the first login; None if it is not to be."""
        if not LOGIN.fullmatch(person.login) or person.login == "guest":
            return None
        with self._hub.database.write() as db:
            user = db.scalar(select(User).where(User.login == person.login))
            if user is None:
                user = User(login=person.login, password_hash="", roles=[], provider=directory.id)
                user.enabled, user.verified = directory.enables, directory.verifies
                db.add(user)
                note(db, Entry(person.login, "change", detail=f"account made, known to {directory.id}"))
                if not user.enabled:
                    log.info("An account for %s was made and waits for being enabled", person.login)
            elif user.provider != directory.id:  # somebody else of the same name
                return None
            user.first_name, user.last_name, user.email = person.first_name, person.last_name, person.email
            return user.login if user.enabled and not _is_locked(user) else None

    def _by_token(self, token: Any, secret: str) -> str | None:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        fresh = token.expires > utc_now()
        return str(token.login) if fresh and hmac.compare_digest(digest, token.secret_hash) else None

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
            return time.monotonic() < self._right.get(digest, 0.0)

    def _remember(self, digest: bytes, for_s: float) -> None:
        with self._lock:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right[digest] = time.monotonic() + for_s

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


def _known(user: Any) -> _Known:
    return _Known(user.password_hash, user.enabled and not _is_locked(user), user.failed_logins > 0, user.provider)


def _is_locked(user: Any) -> bool:
    return user.locked_until is not None and user.locked_until > utc_now()


def _state(user: User) -> str:
    return "the account is disabled" if not user.enabled else "the account is locked" if _is_locked(user) else ""
