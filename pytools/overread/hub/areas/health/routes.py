"""``/healthz``, ``/readyz`` and ``/metrics``: what watches over the hub asks here."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.health.checks import checks
from overread.hub.errors import CHALLENGE, HubError
from overread.hub.http import Call, Route

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def alive(_call: Call) -> Response:
    """Say that the hub answers."""
    return answers.text("ok\n", headers={"cache-control": "no-store"})


def ready(call: Call) -> Response:
    """Say whether the hub can do its work: a line for each part, 503 if one can't."""
    found = checks(call.hub, call.db)
    lines = "".join(f"{check.name}: {'ok' if check.ok else 'failing'}\n" for check in found)
    status = 200 if all(check.ok for check in found) else 503
    return answers.text(lines, status=status, headers={"cache-control": "no-store"})


def metrics(call: Call) -> Response:
    """Give the measurements to administrators, to who has the token, or without one to this machine alone."""
    _check_reader(call)
    return Response(call.hub.metrics.text(), media_type=_TEXT, headers={"cache-control": "no-store"})


def _check_reader(call: Call) -> None:
    if call.caller.is_admin:
        return
    token = call.hub.config.metrics_token
    scheme, _, given = call.request.headers.get("authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return
    if not token and _is_local(call):
        return
    if call.caller.is_guest:
        raise HubError(401, "Metrics are for administrators and who has the token.", headers=CHALLENGE)
    raise HubError(403, "Metrics are for administrators and who has the token.")


def _is_local(call: Call) -> bool:
    """Whether a call comes from this machine and through no proxy."""
    if any(name in call.request.headers for name in _FORWARDED):
        return False
    return _is_loopback(call.request.client.host if call.request.client else "") and (
        _is_loopback(call.request.url.hostname or "")
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


ROUTES = [
    Route("GET", "/healthz", alive, Access.PUBLIC),
    Route("GET", "/readyz", ready, Access.PUBLIC),
    Route("GET", "/metrics", metrics, Access.PUBLIC),
]
