"""``/xapi/siteConfig``."""

from __future__ import annotations

import json
import platform
import time

from starlette.responses import JSONResponse, Response

from overread import __version__
from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.site import store
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call, Route

_STARTED = time.time()


def build_info(call: Call) -> Response:
    """Tell the version of XNAT that the hub answers as, and the hub's own."""
    info = {
        "version": store.XNAT_VERSION,
        "buildNumber": "0",
        "buildDate": "",
        "commit": "",
        "isDirty": "false",
        "timestamp": str(int(_STARTED * 1000)),
        "hostName": platform.node() if call.caller.is_admin else "",
        "hub": f"overread {__version__}",
    }
    name = call.params.get("name")
    if name is None:
        return JSONResponse(info)
    if name not in info:
        raise not_found(f"build property {name}")
    return JSONResponse(info[name])


def uptime(_call: Call) -> Response:
    """Tell how long the hub has been running, in words."""
    seconds = int(time.time() - _STARTED)
    return answers.text(f"{seconds // 86400} days, {seconds // 3600 % 24} hours, {seconds // 60 % 60} minutes")


def get_all(call: Call) -> Response:
    """Give the preferences that the caller may read."""
    return JSONResponse(_readable(call))


def get_some(call: Call) -> Response:
    """Give named preferences."""
    readable = _readable(call)
    return JSONResponse({name: readable[name] for name in call.params["names"].split(",") if name in readable})


def get_one(call: Call) -> Response:
    """Give the bare value of one preference."""
    name = call.params["name"]
    found = _with_url(call).get(name)
    if found is None:
        raise not_found(f"preference {name}")
    if not store.visible(call.caller, name):
        raise HubError(401 if call.caller.is_guest else 403, f"The user may not read the preference {name}.")
    if isinstance(found, str):
        return answers.text(found)
    return JSONResponse(found)


def post_all(call: Call) -> Response:
    """Change preferences, given as a JSON map."""
    store.set_preferences(call.db, call.hub, call.json_object())
    return answers.text()


def post_one(call: Call) -> Response:
    """Change one preference; the body is its value, as text or JSON."""
    text = call.text()
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, (dict, list)):
        raise bad_request("The body must be one value.")
    store.set_preferences(call.db, call.hub, {call.params["name"]: value})
    return answers.text()


def _readable(call: Call) -> dict[str, store.Preference]:
    return {name: value for name, value in _with_url(call).items() if store.visible(call.caller, name)}


def _with_url(call: Call) -> dict[str, store.Preference]:
    found = store.preferences(call.db, call.hub)
    found["siteUrl"] = found["siteUrl"] or str(call.request.base_url).rstrip("/")
    return found


ROUTES = [
    Route("GET", "/xapi/siteConfig/buildInfo", build_info, Access.PUBLIC),
    Route("GET", "/xapi/siteConfig/buildInfo/{name}", build_info, Access.PUBLIC),
    Route("GET", "/xapi/siteConfig/uptime/display", uptime),
    Route("GET", "/xapi/siteConfig", get_all),
    Route("POST", "/xapi/siteConfig", post_all, Access.ADMIN),
    Route("GET", "/xapi/siteConfig/values/{names}", get_some),
    Route("GET", "/xapi/siteConfig/{name}", get_one, Access.PUBLIC),
    Route("POST", "/xapi/siteConfig/{name}", post_one, Access.ADMIN),
]
