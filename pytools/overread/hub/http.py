"""One call of the hub's HTTP interface: the route table's row, the call a handler sees, and what stands around it.

A handler is a plain function ``handler(call) -> Response``. It runs in a worker thread inside one transaction, a
reading one for GET and HEAD, else a writing one that is kept when the handler returns and forgotten when it raises.
Bodies are spooled to disk before the transaction begins.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive

from overread.hub import access, answers, contentpolicy
from overread.hub.access import Access, Caller, Right
from overread.hub.audited import About, Audited
from overread.hub.errors import CHALLENGE, HubError, bad_request, forbidden, not_found
from overread.hub.faults import is_full
from overread.hub.items.history import Cause, set_cause
from overread.hub.models import Experiment, Project

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_READING = {"GET", "HEAD", "OPTIONS"}
_IN_MEMORY = 1 << 20
_FORM = "application/x-www-form-urlencoded"
_LARGEST_FORM = 4 << 20
_LARGEST_DOCUMENT = 64 << 20  # JSON, XML, text: read as a whole
_LARGEST_OF_ANYBODY = 64 << 10  # where nobody has to be logged in
# As XNAT has it: the hub's pages and the viewer can't be put into a frame of another site. And besides: no type is
# guessed, no address with UIDs is told to other sites, nothing but our own is embedded, and no script is run (pages say
# what they need, see `overread.hub.contentpolicy`).
_HEADERS = {
    "x-frame-options": "SAMEORIGIN",
    contentpolicy.HEADER: contentpolicy.NO_SCRIPT,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
_UNSTORABLE = (OverflowError, UnicodeEncodeError, DataError)
_CANT_BE_KEPT = "A number is too large, or a text holds half a character: no database can keep it."
_NO_ROOM = "The hub's disk is full: nothing was stored. Free space on it, then do the same again."
Handler = Callable[["Call"], Response]


@dataclass(frozen=True)
class Route:
    """One row of the route table.

    Parameters
    ----------
    methods
        HTTP methods, separated by spaces.
    path
        Path template. A path below ``/data`` is served below ``/data/archive`` and ``/REST`` as well (see ``app``).
    handler
        The function that answers.
    access
        What is demanded first. READ, EDIT and OWN look at the path's ``{project}``.
    writes
        Whether the transaction writes; None goes by the method. (XNAT issues alias tokens by GET.)
    files_first
        Whether what lies in the receiver's spool is filed before the transaction begins, so that the handler misses
        no object whose sender has its answer.
    """

    methods: str
    path: str
    handler: Handler
    access: Access = Access.USER
    writes: bool | None = None
    files_first: bool = False


@dataclass
class Upload:
    """One file of a request's body, spooled to `path`; `name` is the sender's file name or ""."""

    name: str
    content_type: str
    path: Path
    size: int

    def read(self) -> bytes:
        """Return the whole content: only for what is small by nature."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class Arrived:
    """A request whose sender is known and whose body is on disk."""

    request: Request
    caller: Caller
    session_id: str | None
    query: Mapping[str, str]
    about: About = field(default_factory=About)
    uploads: list[Upload] = field(default_factory=list)
    form: dict[str, str] = field(default_factory=dict)


