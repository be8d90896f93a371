"""Who is logged in: HTTP sessions in memory.

Sessions live in memory, as Tomcat's do: after a restart users log in again. A session ends when it was not used for a
while (``sessionTimeout``) and, however busy, some time after the login (``sessionLifetime``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select
from starlette.requests import Request
from starlette.responses import Response

from overread.hub.access import GUEST, Caller
from overread.hub.audit import Entry
from overread.hub.errors import CHALLENGE, HubError
from overread.hub.models import User
from overread.hub.policy import LoginPolicy

if TYPE_CHECKING:
    from overread.hub.core import Hub

COOKIE = "JSESSIONID"
_ROLES = select(User.roles, User.enabled).where(User.login == bindparam("name"))
REFUSED = "Login attempt failed. Please try again."


@dataclass
class _HttpSession:
    login: str
    began: float
    used: float
    by_basic: bool
    csrf: str = field(default_factory=lambda: str(uuid.uuid4()))


class Sessions:
    """Knows who is logged in.

    Parameters
    ----------
    hub
        The hub.
    clock
        Seconds that only go forward.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self.clock = clock
        self._sessions: dict[str, _HttpSession] = {}
        self._of: dict[str, dict[str, None]] = {}  # the ids of each account's sessions, oldest first
        self._lock = threading.Lock()

    def identify(self, request: Request) -> tuple[Caller, str | None]:
        """Return who calls and the HTTP session's id, if the call came with one.

        Raises
        ------
        HubError
            401 for wrong Basic credentials, also on an open site.
        """
        header = request.headers.get("authorization", "")
        if header.lower().startswith("basic "):
            address = address_of(request)
            login = self._hub.logins.check(*_basic(header), address=address)
            if login is None:
                raise HubError(401, REFUSED, headers=CHALLENGE)
            request.state.new_session = self.open(login, by_basic=True)
            self._hub.audit.write_once(Entry(login, "login", address=address, detail="Basic"))
            return self.caller(login), None
        session_id = request.cookies.get(COOKIE, "")
        policy, now = self._hub.policies.now(), self.clock()
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                return GUEST, None
            if _is_over(session, policy, now):
                self._drop(session_id)
                return GUEST, None
            session.used = now
        return self.caller(session.login), session_id

    def caller(self, login: str) -> Caller:
        """Return `login` with its present roles; a disabled account is nobody."""
        with self._hub.database.read() as db:
            user = db.execute(_ROLES, {"name": login}).first()
            return Caller(login, frozenset(user.roles)) if user is not None and user.enabled else GUEST

    def log_in(self, request: Request, login: str, password: str) -> str | None:
        """Begin a session for whoever knows the password and return its id; None if it is wrong.

        Raises
        ------
        HubError
            401: the account has ``concurrentMaxSessions`` already.
        """
        address = address_of(request)
        account = self._hub.logins.check(login, password, address=address)
        if account is None:
            return None
        session_id = self.open(account)
        self._hub.audit.write(Entry(account, "login", address=address, detail="form"))
        return session_id

    def open(self, login: str, *, by_basic: bool = False) -> str:
        """Begin a session for `login` and return its id.

        Whoever has as many as one may have gets no other. Basic credentials, which scripts send with every request and
        often without a cookie, take the place of the oldest that came like that and was not used again.
        """
        session_id = secrets.token_hex(16).upper()
        policy, now = self._hub.policies.now(), self.clock()
        with self._lock:
            if len(self._of.get(login, ())) >= policy.max_sessions:
                self._make_room(login, policy, now, by_basic=by_basic)
            self._sessions[session_id] = _HttpSession(login, now, now, by_basic)
            self._of.setdefault(login, {})[session_id] = None
        return session_id

    def _make_room(self, login: str, policy: LoginPolicy, now: float, *, by_basic: bool) -> None:
        mine = [(key, self._sessions[key]) for key in self._of[login]]
        over = [key for key, session in mine if _is_over(session, policy, now)]
        if by_basic and not over:
            unused = (key for key, session in mine if session.by_basic and session.used == session.began)
            over = [key for key in (next(unused, None),) if key is not None]
        if not over:
            raise HubError(401, f"{login} has {policy.max_sessions} sessions already: log out elsewhere first.")
        for key in over:
            self._drop(key)

    def _drop(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            mine = self._of[session.login]
            del mine[session_id]
            if not mine:
                del self._of[session.login]

    def close(self, session_id: str | None) -> None:
        """End a session."""
        with self._lock:
            self._drop(session_id or "")

    def close_all(self, login: str) -> None:
        """End all sessions of an account: its password changed, or it was disabled."""
        with self._lock:
            for session_id in list(self._of.get(login, ())):
                self._drop(session_id)

    def csrf(self, session_id: str) -> str:
        """Return the session's CSRF token, "" for an unknown session."""
        with self._lock:
            session = self._sessions.get(session_id)
            return session.csrf if session else ""

    def csrf_matches(self, session_id: str, token: str) -> bool:
        """Whether `token` is the session's CSRF token (letter case does not matter)."""
        expected = self.csrf(session_id)
        return bool(expected) and hmac.compare_digest(expected.lower().encode(), token.lower().encode())

    def stamp(self, response: Response, request: Request) -> None:
        """Put the cookies of this call on `response`."""
        fresh = getattr(request.state, "new_session", None)
        if fresh and COOKIE not in request.cookies:
            self.set_cookie(response, fresh)
        timeout_ms = int(self._hub.policies.now().session_timeout_s * 1000)
        value = f'"{int(time.time() * 1000)},{timeout_ms}"'
        response.headers.append("set-cookie", f"SESSION_EXPIRATION_TIME={value}; Path=/")

    def set_cookie(self, response: Response, session_id: str) -> None:
        """Set the session's cookie."""
        secure = self._hub.config.site_url.startswith("https:")
        response.set_cookie(COOKIE, session_id, httponly=True, samesite="lax", secure=secure, path="/")


def address_of(request: Request) -> str:
    """Return whence a request comes."""
    return request.client.host if request.client is not None else ""


def _is_over(session: _HttpSession, policy: LoginPolicy, now: float) -> bool:
    return now - session.used > policy.session_timeout_s or now - session.began > policy.session_lifetime_s


def _basic(header: str) -> tuple[str, str]:
    try:
        name, separator, password = base64.b64decode(header[6:].strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, password) if separator else ("", "")
