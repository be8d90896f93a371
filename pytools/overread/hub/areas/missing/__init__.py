"""Calls that no other area answers: 501 with its name for a route of XNAT's, so that nobody takes it for a wrong URL.

What XNAT has stands in a table (``table``); what the hub has, in ``app.AREAS``, of which this area is the last. So a
route that comes to be implemented needs no change here.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from overread.hub.areas.missing import table
from overread.hub.errors import HubError
from overread.hub.http import Call, Route


def refuse(call: Call) -> Response:
    """Say which it is: a route that only XNAT has, a verb that the path hasn't, or a path that nobody has."""
    path = str(call.request.scope["path"])
    known = table.find("GET" if call.method == "HEAD" else call.method, path)
    if known is not None:
        raise HubError(501, f"XNAT has {known.verb} {known.path}, the hub does not.")
    verbs = _verbs_of(call)
    if verbs:
        raise HubError(405, f"{call.method} is not for this path.", headers={"allow": ", ".join(verbs)})
    raise HubError(404, f"Neither XNAT nor the hub has {call.method} for a path like this one.")


def _verbs_of(call: Call) -> list[str]:
    verbs: set[str] = set()
    for route in call.request.app.routes:
        if isinstance(route, StarletteRoute) and route.matches(call.request.scope)[0] is Match.PARTIAL:
            verbs |= route.methods or set()
    return sorted(verbs)


ROUTES = [
    Route("GET PUT POST DELETE", f"/{stack}/{{path:path}}", refuse, writes=False) for stack in ("data", "xapi", "app")
]
