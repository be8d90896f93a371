"""A connection to XNAT that answers in values and in errors of ours. The HTTP is xnatpy's."""

from __future__ import annotations

import json
import logging
import netrc
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import xnat
import xnat.exceptions

from overread import __version__
from overread.errors import ArchiveError, Conflict, Denied, NotFound, OverreadError, Unavailable

_ANY_STATUS = range(100, 600)
_EXPIRED, _MOVED = 401, 301
_REFUSED, _MISSING, _CONFLICT, _BUSY = (401, 403), 404, 409, (502, 503, 504)
_PAGE = ("<!doctype html", "<html")
_MAX_SHOWN = 300


@dataclass(frozen=True)
class Answer:
    """What the server answered to one request.

    Parameters
    ----------
    status
        HTTP status.
    text
        Body.
    """

    status: int
    text: str

    def value(self) -> Any:
        """Body as JSON; its text where it is none."""
        try:
            return json.loads(self.text)
        except json.JSONDecodeError:
            return self.text


@dataclass(frozen=True)
class Request:
    """One request that changes something.

    Parameters
    ----------
    method
        ``PUT``, ``POST`` or ``DELETE``.
    path
        From the server's root, such as ``/xapi/commands``.
    query
        Query parameters.
    json
        Body as JSON; None for a request without one.
    text
        Body as plain text, instead.
    content
        Body as octets, instead.
    file
        A file whose octets are the body, instead.
    content_type
        Of `content` and `file`.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    json: Any = None
    text: str | None = None
    content: bytes | None = None
    file: Path | None = None
    content_type: str = "application/octet-stream"


class Archive(Protocol):
    """What planning and applying need of a server."""

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | None:
        """Get a path; None when there is no such thing (404, 204)."""

    def send(self, request: Request) -> Answer:
        """Send a request that changes something."""


class FileArchive(Archive, Protocol):
    """What cases need besides: files."""

    def download(self, path: str, target: Path) -> None:
        """Write a file of the server to `target`."""


class XnatArchive:
    """XNAT, or the hub, over HTTP.

    Parameters
    ----------
    session
        An open xnatpy connection.
    user
        Whose it is, for error messages.
    """

    def __init__(self, session: Any, *, user: str) -> None:
        self._session, self._user = session, user

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | None:
        """Get a path.

        Returns
        -------
        Answer or None
            None when there is no such thing, or it is hidden from the user.

        Raises
        ------
        ArchiveError
            Any other answer than success.
        """
        answer = self._ask("GET", path, query=dict(query or {}))
        if answer.status in {_MISSING, 204}:
            return None
        self._expect_success(answer, f"GET {path}")
        return answer

    def send(self, request: Request) -> Answer:
        """Send a request that changes something.

        Raises
        ------
        ArchiveError
            Any other answer than success.
        """
        body: dict[str, Any] = {"query": dict(request.query or {})}
        if request.text is not None:
            body |= {"data": request.text.encode(), "headers": {"Content-Type": "text/plain"}}
        elif request.content is not None:
            body |= {"data": request.content, "headers": {"Content-Type": request.content_type}}
        elif request.file is not None:
            body["headers"] = {"Content-Type": request.content_type}
        elif request.json is not None:
            body["json"] = request.json
        if request.file is None:
            answer = self._ask(request.method, request.path, **body)
        else:
            with request.file.open("rb") as stream:
                answer = self._ask(request.method, request.path, data=stream, **body)
        self._expect_success(answer, f"{request.method} {request.path}")
        return answer

    def page(self, path: str, query: Mapping[str, str] | None = None) -> int:
        """Get a page for people and return its status; what is on it does not matter.

        Raises
        ------
        Unavailable
            The connection broke.
        """
        try:
            return int(self._session.get(path, query=dict(query or {}), accepted_status=_ANY_STATUS).status_code)
        except (requests.RequestException, xnat.exceptions.XNATError) as error:
            raise Unavailable(f"GET {path}: the connection broke ({type(error).__name__}); try again") from None

    def download(self, path: str, target: Path) -> None:
        """Write a file of the server to `target`, piece by piece.

        Raises
        ------
        ArchiveError
            It is not there, may not be read, or did not arrive whole.
        """
        try:
            with target.open("wb") as sink:
                self._session.download_stream(path, sink)
        except (requests.RequestException, xnat.exceptions.XNATError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None) or _status_of(str(error))
            if status in {*_REFUSED, _MISSING}:
                raise NotFound(f"GET {path}: {status}; it is gone, or {self._user} may not read it") from None
            raise Unavailable(f"GET {path}: the file did not arrive ({type(error).__name__}); try again") from None

    def _ask(self, method: str, path: str, **body: Any) -> Answer:
        session = self._session
        verb = {"GET": session.get, "PUT": session.put, "POST": session.post, "DELETE": session.delete}[method]
        try:
            response = verb(path, accepted_status=_ANY_STATUS, **body)
        except (requests.RequestException, xnat.exceptions.XNATError) as error:
            raise Unavailable(f"{method} {path}: the connection broke ({type(error).__name__}); try again") from None
        if response.ok and response.text.lstrip().lower().startswith(_PAGE):
            raise ArchiveError(f"{method} {path}: a web page came back instead of data; is that the server's address?")
        return Answer(response.status_code, response.text)

    def _expect_success(self, answer: Answer, what: str) -> None:
        # XNAT answers 301 with the new place in the body when it has moved or archived what was posted.
        if answer.status in range(200, 300) or (answer.status == _MOVED and answer.text.lstrip().startswith("/")):
            return
        why = f"{what}: {answer.status}{_reason(answer.text)}"
        if answer.status == _EXPIRED:
            raise Denied(f"{why}; the login of {self._user} is not valid any more: run it again")
        if answer.status in _REFUSED:
            raise Denied(f"{why}; {self._user} may not do this, ask an administrator of the server")
        if answer.status == _MISSING:
            raise NotFound(f"{why}; does the server have the plugin that this belongs to?")
        if answer.status == _CONFLICT:
            raise Conflict(why)
        if answer.status in _BUSY:
            raise Unavailable(f"{why}; try again in a while")
        raise ArchiveError(why)


@contextmanager
def open_archive(server: str, *, user: str, password: str) -> Iterator[XnatArchive]:
    """Log in, and log out at the end.

    Parameters
    ----------
    server
        Address, such as ``https://xnat.example.org``.
    user, password
        Login.

    Raises
    ------
    Denied
        The login is refused.
    Unavailable
        Nothing answers there.
    ArchiveError
        Something answers that is no XNAT.
    """
    try:
        session = xnat.connect(
            server, user=user, password=password, no_parse_model=True, logger=_silent(), detect_redirect=True
        )
    except (xnat.exceptions.XNATLoginFailedError, xnat.exceptions.XNATExpiredCredentialsError):
        raise Denied(f"{server} refuses the login of {user}; check name and password") from None
    except (requests.ConnectionError, requests.Timeout, xnat.exceptions.XNATConnectionError):
        raise Unavailable(f"nothing answers at {server}; check the address, and that the server runs") from None
    except (requests.RequestException, xnat.exceptions.XNATError, ValueError, RuntimeError) as error:
        raise ArchiveError(
            f"{server} does not answer as XNAT does ({_shortly(str(error))}); check the address"
        ) from None
    # who asks stands in the server's log; and the tests tell our requests from others' by it
    session.interface.headers["User-Agent"] = (
        f"overread-toolkit/{__version__} {session.interface.headers['User-Agent']}"
    )
    # XNAT's errors below /data are pages of HTML, which xnatpy would refuse to hand out.
    session.skip_response_content_check = True
    with session:
        yield XnatArchive(session, user=user)


def find_password(server: str, *, user: str, environment: Mapping[str, str] = os.environ) -> str:
    """Find the password: in ``OVERREAD_PASSWORD``, else in the netrc file (``NETRC``, else ``~/.netrc``).

    Raises
    ------
    OverreadError
        It is in neither.
    """
    if environment.get("OVERREAD_PASSWORD"):
        return environment["OVERREAD_PASSWORD"]
    address = urlsplit(server)
    path = Path(environment.get("NETRC") or Path.home() / ".netrc")
    try:
        hosts = netrc.netrc(path).hosts if path.is_file() else {}
    except (netrc.NetrcParseError, OSError) as error:
        raise OverreadError(
            f"{path} can't be read: {_shortly(str(error))}; mend it, or set OVERREAD_PASSWORD"
        ) from None
    for host in (address.netloc, address.hostname or ""):
        if host in hosts and hosts[host][0] == user and hosts[host][2]:
            return hosts[host][2]
    raise OverreadError(
        f"no password for {user} at {server}; set OVERREAD_PASSWORD, or add to {path}: "
        f"machine {address.hostname} login {user} password ..."
    )


def _silent() -> logging.Logger:
    """Make a logger that says nothing: errors reach the user as ours, once."""
    logger = logging.getLogger("overread.xnat.quiet")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _status_of(text: str) -> int | None:
    found = re.search(r"status:? (\d{3})", text)
    return int(found[1]) if found else None


def _reason(body: str) -> str:
    """Find what a body says of a failure: XNAT's pages have it in a heading, its other answers are plain text."""
    heading = re.search(r"<h3>(.*?)</h3>", body, re.DOTALL)
    text = heading.group(1) if heading else "" if body.lstrip().startswith("<") else body
    return f" {_shortly(text)}" if text.strip() else ""


def _shortly(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN else line[:_MAX_SHOWN] + "..."
