"""Commands as a page shows them, and what is wrong with one before it is stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from overread.commands.lint import lint_text
from overread.errors import RunnerError, SpecError
from overread.hub.areas.admin.scope import owned_projects, pairs
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import Command, Container, Enablement, Project
from overread.hub.runs.documents import Document
from overread.hub.runs.validation import problems
from overread.study.yamltext import parse_json

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
    images = _images(call)
    rows = [
        _row(command, enabled, images) | {"runs": runs.get(command.id, 0)}
        for command in call.db.scalars(select(Command).order_by(Command.name, Command.id))
    ]
    return JSONResponse({"rows": rows, "backend": call.hub.runs.runner.backend})


def _images(call: Call) -> dict[str, str] | None:
    """Return the digests of the images that the runner has, by name; None if its engine does not answer."""
    try:
        return {image.name: image.digest for image in call.hub.runs.runner.images()}
    except RunnerError:
        return None


def _row(command: Command, enabled: dict[int, list[str]], images: dict[str, str] | None) -> dict[str, Any]:
    document = command.document
    return {
        "id": command.id,
        "name": command.name,
        "version": command.version,
        "label": document.get("label") or "",
        "description": document.get("description") or "",
        "type": document["type"],
        "image": command.image,
        "image-digest": (images or {}).get(command.image, ""),
        "image-present": None if images is None else command.image in images,
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
    """Say all that is wrong with a command document, by the rules of ``overread command lint``; nothing is stored."""
    owned_projects(call)
    if call.uploads and call.uploads[0].size > _MAX_BYTES:
        raise bad_request("This is no command document: it is larger than a megabyte.")
    findings, document = _findings(call.text())
    name, version, image = (str(document.get(key) or "") for key in ("name", "version", "image"))
    images = _images(call)
    same = select(Command.id).where(Command.name == name, Command.version == version)
    return JSONResponse(
        {
            "findings": findings,
            "name": name,
            "version": version,
            "image": image,
            "image-present": None if images is None else image in images,
            "backend": call.hub.runs.runner.backend,
            "replaces": call.db.scalar(same) if name else None,
        }
    )


def _findings(text: str) -> tuple[list[dict[str, Any]], Document]:
    """Return what is wrong, and the document as far as it can be read."""
    found = [
        {
            "rule": finding.rule.id,
            "severity": finding.rule.severity,
            "why": finding.rule.why,
            "line": finding.line,
            "path": finding.path,
            "message": finding.message,
            "mend": finding.mend,
        }
        for finding in lint_text(text)
    ]
    try:
        document = parse_json(text, source="command.json").value
    except SpecError:
        return found, {}
    if not isinstance(document, dict):
        return [*found, _own("is not one command", "store commands one by one")], {}
    if not any(finding["severity"] == "error" for finding in found):
        # What the lint lets pass the hub may still refuse: it is told before anything is stored.
        found += [_own(said, "") for said in problems(document)]
    return found, document


def _own(message: str, mend: str) -> dict[str, Any]:
    why = "The hub refuses it."
    found = {"rule": "hub", "severity": "error", "why": why, "line": 0, "path": "$", "message": message}
    return found | {"mend": mend}


ROUTES = [
    Route("GET", "/xapi/overread/commands", listed),
    Route("POST", "/xapi/overread/commands/lint", lint, writes=False),
]
