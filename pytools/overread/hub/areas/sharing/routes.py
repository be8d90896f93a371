"""``<object>/projects[/P2]``."""

from __future__ import annotations

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right
from overread.hub.errors import not_found
from overread.hub.http import Call, Route
from overread.hub.items.deletion import unshare
from overread.hub.items.files import owner_of
from overread.hub.items.moving import move_experiment, move_subject
from overread.hub.items.projects import find_project
from overread.hub.items.sharing import projects_of, share
from overread.hub.models import Experiment, Project, Scan, Subject
from overread.hub.rest.locate import item_of

_COLUMNS = ("label", "ID", "Secondary_ID", "Name")


def list_projects(call: Call) -> Response:
    """List the projects in which an object is seen, its own first."""
    rows = [
        {"label": label, "ID": project.id, "Secondary_ID": project.secondary_id, "Name": project.name}
        for label, project in projects_of(call.db, _object(call))
    ]
    return answers.table(rows, _COLUMNS, form=call.format, total=len(rows))


def put_share(call: Call) -> Response:
    """Share an object into a further project, or move it there with ``primary=true``."""
    if call.flag("primary"):
        return _move(call)
    item = _object(call, Right.EDIT)
    share(call.db, item, _target(call), label=call.query.get("label", ""))
    return answers.text()


def _move(call: Call) -> Response:
    """Make another project the one to which an object belongs: that takes the right to delete it from its own."""
    item, target = _object(call, Right.OWN), _target(call)
    label = call.query.get("label", "")
    if isinstance(item, Subject):
        move_subject(call.db, call.hub, item, target, label=label)
    else:
        named = [name for name in call.query.get("moveAssessors", "").split(",") if name]
        move_experiment(call.db, call.hub, item, target, label=label, assessors=named or None)
    return answers.text()


def delete_share(call: Call) -> Response:
    """Take an object out of a project it was shared into."""
    item, target = _object(call), _target(call)
    if not unshare(call.db, owner_of(item), target.id):
        raise not_found(f"{item.id} in project {target.id}")
    return answers.text()


def _object(call: Call, right: Right = Right.READ) -> Subject | Experiment:
    item = item_of(call, right)
    if isinstance(item, (Project, Scan)):
        raise not_found("a subject or experiment")
    return item


def _target(call: Call) -> Project:
    project = find_project(call.db, call.params["target"])
    if project is None:
        raise not_found(f"project {call.params['target']}")
    call.require(project.id, Right.EDIT)
    return project


_PLACES = (
    "/data/subjects/{subject}",
    "/data/projects/{project}/subjects/{subject}",
    "/data/experiments/{experiment}",
    "/data/projects/{project}/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
    "/data/experiments/{experiment}/assessors/{assessor}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/assessors/{assessor}",
)

ROUTES = [
    *(Route("GET", f"{place}/projects", list_projects) for place in _PLACES),
    *(Route("PUT", f"{place}/projects/{{target}}", put_share) for place in _PLACES),
    *(Route("DELETE", f"{place}/projects/{{target}}", delete_share) for place in _PLACES),
]
