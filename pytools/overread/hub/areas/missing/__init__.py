"""Routes that XNAT has and the hub lacks: they answer 501 with their name, so that nobody takes them for a wrong URL.

A route that is implemented is taken off this list; it comes last in ``app.AREAS``, so that it hides nothing.
"""

from __future__ import annotations

from starlette.responses import Response

from overread.hub.errors import HubError
from overread.hub.http import Call, Route

_ANY = "GET PUT POST DELETE"
_LACKING = (
    "/data/experiments/{experiment}/history",
    "/data/projects/{project}/history",
    "/data/projects/{project}/subjects/{subject}/history",
    "/data/experiments/{experiment}/DIR",
    "/data/experiments/{experiment}/XAR",
    "/data/experiments/{experiment}/reconstructions",
    "/data/experiments/{experiment}/reconstructions/{rest:path}",
    "/data/experiments/{experiment}/scans/{scan}/DICOMDIR",
    "/data/projects/{project}/groups/{group}",
    "/data/projects/{project}/scan_type_mapping/{value}",
    "/data/projects/{project}/searches/{search}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/reconstructions",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/reconstructions/{rest:path}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/scans/{scan}/DICOMDIR",
    "/data/search/saved",
    "/data/search/{search}",
    "/data/search/saved/{search}",
    "/data/scanners",
    "/data/investigators",
    "/data/routing",
    "/data/routing/{study}",
    "/data/user/cache/resources/{rest:path}",
    "/data/automation/{rest:path}",
    "/data/services/audit",
    "/data/services/dicomdump",
    "/data/services/refresh/catalog",
    "/data/services/scan-quality-labels",
    "/data/services/scan-quality-labels/{project}",
    "/data/services/sessions",
    "/xapi/archive/catalogs/refresh",
    "/xapi/archive/catalogs/refresh/{operations}",
    "/xapi/archive/download",
    "/xapi/archive/download/{rest:path}",
    "/xapi/archive/upload/xml",
    "/xapi/anonymize/{rest:path}",
    "/xapi/eventHandlers/{rest:path}",
    "/xapi/notifications/{rest:path}",
    "/xapi/v2/api-docs",
    "/app/action/DisplayItemAction/{rest:path}",
)


def _refuse(path: str) -> Route:
    def answer(_call: Call) -> Response:
        raise HubError(501, f"XNAT has {path}, the hub does not.")

    return Route(_ANY, path, answer, writes=False)


ROUTES = [_refuse(path) for path in _LACKING]
