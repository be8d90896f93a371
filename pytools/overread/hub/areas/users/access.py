"""``/xapi/access``: what the caller may see."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import readable_projects
from overread.hub.errors import not_found
from overread.hub.http import Call, Route
from overread.hub.models import Membership, Project

_DISPLAYS = (
    "browseable",
    "browseableCreateable",
    "createable",
    "searchable",
    "searchableByDesc",
    "searchableByPluralDesc",
)


def list_projects(call: Call) -> Response:
    """List the projects that the caller may read, with the caller's role in each."""
    readable = readable_projects(call.db, call.caller)
    mine = call.db.execute(select(Membership.project, Membership.role).where(Membership.login == call.caller.login))
    roles = {project: role for project, role in mine}  # noqa: C416 - rows are no pairs to the type checker
    found = call.db.scalars(select(Project).where(Project.id.in_(readable)).order_by(Project.id))
    return JSONResponse(
        [
            {
                "ID": project.id,
                "secondary_ID": project.secondary_id,
                "name": project.name,
                "description": project.description,
                "accessibility": project.accessibility,
                "role": _role_word(roles.get(project.id), is_admin=call.caller.is_admin),
                "URI": f"/data/projects/{project.id}",
            }
            for project in found
        ]
    )


def _role_word(role: str | None, *, is_admin: bool) -> str:
    if role is not None:
        return role.capitalize() + "s"
    return "Administrator" if is_admin else ""


def list_displays(call: Call) -> Response:
    """List the datatypes of one kind: those that one can browse, search or make."""
    if call.params["display"] not in _DISPLAYS:
        raise not_found(f"display {call.params['display']}")
    return JSONResponse(
        [
            {"elementName": name, "singular": model.singular, "plural": model.plural, "code": model.code}
            for name, model in call.hub.schemas.elements().items()
        ]
    )


def flush(_call: Call) -> Response:
    """Forget cached rights. The hub caches none, so there is nothing to forget."""
    return answers.text()


ROUTES = [
    Route("GET", "/xapi/access/projects", list_projects),
    Route("GET", "/xapi/access/displays/{display}", list_displays),
    Route("DELETE", "/xapi/access/cache/flush", flush, writes=False),
]
