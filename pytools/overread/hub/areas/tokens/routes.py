"""``/data/services/tokens``. As in XNAT all are GETs, also those that change something."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub.areas.tokens import store
from overread.hub.areas.users.store import find_user
from overread.hub.errors import bad_request, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.models import AliasToken


def issue(call: Call) -> Response:
    """Issue a token to the caller, or as administrator to another."""
    login = call.params.get("login", call.caller.login)
    if call.caller.is_guest:
        raise forbidden("A guest gets no token.")
    if login != call.caller.login:
        call.require_admin()
        find_user(call.db, login)
    token, secret = store.issue_token(call.db, call.hub, login)
    return JSONResponse(_bean(token) | {"secret": secret})


def show(call: Call) -> Response:
    """List the caller's own tokens, without their secrets."""
    found = call.db.scalars(select(AliasToken).where(AliasToken.login == call.caller.login))
    return JSONResponse([_bean(token) for token in found])


def validate(call: Call) -> Response:
    """Tell whose token it is, if it is a valid one."""
    login = store.valid_login(call.db, call.params["alias"], call.params["secret"])
    return JSONResponse({"valid": login} if login is not None else {})


def invalidate(call: Call) -> Response:
    """End a token of one's own, or as administrator any."""
    token = call.db.get(AliasToken, call.params["alias"])
    if token is None or (token.login != call.caller.login and not call.caller.is_admin):
        raise not_found(f"token {call.params['alias']}")
    store.invalidate_token(call.db, token.alias)
    return JSONResponse({"result": "OK"})


def unknown(call: Call) -> Response:
    """Refuse an operation that does not exist."""
    raise bad_request(f"Unknown operation {call.params['operation']!r}: use issue, show, validate or invalidate.")


def _bean(token: AliasToken) -> dict[str, Any]:
    created = int(token.created.timestamp() * 1000)
    return {
        "created": created,
        "timestamp": created,
        "disabled": 0,
        "enabled": True,
        "alias": token.alias,
        "estimatedExpirationTime": int(token.expires.timestamp() * 1000),
        "singleUse": False,
        "validIPAddresses": [],
        "xdatUserId": token.login,
    }


_TOKENS = "/data/services/tokens"

ROUTES = [
    Route("GET", f"{_TOKENS}/issue", issue, writes=True),
    Route("GET", f"{_TOKENS}/issue/user/{{login}}", issue, writes=True),
    Route("GET", f"{_TOKENS}/show", show),
    Route("GET", f"{_TOKENS}/validate/{{alias}}/{{secret}}", validate),
    Route("GET", f"{_TOKENS}/invalidate/{{alias}}", invalidate, writes=True),
    Route("GET", f"{_TOKENS}/invalidate/{{alias}}/{{secret}}", invalidate, writes=True),
    Route("GET", f"{_TOKENS}/{{operation:path}}", unknown),
]