class Call:
    """What a handler sees of a request.

    ``uploads`` are the body, or each file of a form; ``form`` the other fields of a form; ``session_id`` the HTTP
    session the call came with; ``about`` what the audit trail says it was about.
    """

    def __init__(self, hub: Hub, db: Session, arrived: Arrived) -> None:
        self.hub, self.db = hub, db
        self.request, self.caller, self.session_id = arrived.request, arrived.caller, arrived.session_id
        self.query, self.uploads, self.form = arrived.query, arrived.uploads, arrived.form
        self.about = arrived.about

    @property
    def params(self) -> dict[str, Any]:
        """Values of the path's parameters."""
        return self.request.path_params

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.request.method

    @property
    def path(self) -> str:
        """Path of the URL."""
        return self.request.url.path

    @property
    def format(self) -> str:
        """The answer's format asked for: the query's ``format``, else by ``Accept``, else ""."""
        wanted = self.query.get("format", "").lower()
        if wanted:
            return {"application/json": "json", "text/csv": "csv", "text/xml": "xml", "application/xml": "xml"}.get(
                wanted, wanted
            )
        accept = self.request.headers.get("accept", "")
        return "json" if "application/json" in accept else "xml" if accept in {"text/xml", "application/xml"} else ""

    def flag(self, name: str) -> bool:
        """Whether query parameter `name` is true as XNAT reads it: there, and neither ``false`` nor ``0``."""
        value = self.query.get(name, self.form.get(name))
        return value is not None and value.lower() not in {"false", "0"}

    def body(self) -> bytes:
        """Return the raw body: only for what is small by nature (JSON, XML, text)."""
        if self.uploads and self.uploads[0].size > _LARGEST_DOCUMENT:
            raise _too_large(_LARGEST_DOCUMENT)
        return self.uploads[0].read() if self.uploads else b""

    def text(self) -> str:
        """Return the body as text."""
        try:
            return self.body().decode("utf-8")
        except UnicodeDecodeError as problem:
            raise bad_request("The body is not UTF-8 text.") from problem

    def json(self) -> Any:
        """Return the body as JSON."""
        try:
            return json.loads(self.text() or "null")
        except (ValueError, RecursionError) as problem:
            raise bad_request(f"The body is not JSON: {problem}") from problem

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise bad_request("The body must be a JSON object.")
        return value

    def require(self, project: str, right: Right) -> None:
        """Refuse the call unless the caller has `right` in `project`. Hides projects that may not be seen."""
        if self.db.get(Project, project) is not None:
            self.about.project = project
            if access.may(self.db, self.caller, project, right):
                return
        visible = access.may(self.db, self.caller, project, Right.READ)
        self.about.hidden = not visible
        if right is Right.READ and self.path.startswith(("/data", "/REST")):
            raise not_found(f"project {project}")
        if visible or right is not Right.READ:
            raise forbidden(f"The user may not do this in project {project}.")
        raise forbidden(f"No access to project {project}.")

    def require_experiment(self, experiment: Experiment, right: Right) -> None:
        """Refuse the call unless the caller has `right` on `experiment`. Hides what may not be seen."""
        self.about.item, self.about.project = experiment.id, self.about.project or experiment.project
        if access.may_on_experiment(self.db, self.caller, experiment, right):
            return
        if access.may_on_experiment(self.db, self.caller, experiment, Right.READ):
            raise forbidden(f"The user may not change {experiment.id}.")
        self.about.hidden = True
        raise not_found(f"experiment {experiment.id}")

    def require_admin(self) -> None:
        """Refuse the call unless the caller is a site administrator."""
        if not self.caller.is_admin:
            raise forbidden("Only a site administrator may do this.")


