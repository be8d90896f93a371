"""``/xapi/customforms``."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right, readable_projects
from overread.hub.areas.customfields.store import has_data
from overread.hub.areas.customforms import store
from overread.hub.errors import HubError, bad_request, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.models import Project

MANAGER = "CustomFormManager"


def save(call: Call) -> Response:
    """Save a form; the answer is its UUID."""
    if not _manages(call):
        raise HubError(401, "Only an administrator or custom form manager may save forms.")
    form = store.save(call.db, call.hub.schemas, call.json_object(), user=call.caller.login)
    return answers.text(form.uuid, status=201)


def listed(call: Call) -> Response:
    """List forms: all, or those of a project; of projects that the caller may read."""
    project = call.query.get("projectId") or None
    if project is not None:
        call.require(project, Right.READ)
    visible = readable_projects(call.db, call.caller)
    forms = [form for form in store.listed(call.db, project) if not form.projects or visible & set(form.projects)]
    return JSONResponse([store.describe(call.db, form) for form in forms])


def element(call: Call) -> Response:
    """Send the form that an item gets: all enabled ones of its type and project in one."""
    project = call.query.get("projectId", "")
    call.require(project, Right.READ)
    return JSONResponse(store.merged(call.db, xsi_type=call.query.get("xsiType", ""), project=project))


def enable(call: Call) -> Response:
    """Let forms appear."""
    _require_manager(call)
    store.set_status(store.rows_of(call.db, _rows(call)), store.ENABLED)
    return answers.text("Form Enabled")


def disable(call: Call) -> Response:
    """Let forms appear no more. Their answers stay."""
    _require_manager(call)
    store.set_status(store.rows_of(call.db, _rows(call)), store.DISABLED)
    return answers.text("Form Disabled")


def remove(call: Call) -> Response:
    """Delete forms; those with answers are disabled."""
    _require_manager(call)
    return answers.text(store.remove(call.db, store.rows_of(call.db, _rows(call))))


def order(call: Call) -> Response:
    """Change a form's place among the others."""
    _require_manager(call)
    given = call.query.get("displayOrder", "")
    if not given.lstrip("-").isdecimal() or len(given) > 9:  # noqa: PLR2004
        raise bad_request("displayOrder must be a number.")
    store.row_of(call.db, call.params["form"]).form.display_order = int(given)
    return answers.text()


def promote(call: Call) -> Response:
    """Make forms of projects forms of the whole site."""
    _require_manager(call)
    for row in store.rows_of(call.db, _rows(call)):
        row.form.projects = []
    return answers.text("Form promoted")


def opt_in(call: Call) -> Response:
    """Let a project's form apply in more projects."""
    _require_manager(call)
    form = store.row_of(call.db, call.params["row"]).form
    added = [str(project) for project in _rows(call)]
    if any(call.db.get(Project, project) is None for project in added):
        raise bad_request("There is no such project.")
    form.projects = list(dict.fromkeys([*form.projects, *added])) if form.projects else []
    return answers.text("Form opted in")


def has_answers(call: Call) -> Response:
    """Say whether a form has been answered."""
    form = store.row_of(call.db, call.params["row"]).form
    if form.projects and not readable_projects(call.db, call.caller) & set(form.projects):
        raise not_found(f"form {call.params['row']}")
    return JSONResponse(has_data(call.db, form.uuid))


def environment(_call: Call) -> Response:
    """Tell the form builder what this site can do."""
    return JSONResponse({"siteHasProtocolsPluginDeployed": False, "features": {}})


def _rows(call: Call) -> list[object]:
    rows = call.json()
    if not isinstance(rows, list) or not rows:
        raise bad_request("The body must be a JSON array that is not empty.")
    return rows


def _manages(call: Call) -> bool:
    return call.caller.is_admin or MANAGER in call.caller.roles


def _require_manager(call: Call) -> None:
    if not _manages(call):
        raise forbidden("Only an administrator or custom form manager may do this.")


ROUTES = [
    Route("PUT", "/xapi/customforms/save", save),
    Route("GET", "/xapi/customforms", listed),
    Route("DELETE", "/xapi/customforms", remove),
    Route("GET", "/xapi/customforms/element", element),
    Route("POST", "/xapi/customforms/enable", enable),
    Route("POST", "/xapi/customforms/disable", disable),
    Route("POST", "/xapi/customforms/formId/{form}", order),
    Route("POST", "/xapi/customforms/promote", promote),
    Route("POST", "/xapi/customforms/optin/{row}", opt_in),
    Route("GET", "/xapi/customforms/hasdata/{row}", has_answers),
    Route("GET", "/xapi/customforms/env", environment, Access.USER),
]
