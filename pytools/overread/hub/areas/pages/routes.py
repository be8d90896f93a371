"""``/``, ``/app/template/Login.vm``, ``/app/action/LogoutUser`` and ``/overread``."""

from __future__ import annotations

import hashlib
import html
import re
from urllib.parse import quote

from sqlalchemy import select
from starlette.responses import Response

from overread.hub import contentpolicy
from overread.hub.access import Access, readable_projects
from overread.hub.codings import codings
from overread.hub.errors import HubError, not_found
from overread.hub.http import Call, Route, redirect
from overread.hub.models import Project
from overread.hub.rest.pages import answer, link

_LOGIN = "/app/template/Login.vm"
_INTERACTIVE = re.compile("Mozilla|MSIE|AppleWebKit|Opera")
_LOCAL = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")
_HASHED = re.compile(r"overread/assets/.*[.-][A-Za-z0-9_-]{8,}\.(js|css|woff2|svg|png|wasm)")
_INDEX = "index.html"
_FORGET = {"clear-site-data": '"cache"'}
"""Images that the browser kept were for whoever was logged in."""


def home(call: Call) -> Response:
    """Show what the caller may see; a browser that has not logged in is asked to."""
    if call.caller.is_guest and _INTERACTIVE.search(call.request.headers.get("user-agent", "")):
        return redirect(f"{_LOGIN}?next=%2F")
    projects = call.db.scalars(
        select(Project).where(Project.id.in_(readable_projects(call.db, call.caller))).order_by(Project.id)
    ).all()
    items = "".join(
        f"<li>{link(project.name or project.id, f'/data/projects/{quote(project.id)}?format=html')}</li>"
        for project in projects
    )
    body = f"<h2>Projects</h2><ul>{items}</ul>" if items else "<p>There is no project that you may see yet.</p>"
    if call.hub.schemas.static(f"overread/{_INDEX}") is not None:
        body = f"<p>{link('Review room', '/overread/')}</p>{body}"
    ending = link("Log in", _LOGIN) if call.caller.is_guest else _logout_form(call)
    return answer(call, "Overread hub", body + ending)


def _logout_form(call: Call) -> str:
    token = html.escape(call.hub.sessions.csrf(call.session_id or ""))
    return (
        f'<form method="post" action="/app/action/LogoutUser?XNAT_CSRF={token}" style="max-width:12rem">'
        '<button type="submit">Log out</button></form>'
    )


def login_page(call: Call) -> Response:
    """Show the form; who is logged in already goes on at once."""
    target = local_target(call.query.get("next", ""))
    if not call.caller.is_guest:
        return redirect(target)
    return _form(call, target)


def log_in(call: Call) -> Response:
    """Check name and password; go on to where the caller wanted to, or show the form again."""
    target = local_target(call.form.get("next", call.query.get("next", "")))
    name = call.form.get("username", "")
    try:
        session_id = call.hub.sessions.log_in(call.request, name, call.form.get("password", ""))
    except HubError as problem:
        return _form(call, target, name=name, problem=problem.reason, status=problem.status)
    if session_id is None:
        return _form(call, target, name=name, problem="User name or password is wrong. Please try again.", status=401)
    call.hub.sessions.close(call.session_id)
    response = redirect(target)
    call.hub.sessions.set_cookie(response, session_id)
    response.headers.update(_FORGET)
    return response


def log_out(call: Call) -> Response:
    """End the session and show the form."""
    call.hub.sessions.close(call.session_id)
    response = redirect(_LOGIN)
    response.delete_cookie("JSESSIONID", path="/")
    response.headers.update(_FORGET)
    return response


def local_target(target: str) -> str:
    """Return `target` if it is a path on this site, else the first page: no one is sent elsewhere by a link to us."""
    return target if _LOCAL.fullmatch(target) else "/"


def _form(call: Call, target: str, *, name: str = "", problem: str = "", status: int = 200) -> Response:
    notice = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    body = (
        f'<form class="login" method="post" action="{_LOGIN}">'
        f'<input type="hidden" name="next" value="{html.escape(target)}">{notice}'
        f'<label for="username">User name</label><input id="username" name="username" autocomplete="username" '
        f'required value="{html.escape(name)}"{"" if name else " autofocus"}>'
        '<label for="password">Password</label><input id="password" name="password" type="password" '
        f'autocomplete="current-password" required{" autofocus" if name else ""}>'
        '<button type="submit">Log in</button></form>'
    )
    return answer(call, "Log in", body, status=status)


def plugin_page(call: Call) -> Response:
    """Give a page of the review app, or a file it uses, from a plugin's jar."""
    path = "/".join(("overread", *(part for part in call.params.get("path", "").split("/") if part)))
    schemas = call.hub.schemas
    found = schemas.static(path)
    if found is None:
        path = f"{path}/{_INDEX}"
        found = schemas.static(path)
    if found is None:
        raise not_found(f"page /{path.removesuffix(f'/{_INDEX}')}")
    content, media_type = found
    coding = ""
    for accepted, suffix in codings(call.request.headers.get("accept-encoding", "")):
        if packed := schemas.static(path + suffix):
            content, coding = packed[0], accepted
            break
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Files whose name tells their content may be kept for good, pages must be asked for again.
    fresh = "private, max-age=31536000, immutable" if _HASHED.fullmatch(path) else "no-cache"
    headers = {"etag": etag, "cache-control": fresh, "vary": "Accept-Encoding", "x-content-type-options": "nosniff"}
    headers[contentpolicy.HEADER] = contentpolicy.OWN_SCRIPTS
    if coding:
        headers["content-encoding"] = coding
    if call.request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if media_type.startswith(("text/", "application/javascript")):
        media_type += "; charset=utf-8"
    return Response(content, media_type=media_type, headers=headers)


ROUTES = [
    Route("GET", "/", home, Access.PUBLIC),
    Route("GET", _LOGIN, login_page, Access.PUBLIC),
    Route("POST", _LOGIN, log_in, Access.PUBLIC, writes=False),
    Route("GET", "/app/action/LogoutUser", log_out, Access.PUBLIC),
    Route("POST", "/app/action/LogoutUser", log_out, Access.USER, writes=False),
    # Public, as all code of the app is: its pages ask for the login themselves, without the accession number that
    # the button's URL may carry.
    Route("GET", "/overread", plugin_page, Access.PUBLIC),
    Route("GET", "/overread/{path:path}", plugin_page, Access.PUBLIC),
]