def endpoint(hub: Hub, route: Route) -> Callable[[Request], Any]:
    """Return the ASGI endpoint of `route`: who calls, may they, body, transaction, handler, errors."""

    async def answer(request: Request) -> Response:
        folder = None
        audited = Audited(hub, route, request)
        try:
            if request.method not in _READING:
                folder = Path(tempfile.mkdtemp(dir=hub.layout.tmp))
            response = await _serve(hub, route, request, folder, audited)
        except HubError as problem:
            audited.refused(problem.status)
            response = answers.error(request.url.path, problem)
        except ClientDisconnect:
            return Response(status_code=400)
        except _UNSTORABLE as problem:  # what no check of a handler's has to think of
            log.info("%s %s: %s", request.method, route.path, type(problem).__name__)
            audited.refused(400)
            response = answers.error(request.url.path, bad_request(_CANT_BE_KEPT))
        except Exception as problem:  # the outermost loop: whatever happened, the caller gets an answer
            if is_full(problem):
                log.error("%s %s: the disk is full", request.method, route.path)  # noqa: TRY400 - said in full
                response = answers.error(request.url.path, HubError(507, _NO_ROOM))
            else:
                log.exception("%s %s failed", request.method, route.path)
                audited.refused(500)
                response = answers.error(request.url.path, HubError(500, "The hub failed; its log says why."))
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        hub.sessions.stamp(response, request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return answer


async def _serve(hub: Hub, route: Route, request: Request, folder: Path | None, audited: Audited) -> Response:
    caller, session_id = await run_in_threadpool(hub.sessions.identify, request)
    audited.about.user = caller.login
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    arrived = Arrived(request, caller, session_id, query, audited.about)
    if route.access is not Access.PUBLIC:
        _check_login(hub, arrived)
    if folder is not None:
        uploads, form = await _spool(hub, route, request, folder)
        arrived = replace(arrived, uploads=uploads, form=form)
    return await run_in_threadpool(_handle, hub, route, arrived, audited)


def _handle(hub: Hub, route: Route, arrived: Arrived, audited: Audited) -> Response:
    writes = route.writes if route.writes is not None else arrived.request.method not in _READING
    transaction = hub.database.write if writes else hub.database.read
    if route.files_first:  # not within the transaction: filing is one of its own
        hub.intake.file_all()
    with transaction() as db:
        call = Call(hub, db, arrived)
        if writes:
            set_cause(db, _cause(call))
        if route.access is Access.ADMIN:
            call.require_admin()
        elif route.access in (Access.READ, Access.EDIT, Access.OWN):
            call.require(call.params["project"], Right[route.access.name])
        response = route.handler(call)
        if writes:
            audited.done(db, response.status_code, response.headers)
    if not writes:
        audited.done(None, response.status_code, response.headers)
    return response


def _cause(call: Call) -> Cause:
    said = [call.query.get(f"event_{name}", "") for name in ("action", "reason", "comment")]
    return Cause(call.caller.login, "WEB_SERVICE", *said)


def _check_login(hub: Hub, arrived: Arrived) -> None:
    request = arrived.request
    agent = request.headers.get("user-agent", "")
    interactive = any(mark in agent for mark in ("Mozilla", "MSIE", "AppleWebKit", "Opera"))
    reads = request.method in _READING
    if arrived.caller.is_guest:
        if interactive and reads and not request.headers.get("x-requested-with"):
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            location = f"/app/template/Login.vm?next={quote(target, safe='')}"
            raise HubError(302, "Log in first.", headers={"location": location})
        raise HubError(401, "Log in first.", headers=CHALLENGE)
    # A browser that was once asked for name and password sends them along with forms of other sites, cookie or not.
    if not reads and request.headers.get("sec-fetch-site") == "cross-site":
        raise forbidden("A page of another site may not change anything here.")
    # XNAT looks for the token on /data alone; the hub wants it on every route a browser changes something by.
    if (
        interactive
        and arrived.session_id
        and not reads
        and not hub.sessions.csrf_matches(arrived.session_id, arrived.query.get("XNAT_CSRF", ""))
    ):
        raise forbidden("INVALID CSRF: add the query parameter XNAT_CSRF (GET /data/JSESSION?CSRF=true tells it).")


async def _spool(hub: Hub, route: Route, request: Request, folder: Path) -> tuple[list[Upload], dict[str, str]]:
    """Write the request's body, or each file of a form, below `folder`."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    limit = _LARGEST_OF_ANYBODY if route.access is Access.PUBLIC else hub.config.max_upload_bytes
    if kind == _FORM:  # it is parsed in memory
        limit = min(limit, _LARGEST_FORM)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    request = Request(request.scope, _limited(request.receive, limit))
    if kind in {"multipart/form-data", _FORM}:
        return await _spool_form(request, folder)
    target, size = folder / "body", 0
    with target.open("wb") as sink:
        async for chunk in request.stream():
            size += len(chunk)
            sink.write(chunk)
    return ([Upload("", kind, target, size)] if size else []), {}


def _limited(receive: Receive, limit: int) -> Receive:
    """Return `receive`, which refuses a body that is larger than `limit` bytes, whatever it said of its length."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> HubError:
    return HubError(413, f"The body is larger than {limit} bytes.")


async def _spool_form(request: Request, folder: Path) -> tuple[list[Upload], dict[str, str]]:
    uploads: list[Upload] = []
    fields: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        try:
            form = await stack.enter_async_context(request.form(max_files=1000, max_fields=1000))
        except (HTTPException, ValueError, LookupError) as problem:
            raise bad_request(
                "The form can't be read: it is not as its content type says, or has too many parts."
            ) from problem
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                target = folder / f"part{len(uploads)}"
                with target.open("wb") as sink:
                    while chunk := await value.read(_IN_MEMORY):
                        sink.write(chunk)
                uploads.append(Upload(value.filename or name, value.content_type or "", target, target.stat().st_size))
            else:
                fields[name] = value
    return uploads, fields


def redirect(url: str) -> Response:
    """Send a browser elsewhere on this site."""
    return RedirectResponse(url, status_code=302)
