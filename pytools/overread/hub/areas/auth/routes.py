"""Logging in and out."""

from __future__ import annotations

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.errors import HubError
from overread.hub.http import Call, Route
from overread.hub.sessions import REFUSED


def log_in(call: Call) -> Response:
    """Check name and password of a form and begin a session; the answer is its id."""
    name, password = call.form.get("username", ""), call.form.get("password", "")
    session_id = call.hub.sessions.log_in(call.request, name, password)
    if session_id is None:
        raise HubError(401, REFUSED)
    response = answers.text(session_id)
    call.hub.sessions.set_cookie(response, session_id)
    return response


def session(call: Call) -> Response:
    """Tell the session's id, and with ``CSRF=true`` its token."""
    session_id: str = call.session_id or getattr(call.request.state, "new_session", None) or ""
    body = session_id
    if call.flag("CSRF"):
        body += f"; XNAT_CSRF={call.hub.sessions.csrf(session_id)}"
    return answers.text(body)


def log_out(call: Call) -> Response:
    """End the session."""
    call.hub.sessions.close(call.session_id)
    response = answers.text("")
    response.delete_cookie("JSESSIONID", path="/")
    return response


def who(call: Call) -> Response:
    """Tell who is logged in, in the sentence that clients look for."""
    body = f"User '{call.caller.login}' is logged in"
    if call.flag("CSRF") and call.session_id:
        body += f"; XNAT_CSRF={call.hub.sessions.csrf(call.session_id)}"
    return answers.text(body)


ROUTES = [
    Route("PUT POST", "/data/services/auth", log_in, Access.PUBLIC, writes=False),
    Route("GET POST", "/data/JSESSION", session, Access.USER, writes=False),
    Route("DELETE", "/data/JSESSION", log_out, Access.USER, writes=False),
    Route("GET", "/data/auth", who, Access.USER),
]
