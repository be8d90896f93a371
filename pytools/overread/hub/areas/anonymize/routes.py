"""``/xapi/anonymize``: scripts of the site and of projects. What can't be run is refused when it is stored."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.config.store import current_config, put_config
from overread.hub.areas.site.store import preference, set_preferences
from overread.hub.arrival.anonymising import PATH, SITE_ENABLED, SITE_SCRIPT, TOOL, check_script
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import ConfigEntry

DEFAULT_SCRIPT: Final = """\
version "6.1"
project != "Unassigned" ? (0008,1030) := project
(0010,0010) := subject
(0010,0020) := session
"""
"""XNAT's own default: study description, patient name and patient ID say what the archive calls them."""


def get_default(_call: Call) -> Response:
    """Give the script that XNAT begins with."""
    return answers.text(DEFAULT_SCRIPT)


def get_site(call: Call) -> Response:
    """Give the site's script."""
    return answers.text(str(preference(call.db, call.hub, SITE_SCRIPT) or ""))


def put_site(call: Call) -> Response:
    """Store the site's script."""
    set_preferences(call.db, call.hub, {SITE_SCRIPT: call.text()})
    return answers.text()


def is_site_enabled(call: Call) -> Response:
    """Say whether the site's script is run."""
    return JSONResponse(bool(preference(call.db, call.hub, SITE_ENABLED)))


def enable_site(call: Call) -> Response:
    """Switch the site's script on or off."""
    set_preferences(call.db, call.hub, {SITE_ENABLED: _enable(call)})
    return answers.text()


def get_project(call: Call) -> Response:
    """Give a project's script; 204 if there is none, or none that is run."""
    entry = _entry(call)
    if entry is None or entry.status != "enabled" or not entry.contents.strip():
        return Response(status_code=204)
    return answers.text(entry.contents)


def put_project(call: Call) -> Response:
    """Store a project's script, and switch it on."""
    text = call.text()
    check_script(text)
    _put(call, contents=text, status="enabled")
    return answers.text()


def is_project_enabled(call: Call) -> Response:
    """Say whether a project's script is run."""
    entry = _entry(call)
    return JSONResponse(entry is not None and entry.status == "enabled")


def enable_project(call: Call) -> Response:
    """Switch a project's script on or off."""
    entry = _entry(call)
    if entry is None:
        raise not_found(f"an anonymisation script of project {call.params['project']}: store one first")
    enable = _enable(call)
    if enable:
        check_script(entry.contents)
    _put(call, contents=None, status="enabled" if enable else "disabled")
    return answers.text()


def _entry(call: Call) -> ConfigEntry | None:
    return current_config(call.db, project=call.params["project"], tool=TOOL, path=PATH)


def _put(call: Call, *, contents: str | None, status: str) -> None:
    place = {"project": call.params["project"], "tool": TOOL, "path": PATH}
    put_config(call.db, **place, contents=contents, user=call.caller.login, status=status)


def _enable(call: Call) -> bool:
    """Read what is wanted: the query's ``enable``, which alone XNAT looks at, else the body's true or false."""
    wanted = call.query["enable"] if "enable" in call.query else call.text().strip()
    if wanted.lower() not in {"true", "false", "null", ""}:
        raise bad_request(f"enable={wanted[:20]}: write true or false.")
    return wanted.lower() != "false"


_SITE: Final = "/xapi/anonymize/site"
_PROJECT: Final = "/xapi/anonymize/projects/{project}"

ROUTES = [
    Route("GET", "/xapi/anonymize/default", get_default),
    Route("GET", _SITE, get_site),
    Route("PUT", _SITE, put_site, Access.ADMIN),
    Route("GET", f"{_SITE}/enabled", is_site_enabled),
    Route("PUT", f"{_SITE}/enabled", enable_site, Access.ADMIN),
    Route("GET", _PROJECT, get_project, Access.READ),
    Route("PUT", _PROJECT, put_project, Access.OWN),
    Route("GET", f"{_PROJECT}/enabled", is_project_enabled, Access.READ),
    Route("PUT", f"{_PROJECT}/enabled", enable_project, Access.OWN),
]
