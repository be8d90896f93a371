"""Logins: HTTP sessions in memory, passwords as argon2 hashes, alias tokens.

Sessions live in memory, as Tomcat's do: after a restart users log in again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from overread.hub.access import GUEST, Caller
from overread.hub.errors import CHALLENGE, HubError
from overread.hub.models import AliasToken, User
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

COOKIE = "JSESSIONID"


@dataclass
class _HttpSession:
    login: str
    csrf: str = field(default_factory=lambda: str(uuid.uuid4()))
    used: float = field(default_factory=time.monotonic)


class Sessions:
    """Knows who is logged in."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._hasher = PasswordHasher()
        self._sessions: dict[str, _HttpSession] = {}
        self._lock = threading.Lock()
        # Basic authentication comes with every request of a script; argon2 takes tens of milliseconds on purpose.
        # A keyed digest of a pair that was right a moment ago spares the repetition.
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}

    def hash_password(self, password: str) -> str:
        """Return argon2's text form of `password`."""
        return self._hasher.hash(password)

    def identify(self, request: Request) -> tuple[Caller, str | None]:
        """Return who calls and the HTTP session's id, if the call came with one.

        Raises
        ------
        HubError
            401 for wrong Basic credentials, also on an open site.
        """
        header = request.headers.get("authorization", "")
        if header.lower().startswith("basic "):
            login = self.check_password(*_basic(header))
            if login is None:
                raise HubError(401, "Login attempt failed. Please try again.", headers=CHALLENGE)
            request.state.new_session = self.open(login)
            return self.caller(login), None
        session_id = request.cookies.get(COOKIE, "")
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                return GUEST, None
            if time.monotonic() - session.used > self._hub.config.session_timeout_s:
                del self._sessions[session_id]
                return GUEST, None
            session.used = time.monotonic()
        return self.caller(session.login), session_id

    def caller(self, login: str) -> Caller:
        """Return `login` with its present roles; a disabled account is nobody."""
        with self._hub.database.read() as db:
            user = db.scalar(select(User).where(User.login == login))
            return Caller(login, frozenset(user.roles)) if user is not None and user.enabled else GUEST

    def check_password(self, login: str, password: str) -> str | None:
        """Return the account behind a name and password (or an alias token and its secret), or None."""
        digest = hmac.digest(self._key, f"{login}\0{password}".encode(), hashlib.sha256)
        with self._hub.database.read() as db:
            token = db.get(AliasToken, login)
            if token is not None:
                secret = hashlib.sha256(password.encode()).hexdigest()
                fresh = token.expires > utc_now()
                return token.login if fresh and hmac.compare_digest(secret, token.secret_hash) else None
            user = db.scalar(select(User).where(User.login == login))
        if user is None or not user.enabled:
            return None
        digest += user.password_hash.encode()  # a changed password forgets what was right before
        with self._lock:
            if time.monotonic() - self._right.get(digest, -1e9) < self._hub.config.session_timeout_s:
                return user.login
        try:
            self._hasher.verify(user.password_hash, password)
        except (VerificationError, InvalidHashError):
            return None
        with self._lock:
            if len(self._right) > 1000:  # noqa: PLR2004 - a bound against growth, nothing depends on it
                self._right.clear()
            self._right[digest] = time.monotonic()
        return user.login

    def open(self, login: str) -> str:
        """Begin a session for `login` and return its id."""
        session_id = secrets.token_hex(16).upper()
        with self._lock:
            now = time.monotonic()
            timeout = self._hub.config.session_timeout_s
            for old in [key for key, entry in self._sessions.items() if now - entry.used > timeout]:
                del self._sessions[old]
            self._sessions[session_id] = _HttpSession(login)
        return session_id

    def close(self, session_id: str | None) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session_id or "", None)

    def close_all(self, login: str) -> None:
        """End all sessions of an account: its password changed, or it was disabled."""
        with self._lock:
            for session_id in [key for key, entry in self._sessions.items() if entry.login == login]:
                del self._sessions[session_id]

    def csrf(self, session_id: str) -> str:
        """Return the session's CSRF token, "" for an unknown session."""
        with self._lock:
            session = self._sessions.get(session_id)
            return session.csrf if session else ""

    def csrf_matches(self, session_id: str, token: str) -> bool:
        """Whether `token` is the session's CSRF token (letter case does not matter)."""
        expected = self.csrf(session_id)
        return bool(expected) and hmac.compare_digest(expected.lower(), token.lower())

    def stamp(self, response: Response, request: Request) -> None:
        """Put the cookies of this call on `response`."""
        fresh = getattr(request.state, "new_session", None)
        if fresh and COOKIE not in request.cookies:
            self.set_cookie(response, fresh)
        timeout_ms = int(self._hub.config.session_timeout_s * 1000)
        value = f'"{int(time.time() * 1000)},{timeout_ms}"'
        response.headers.append("set-cookie", f"SESSION_EXPIRATION_TIME={value}; Path=/")

    def set_cookie(self, response: Response, session_id: str) -> None:
        """Set the session's cookie."""
        secure = self._hub.config.site_url.startswith("https:")
        response.set_cookie(COOKIE, session_id, httponly=True, samesite="lax", secure=secure, path="/")


def _basic(header: str) -> tuple[str, str]:
    try:
        name, separator, password = base64.b64decode(header[6:].strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, password) if separator else ("", "")
