"""Commands as a page shows them, and what is wrong with one before it is stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from overread.commands.read import read_command
from overread.errors import SpecError
from overread.hub.areas.admin.scope import owned_projects, pairs
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import Command, Container, Enablement, Project
from overread.hub.runs.documents import Document
from overread.hub.runs.validation import problems
from overread.study.problems import Problem
from overread.study.yamltext import parse_json

_SOURCE = "command.json"
_MAX_BYTES = 1 << 20


def listed(call: Call) -> Response:
    """List all commands with their wrappers: where each is enabled, and whether its image is there.

    Owners see their own projects of those in which a wrapper is enabled.
    """
    owned = owned_projects(call)
    alive = set(call.db.scalars(select(Project.id).where(Project.deleted.is_(False)))) | {""}
    enabled: dict[int, list[str]] = {}
    for switch in call.db.scalars(select(Enablement).where(Enablement.enabled).order_by(Enablement.project)):
        if switch.project in alive and (owned is None or switch.project in {"", *owned}):
            enabled.setdefault(switch.wrapper_id, []).append(switch.project)
    counted = select(Container.command_id, func.count()).group_by(Container.command_id)
    if owned is not None:
        counted = counted.where(Container.project.in_(owned))
    runs = pairs(call, counted)
    images = {image.name: image.digest for image in call.hub.images.all()}
    rows = [
        _row(command, enabled, images) | {"runs": runs.get(command.id, 0)}
        for command in call.db.scalars(select(Command).order_by(Command.name, Command.id))
    ]
    return JSONResponse({"rows": rows, "backend": call.hub.runs.runner.backend})


def _row(command: Command, enabled: dict[int, list[str]], images: dict[str, str]) -> dict[str, Any]:
    document = command.document
    return {
        "id": command.id,
        "name": command.name,
        "version": command.version,
        "label": document.get("label") or "",
        "description": document.get("description") or "",
        "type": document["type"],
        "image": command.image,
        "image-digest": images.get(command.image, ""),
        "image-present": command.image in images,
        "wrappers": [
            {
                "id": wrapper["id"],
                "name": wrapper["name"],
                "label": wrapper.get("label") or "",
                "contexts": wrapper["contexts"],
                "site": "" in enabled.get(wrapper["id"], []),
                "projects": [project for project in enabled.get(wrapper["id"], []) if project],
            }
            for wrapper in document["xnat"]
        ],
    }


def lint(call: Call) -> Response:
    """Say all that is wrong with a command document; nothing is stored."""
    owned_projects(call)
    if call.uploads and call.uploads[0].size > _MAX_BYTES:
        raise bad_request("This is no command document: it is larger than a megabyte.")
    findings, document = _findings(call.text())
    name, version, image = (str(document.get(key) or "") for key in ("name", "version", "image"))
    same = select(Command.id).where(Command.name == name, Command.version == version)
    return JSONResponse(
        {
            "findings": findings,
            "name": name,
            "version": version,
            "image": image,
            "image-present": call.hub.images.find(image) is not None,
            "replaces": call.db.scalar(same) if name else None,
        }
    )


def _findings(text: str) -> tuple[list[dict[str, Any]], Document]:
    """Return what is wrong, and the document as far as it can be read."""
    try:
        parsed = parse_json(text, source=_SOURCE).value
        found = read_command(text, source=_SOURCE)
    except SpecError as problem:
        return [_finding(Problem.of(problem))], {}
    document = parsed if isinstance(parsed, dict) else {}
    if isinstance(found, tuple):
        return [_finding(problem) for problem in found], document
    # What the lint lets pass the server may still refuse: it is told before anything is stored.
    return [{"line": 0, "path": "", "message": said, "mend": ""} for said in problems(document)], document


def _finding(problem: Problem) -> dict[str, Any]:
    return {name: getattr(problem, name, "") for name in ("rule", "line", "path", "message", "mend")}


ROUTES = [
    Route("GET", "/xapi/overread/commands", listed),
    Route("POST", "/xapi/overread/commands/lint", lint, writes=False),
]
