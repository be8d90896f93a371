"""``/viewer/`` and ``/xapi/viewer``."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import select
from starlette.responses import FileResponse, JSONResponse, Response

from overread.hub import answers, contentpolicy
from overread.hub.access import Access
from overread.hub.areas.viewer.standalone import describe
from overread.hub.codings import codings
from overread.hub.errors import HubError, not_found
from overread.hub.http import Call, Route, redirect
from overread.hub.items.experiments import find_experiment
from overread.hub.layout import safe_path
from overread.hub.models import Experiment, Instance

_CONFIG: Final = "app-config.js"
_CONFIG_IN_PLUGIN: Final = "overread/viewer/app-config.js"
_PAGE: Final = "index.html"
_HASHED: Final = re.compile(r"(?:^|.*[./-])[0-9a-f]{16,}\.[A-Za-z0-9.]+")
"""Names that tell the content: such a file may be kept for good."""
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonc": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}


def bare(_call: Call) -> Response:
    """Lead to the folder."""
    return redirect("/viewer/")


def file(call: Call) -> Response:
    """Send a file of the viewer; every other path below is a page of its single-page application."""
    path = call.params.get("path", "")
    if path == _CONFIG:
        return _config(call)
    folder = call.hub.config.ohif
    if folder is None or not (folder / _PAGE).is_file():
        raise HubError(
            404,
            "The viewer is not installed: prepare it (python -m overread.hub.viewer prepare), then start with --ohif.",
        )
    found = _find(folder, path)
    if found is None:
        if Path(path).suffix:
            raise not_found(f"/viewer/{path}")
        found = folder / _PAGE
        if call.caller.is_guest:
            raise HubError(302, "Log in first.", headers={"location": _login(call)})
    return _send(call, found)


def _login(call: Call) -> str:
    url = call.request.url
    target = f"{url.path}?{url.query}" if url.query else url.path
    return f"/app/template/Login.vm?next={quote(target, safe='')}"


def _find(folder: Path, path: str) -> Path | None:
    if not path:
        return None
    found = folder / safe_path(path)
    return found if found.is_file() else None


def _send(call: Call, path: Path) -> Response:
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    fresh = "public, max-age=31536000, immutable" if _HASHED.fullmatch(path.name) else "no-cache"
    headers = {
        "cache-control": fresh,
        "content-type": media_type,
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
        contentpolicy.HEADER: _policy(path),
    }
    accepted = call.request.headers.get("accept-encoding", "")
    for coding, suffix in codings(accepted):
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            path = packed
            headers["content-encoding"] = coding
            break
    state = path.stat()
    etag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
    if call.request.headers.get("if-none-match") == etag:
        # A browser puts the headers of this answer over those it kept: without the policy the page would run nothing.
        kept = {"etag": etag, "cache-control": fresh, contentpolicy.HEADER: headers[contentpolicy.HEADER]}
        return Response(status_code=304, headers=kept)
    return FileResponse(path, headers=headers | {"etag": etag}, stat_result=state)


def _policy(path: Path) -> str:
    """Return what a file of the viewer may run. That of a worker's program holds in the worker.

    OHIF's reading of segmentations (ndarray) makes functions from text, and its codecs are WebAssembly.
    """
    inline = contentpolicy.hashes(path.read_text("utf-8")) if path.name == _PAGE else []
    return contentpolicy.policy("'self'", "'unsafe-eval'", "blob:", *inline, workers="'self' blob:")


def _config(call: Call) -> Response:
    """Send the viewer's configuration, which a plugin brings; it is asked for anew each time."""
    found = call.hub.schemas.static(_CONFIG_IN_PLUGIN)
    if found is None:
        raise HubError(404, "No plugin brings the viewer's configuration: put the core plugin's jar into HOME/plugins.")
    content, _ = found
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"cache-control": "no-cache", "etag": etag, "content-type": _TYPES[".js"]}
    headers[contentpolicy.HEADER] = contentpolicy.OWN_SCRIPTS
    if call.request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def exists(call: Call) -> Response:
    """Say whether the viewer has something to show of a session: 200, else 404."""
    _viewable(call)
    return answers.text()


def show(call: Call) -> Response:
    """Give the JSON from which the viewer shows a session. It is made when it is asked for, so it is never old."""
    return JSONResponse(describe(call.db, call.hub, _viewable(call)))


def generate(call: Call) -> Response:
    """Make a session's JSON anew: there is nothing to do, since none is kept."""
    _viewable(call)
    return answers.text()


def generate_many(_call: Call) -> Response:
    """Make the JSON of many sessions anew: as before."""
    return answers.text(status=201)


def _viewable(call: Call) -> Experiment:
    experiment = find_experiment(call.db, call.params["project"], call.params["experiment"])
    if experiment is not None:
        images = select(Instance.pk).where(Instance.session_id == experiment.id, Instance.modality != "SEG").limit(1)
        if call.db.scalar(images) is not None:
            return experiment
    raise not_found(f"viewable session {call.params['experiment']}")


_SESSION: Final = "/xapi/viewer/projects/{project}/experiments/{experiment}"


ROUTES = [
    Route("GET", "/viewer", bare, Access.PUBLIC),
    # The program is open, as its package is (browsers ask for some of its files without a cookie); its page is not.
    Route("GET", "/viewer/{path:path}", file, Access.PUBLIC),
    Route("GET", f"{_SESSION}/exists", exists, Access.READ),
    Route("GET", _SESSION, show, Access.READ),
    Route("POST", _SESSION, generate, Access.EDIT),
    Route("POST", "/xapi/viewer/projects/{project}", generate_many, Access.ADMIN),
    Route("POST", "/xapi/viewer/projects/{project}/subjects/{subject}", generate_many, Access.ADMIN),
    Route("POST", "/xapi/viewer/generate-all-metadata", generate_many, Access.ADMIN),
]
