"""``/data/projects``."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.areas.site import preference
from overread.hub.errors import HubError, bad_request, forbidden
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_project
from overread.hub.items.document import Document
from overread.hub.items.projects import find_project, save_project, set_accessibility
from overread.hub.models import Project
from overread.hub.rest.fields import body_document, read_fields, sent_values
from overread.hub.rest.items import answer_item, posted, saved
from overread.hub.rest.locate import project_of

_TYPE = "xnat:projectData"
_COLUMNS = ("ID", "secondary_ID", "name", "description", "pi_firstname", "pi_lastname")


def list_projects(call: Call) -> Response:
    """List the projects that the caller may read; without ``accessible=true`` protected ones are named too."""
    readable = readable_projects(call.db, call.caller)
    seen: ColumnElement[bool] = Project.id.in_(readable)
    if not call.flag("accessible"):
        seen = or_(seen, Project.accessibility == "protected")
    query = select(Project).where(Project.deleted.is_(False), seen).order_by(Project.id)
    rows = [
        {
            "ID": project.id,
            "secondary_ID": project.secondary_id,
            "name": project.name,
            "description": project.description,
            "pi_firstname": project.fields.get("PI/firstname"),
            "pi_lastname": project.fields.get("PI/lastname"),
            "insert_date": project.insert_date,
            "insert_user": project.insert_user,
            "last_modified": project.last_modified,
            "project_access": project.accessibility,
            "alias": ",".join(project.aliases or ()),
            "URI": f"/data/projects/{project.id}",
        }
        for project in call.db.scalars(query)
    ]
    known = rows[0].keys() if rows else (*_COLUMNS, "alias", "URI")
    wanted = [name for name in call.query.get("columns", "").split(",") if name in known and name != "URI"]
    return answers.table(rows, [*(wanted or _COLUMNS), "URI"], form=call.format, total=len(rows))


def get_project(call: Call) -> Response:
    """Answer one project."""
    return answer_item(call, project_of(call))


def put_project(call: Call) -> Response:
    """Make or change a project."""
    name = call.params["project"]
    existing = find_project(call.db, name)
    if existing is not None or call.db.get(Project, name) is None:
        document = _document(call)
        given = document.fields.pop("ID", name)
        if existing is None and given != name:
            raise HubError(417, f"The document's ID {given!r} and the path's {name!r} differ.")
    else:
        document = Document(_TYPE)
    project, _created = _save(call, existing.id if existing is not None else name, document)
    return saved(project.id, created=False)  # XNAT answers 200 for new projects too


def post_project(call: Call) -> Response:
    """Make a project whose ID stands in the body or the query."""
    document = _document(call)
    project_id = document.fields.pop("ID", "")
    if not project_id:
        raise bad_request("Name the new project's ID.")
    if find_project(call.db, project_id) is not None:
        raise HubError(409, f"Project {project_id} exists already.")
    project, _created = _save(call, project_id, document)
    return posted(call, f"/data/projects/{project.id}")


def _document(call: Call) -> Document:
    document = body_document(call)
    if document is not None and document.xsi_type != _TYPE:
        raise HubError(422, f"The document holds a {document.xsi_type}, not a project.")
    sent = read_fields(call.hub.schemas, _TYPE, sent_values(call))
    if document is None:
        return sent
    document.fields.update(sent.fields)
    document.children.update(sent.children)
    return document


def _save(call: Call, project_id: str, document: Document) -> tuple[Project, bool]:
    existing = call.db.get(Project, project_id)
    if existing is not None and not existing.deleted:
        call.require(project_id, Right.OWN)
    elif call.caller.is_guest:
        raise forbidden("Log in to make a project.")
    elif not call.caller.is_admin and preference(call.db, call.hub, "uiAllowNonAdminProjectCreation") is not True:
        raise forbidden("On this site only an administrator makes projects.")
    alias = call.query.get("alias", "")
    return save_project(
        call.db,
        call.hub,
        project_id,
        user=call.caller.login,
        fields=document.fields,
        children=document.children,
        aliases=[alias] if alias else [],
        accessibility=call.query.get("accessibility", ""),
        replace=call.flag("allowDataDeletion"),
    )


def delete(call: Call) -> Response:
    """Delete a project with all that is in it."""
    project = project_of(call, Right.OWN)
    delete_project(call.db, call.hub, project, user=call.caller.login, remove_files=call.flag("removeFiles"))
    return answers.text()


def get_accessibility(call: Call) -> Response:
    """Tell whether a project is private, protected or public."""
    return answers.text(project_of(call).accessibility)


def put_accessibility(call: Call) -> Response:
    """Make a project private, protected or public."""
    set_accessibility(project_of(call, Right.OWN), call.params["level"])
    return answers.text()


def get_prearchive_code(call: Call) -> Response:
    """Tell a project's prearchive code (4: archive by itself, 0: wait for a person)."""
    return answers.text(str(project_of(call).prearchive_code))


def put_prearchive_code(call: Call) -> Response:
    """Set a project's prearchive code."""
    project = project_of(call, Right.OWN)
    project.prearchive_code = _code(call.params["value"], ("0", "1", "4", "5"))
    return answers.text()


def get_quarantine_code(call: Call) -> Response:
    """Tell a project's quarantine code (1: new experiments wait in quarantine)."""
    return answers.text(str(project_of(call).quarantine_code))


def put_quarantine_code(call: Call) -> Response:
    """Set a project's quarantine code."""
    project = project_of(call, Right.OWN)
    project.quarantine_code = _code(call.params["value"], ("0", "1"))
    return answers.text()


def get_current_arc(call: Call) -> Response:
    """Tell the folder that a project's sessions lie in."""
    project_of(call)
    return answers.text("arc001")


def _code(value: str, allowed: tuple[str, ...]) -> int:
    if value not in allowed:
        raise bad_request(f"{value!r} is no such code: use {', '.join(allowed)}.")
    return int(value)


ROUTES = [
    Route("GET", "/data/projects", list_projects),
    Route("POST", "/data/projects", post_project),
    Route("GET", "/data/projects/{project}", get_project),
    Route("PUT", "/data/projects/{project}", put_project),
    Route("DELETE", "/data/projects/{project}", delete),
    Route("GET", "/data/projects/{project}/accessibility", get_accessibility),
    Route("PUT", "/data/projects/{project}/accessibility/{level}", put_accessibility),
    Route("GET", "/data/projects/{project}/prearchive_code", get_prearchive_code),
    Route("PUT", "/data/projects/{project}/prearchive_code/{value}", put_prearchive_code),
    Route("GET", "/data/projects/{project}/quarantine_code", get_quarantine_code),
    Route("PUT", "/data/projects/{project}/quarantine_code/{value}", put_quarantine_code),
    Route("GET", "/data/projects/{project}/current_arc", get_current_arc),
]
