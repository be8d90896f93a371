"""``/xapi/overread/projects/P/button``: as in ``xnat-plugins/core/java``, with the same answers."""

from __future__ import annotations

import time
from typing import Final, cast

from starlette.responses import JSONResponse, Response

from overread.errors import SpecError
from overread.hub.access import Access
from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import ButtonSecret, Project
from overread.study.button import Address, Key, check_secret, fingerprint, refusal

_PATH: Final = "/xapi/overread/projects/{project}/button"


def show(call: Call) -> Response:
    """Say whether the project's button must be signed; never the secret."""
    kept = _kept(call)
    if kept is None:
        return JSONResponse({"signed": False})
    return JSONResponse({"signed": True, "fingerprint": fingerprint(kept.secret)})


def put(call: Call) -> Response:
    """Keep a secret: from now on only addresses signed with it are opened."""
    if call.db.get(Project, call.params["project"]) is None:
        raise not_found(f"project {call.params['project']}")
    secret = call.json_object().get("secret")
    try:
        secret = check_secret(secret if isinstance(secret, str) else "")
    except SpecError as problem:
        raise bad_request(str(problem)) from problem
    kept = _kept(call)
    if kept is None:
        call.db.add(ButtonSecret(project=call.params["project"], secret=secret))
    else:
        kept.secret = secret
    return JSONResponse({"signed": True, "fingerprint": fingerprint(secret)})


def remove(call: Call) -> Response:
    """Forget the secret: unsigned addresses are opened again."""
    kept = _kept(call)
    if kept is not None:
        call.db.delete(kept)
    return JSONResponse({"signed": False})


def check(call: Call) -> Response:
    """Say whether an address may be opened: ``{"accepted": ..., "why": "" | "unsigned" | "wrong" | "expired"}``."""
    kept = _kept(call)
    asked = {name: value for name, value in call.json_object().items() if isinstance(value, str)}
    key: Key = "uid" if asked.get("uid") else "accession"
    address = Address(
        asked.get("study", ""), key, asked.get(key, ""), asked.get("expires", ""), asked.get("signature", "")
    )
    why = refusal(address, kept.secret, time.time()) if kept is not None else ""
    return JSONResponse({"accepted": not why, "why": why})


def _kept(call: Call) -> ButtonSecret | None:
    return cast("ButtonSecret | None", call.db.get(ButtonSecret, call.params["project"]))


ROUTES = [
    Route("GET", _PATH, show, Access.ADMIN),
    Route("PUT", _PATH, put, Access.ADMIN),
    Route("DELETE", _PATH, remove, Access.ADMIN),
    Route("POST", f"{_PATH}/check", check, Access.READ, writes=False),
]
