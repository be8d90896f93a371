"""``.../experiments/E/assessors``."""

from __future__ import annotations

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.areas.experiments import store
from overread.hub.errors import bad_request, conflict, unprocessable
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_experiment
from overread.hub.items.experiments import rename_experiment
from overread.hub.items.projects import find_project
from overread.hub.items.uris import find_assessor
from overread.hub.items.visibility import visible
from overread.hub.models import Experiment
from overread.hub.rest import lists
from overread.hub.rest.columns import Source
from overread.hub.rest.items import answer_item, posted, saved
from overread.hub.rest.locate import assessor_of, experiment_of

_COLUMNS = ("ID", "project", "date", "xsiType", "label", "insert_date", "session_ID", "session_label")


def list_assessors(call: Call) -> Response:
    """List a session's assessors. As in XNAT, filters are dropped and columns honoured."""
    session = experiment_of(call)
    root = call.hub.schemas.spelled(call.query.get("xsiType", "")) or store.ASSESSOR_BASE
    if not call.hub.schemas.is_a(root, store.ASSESSOR_BASE):
        raise bad_request(f"{root} is no data type of assessors.")
    source = Source(call.hub.schemas, root, Experiment)
    return lists.answer(
        call,
        source,
        lists.wanted_columns(call, source, _COLUMNS),
        where=[Experiment.session_id == session.id, visible(Experiment, readable_projects(call.db, call.caller))],
        order=Experiment.id,
        uri_prefix="/data/experiments/",
        uri_key=Experiment.id,
        filtered=False,
    )


def get_assessor(call: Call) -> Response:
    """Answer one assessor."""
    return answer_item(call, assessor_of(call))


def get_status(call: Call) -> Response:
    """Tell an assessor's status."""
    return answers.text(assessor_of(call).status)


def put_assessor(call: Call) -> Response:
    """Make or change an assessor, named by its label or ID."""
    session = experiment_of(call)
    existing = find_assessor(call.db, session.id, call.params["assessor"])
    if existing is not None:
        call.require_experiment(existing, Right.EDIT)
        return _change(call, existing)
    document = store.document_of(call, None)
    project = _project(call, document)
    # xnatpy names the label as a parameter too; for a new assessor both say the same.
    label = call.query.get("label") or document.fields.get("label") or call.params["assessor"]
    if label != call.params["assessor"] and find_assessor(call.db, session.id, label) is not None:
        raise conflict(f"Label {label} is in use.")
    assessor = store.save(call, document, project, label, session_id=session.id)
    return saved(assessor.id, created=True)


def _change(call: Call, assessor: Experiment) -> Response:
    label = call.query.get("label", assessor.label)
    if label != assessor.label:
        rename_experiment(call.db, call.hub, assessor, label)
        return answers.text()
    document = store.document_of(call, assessor)
    if document.fields.get("ID", assessor.id) != assessor.id:
        raise bad_request("ID cannot be modified")
    store.save(call, document, assessor.project, assessor.label)
    store.set_status(call, assessor)
    return saved(assessor.id, created=False)


def _project(call: Call, document: store.Document) -> str:
    """Return the project of a new assessor: that of the path, else the one the item names (422 without)."""
    name = call.params.get("project") or document.fields.get("project", "")
    project = find_project(call.db, name) if name else None
    if project is None:
        raise unprocessable(f"Unable to identify project {name!r}: name it as {document.xsi_type}/project.")
    call.require(project.id, Right.EDIT)
    return project.id


def post_assessor(call: Call) -> Response:
    """Make an assessor whose label stands in the query or the body."""
    session = experiment_of(call)
    document = store.document_of(call, None)
    label = call.query.get("label") or document.fields.get("label", "")
    if not label:
        raise bad_request("Name the new assessor's label.")
    if find_assessor(call.db, session.id, label) is not None:
        raise conflict(f"Assessor {label} exists already.")
    assessor = store.save(call, document, _project(call, document), label, session_id=session.id)
    return posted(call, f"/data/experiments/{session.id}/assessors/{assessor.id}")


def delete(call: Call) -> Response:
    """Delete an assessor."""
    assessor = assessor_of(call, Right.OWN)
    delete_experiment(call.db, call.hub, assessor, user=call.caller.login, remove_files=call.flag("removeFiles"))
    return answers.text()


_SESSIONS = (
    "/data/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
)

ROUTES = [
    *(Route("GET", f"{place}/assessors", list_assessors) for place in _SESSIONS),
    *(Route("POST", f"{place}/assessors", post_assessor) for place in _SESSIONS),
    *(Route("GET", f"{place}/assessors/{{assessor}}", get_assessor) for place in _SESSIONS),
    *(Route("PUT", f"{place}/assessors/{{assessor}}", put_assessor) for place in _SESSIONS),
    *(Route("DELETE", f"{place}/assessors/{{assessor}}", delete) for place in _SESSIONS),
    *(Route("GET", f"{place}/assessors/{{assessor}}/status", get_status) for place in _SESSIONS),
]
