"""``/xapi/docker``: the engine and its images. Here an image is a folder, and pulling it builds its environment."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.commands.label import KEY
from overread.errors import RunnerError, SpecError
from overread.hub import answers
from overread.hub.access import Access
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Command, SiteSetting
from overread.hub.runs.backends import SETTING, backend_of
from overread.hub.runs.documents import save_command
from overread.hub.runs.images import Image
from overread.hub.runs.runner import ReadyImage

_SERVER: dict[str, Any] = {
    "id": 1, "name": "Embedded hub", "host": "local", "cert-path": "", "swarm-mode": False, "backend": "process",
    "path-translation-xnat-prefix": None, "path-translation-docker-prefix": None, "pull-images-on-xnat-init": False,
    "container-user": "", "auto-cleanup": True, "swarm-constraints": [], "max-concurrent-finalizing-jobs": None,
    "status-email-enabled": False, "gpu-vendor": None, "archive-pvc-name": None, "build-pvc-name": None,
    "combined-pvc-name": None, "archive-path-translation": None, "build-path-translation": None,
    "combined-path-translation": None,
}  # fmt: skip
_HUB = {"id": 1, "name": "Image folders", "url": "local", "default": True, "username": None, "email": None}


def server(call: Call) -> Response:
    """Show the engine, and whether runs can be started."""
    try:
        call.hub.runs.runner.ping()
    except RunnerError:
        return JSONResponse(_server(call) | {"ping": False})
    return JSONResponse(_server(call) | {"ping": True})


def set_server(call: Call) -> Response:
    """Keep what a client says of the engine: the hub goes by it from its next start on."""
    given = {name: value for name, value in call.json_object().items() if name in _SERVER}
    try:
        backend_of(given)
    except SpecError as problem:
        raise bad_request(str(problem)) from problem
    setting = call.db.get(SiteSetting, SETTING)
    if setting is None:
        setting = SiteSetting(name=SETTING)
        call.db.add(setting)
    setting.value = json.dumps(given)
    call.db.flush()
    return JSONResponse(_server(call), status_code=201)


def ping(call: Call) -> Response:
    """Say that the engine is there; 500 with the reason if it is not."""
    try:
        call.hub.runs.runner.ping()
    except RunnerError as problem:
        raise HubError(500, str(problem)) from problem
    return answers.text("OK")


def hubs(_call: Call) -> Response:
    """List where images come from: the image folders."""
    return JSONResponse([_HUB | {"status": {"ping": True, "response": "Up", "message": None}}])


def images(call: Call) -> Response:
    """List images: the engine's, or the image folders where there is no engine."""
    return JSONResponse([_ready(image) for image in _there(call)])


def image(call: Call) -> Response:
    """Show one image, by digest or name."""
    return JSONResponse(_image(_find(call, call.params["name"])))


def summaries(call: Call) -> Response:
    """List images with their commands, and commands whose image is not there."""
    known: dict[str, list[dict[str, Any]]] = {}
    for command in call.db.scalars(select(Command).order_by(Command.id)):
        known.setdefault(command.image, []).append(command.document)
    there = _there(call)
    found: list[dict[str, Any]] = [
        {"image-id": image.digest, "server": "local", "names": [image.name], "commands": known.pop(image.name, [])}
        for image in there
    ]
    found += [{"image-id": None, "server": None, "names": [name], "commands": these} for name, these in known.items()]
    return JSONResponse(found)


def pull(call: Call) -> Response:
    """Make an image ready: build its environment. Returns when that is done, as XNAT's does."""
    name = call.query.get("image", "")
    if not name or name.startswith("sha256:"):
        raise bad_request("Name the image as repository/name:version.")
    found = call.hub.images.find(name)
    if found is None and call.hub.runs.runner.backend == "process":
        raise _unknown(name)
    try:
        call.hub.runs.runner.prepare(name, report=lambda _line: None, stopped=lambda: False)
    except RunnerError as problem:
        raise HubError(500, str(problem)) from problem
    if found is not None and call.flag("save-commands"):
        with call.hub.database.write() as db:  # the call's own transaction only reads: building takes long
            for document in found.commands:
                save_command(db, document)
    return answers.text()


def save_commands(call: Call) -> Response:
    """Add the commands of an image folder."""
    found = _find(call, call.query.get("image", ""))
    return JSONResponse([save_command(call.db, document).document for document in found.commands])


def _server(call: Call) -> dict[str, Any]:
    setting = call.db.get(SiteSetting, SETTING)
    return (
        _SERVER | (json.loads(setting.value) if setting is not None else {}) | {"backend": call.hub.runs.runner.backend}
    )


def _find(call: Call, name: str) -> Image:
    found = call.hub.images.find(name)
    if found is None:
        raise _unknown(name)
    return found


def _there(call: Call) -> list[ReadyImage]:
    try:
        return call.hub.runs.runner.images()
    except RunnerError as problem:
        raise HubError(500, str(problem)) from problem


def _ready(image: ReadyImage) -> dict[str, Any]:
    return {"image-id": image.digest, "id": image.digest, "tags": [image.name], "labels": dict(image.labels)}


def _unknown(name: str) -> HubError:
    return not_found(f"image {name}: no folder below --images has a command.json that names it")


def _image(found: Image) -> dict[str, Any]:
    return _ready(ReadyImage(found.name, found.digest, {KEY: json.dumps(list(found.commands))}))


ROUTES = [
    Route("GET", "/xapi/docker/server", server),
    Route("POST", "/xapi/docker/server", set_server, Access.ADMIN),
    Route("GET", "/xapi/docker/server/ping", ping),
    Route("GET", "/xapi/docker/hubs", hubs),
    Route("GET", "/xapi/docker/images", images),
    Route("GET", "/xapi/docker/image-summaries", summaries),
    Route("POST", "/xapi/docker/images/save", save_commands, Access.ADMIN),
    Route("GET", "/xapi/docker/images/{name:path}", image),
    Route("POST", "/xapi/docker/pull", pull, Access.ADMIN, writes=False),
]
