"""``/data/experiments``, and experiments below a project or a subject."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.areas.experiments import store
from overread.hub.errors import HubError, bad_request, conflict, not_found
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_experiment, unshare
from overread.hub.items.experiments import find_experiment, rename_experiment
from overread.hub.items.files import owner_of
from overread.hub.items.subjects import ensure_subject, find_subject
from overread.hub.items.visibility import lent_to, visible
from overread.hub.models import Experiment, Project, Share, Subject
from overread.hub.rest import lists
from overread.hub.rest.columns import Source, root_type
from overread.hub.rest.items import answer_item, posted, saved
from overread.hub.rest.locate import (
    experiment_of,
    find_or_refuse_project,
    lookup_experiment,
    project_of,
    subject_of,
    target_project,
)

_COLUMNS = ("ID", "project", "date", "xsiType", "label", "insert_date")


def list_all(call: Call) -> Response:
    """List the experiments of all projects that the caller may read, assessors included."""
    where = visible(Experiment, readable_projects(call.db, call.caller))
    return _list(call, where, "xnat:experimentData", always=("xsiType", "project"))


def list_of_project(call: Call) -> Response:
    """List a project's sessions and subject assessors; image assessors when ``xsiType`` asks for them."""
    project = find_or_refuse_project(call)
    where, through = Experiment.project == project.id, lent_to(call.db, project.id)
    if through:
        shared = select(Share.object_id).where(Share.kind == "experiment", Share.project == project.id)
        where |= Experiment.id.in_(shared)
    return _list(call, where, "xnat:subjectAssessorData", through=through)


def list_of_subject(call: Call) -> Response:
    """List those of a subject's experiments that the caller may read."""
    subject = subject_of(call)
    where = visible(Experiment, readable_projects(call.db, call.caller)) & (Experiment.subject_id == subject.id)
    return _list(call, where, "xnat:subjectAssessorData")


def _list(
    call: Call, where: ColumnElement[bool], default_root: str, *, always: tuple[str, ...] = (), through: str = ""
) -> Response:
    """Answer a list; `always` are columns that a list of several types has whether asked for or not, as in XNAT."""
    schemas = call.hub.schemas
    names = [*call.query.get("columns", "").split(","), *call.query]
    root = root_type(schemas, default_root, names, call.query.get("xsiType", ""))
    if not schemas.is_a(root, "xnat:experimentData"):
        raise bad_request(f"{call.query.get('xsiType')!r} is no data type of experiments.")
    source = Source(schemas, root, Experiment, through=through)
    default = list(_COLUMNS)
    if schemas.is_a(root, "xnat:subjectAssessorData"):
        default += ["subject_ID", "subject_label"]
    elif schemas.is_a(root, "xnat:imageAssessorData"):
        default += ["session_ID", "session_label"]
    return lists.answer(
        call,
        source,
        lists.wanted_columns(call, source, default, always=always if source.kind.abstract else ()),
        where=[where, Experiment.xsi_type.in_(schemas.extending(root))],
        order=Experiment.id,
        uri_prefix="/data/experiments/",
        uri_key=Experiment.id,
    )


def get_experiment(call: Call) -> Response:
    """Answer one experiment."""
    return answer_item(call, experiment_of(call))


def get_status(call: Call) -> Response:
    """Tell an experiment's status: active, quarantine or locked."""
    return answers.text(experiment_of(call).status)


def put_experiment(call: Call) -> Response:
    """Make or change an experiment below a project, or change one by its ID."""
    if "project" not in call.params:
        return _change(call, experiment_of(call, Right.EDIT), None)
    project = target_project(call)
    existing = lookup_experiment(call)
    if existing is None and "subject" in call.params:
        existing = _in_other_subject(call, project)
    if existing is not None:
        call.require_experiment(existing, Right.EDIT)
        return _change(call, existing, project)
    document = store.document_of(call, None)
    label = document.fields.get("label") or call.params["experiment"]
    experiment = store.save(call, document, project.id, label, subject_id=_subject_id(call, project, document))
    return saved(experiment.id, created=True)


def _in_other_subject(call: Call, project: Project) -> Experiment | None:
    """Refuse a label that an experiment of another subject has."""
    other = find_experiment(call.db, project.id, call.params["experiment"])
    if other is not None:
        raise conflict(f"Label {call.params['experiment']} is in use for {other.id}, of another subject.")
    return None


def _subject_id(call: Call, project: Project, document: store.Document) -> str | None:
    """Return the subject that a new experiment is to hang on; XNAT makes it when it is not there."""
    name = call.params.get("subject") or call.query.get("subject_ID") or document.fields.get("subject_ID", "")
    if not name or call.hub.schemas.is_a(document.xsi_type, store.ASSESSOR_BASE):
        return None
    return ensure_subject(call.db, call.hub, project=project.id, label=name, user=call.caller.login).id


def _change(call: Call, experiment: Experiment, project: Project | None) -> Response:
    if project is not None and experiment.project != project.id:
        raise HubError(403, f"{experiment.id} belongs to project {experiment.project}: change it there.")
    if "label" in call.query:
        # As in XNAT: a rename is nothing but a rename, all other parameters of the call are dropped.
        rename_experiment(call.db, call.hub, experiment, call.query["label"])
        return answers.text()
    document = store.document_of(call, experiment)
    if document.fields.get("ID", experiment.id) != experiment.id:
        raise bad_request("ID cannot be modified")
    mover = call.query.get("subject_ID") or document.fields.get("subject_ID", "")
    subject_id = None
    if mover and mover != experiment.subject_id and experiment.session_id is None:
        subject_id = _mover(call, experiment, mover).id
    store.save(call, document, experiment.project, experiment.label, subject_id=subject_id)
    store.set_status(call, experiment)
    return saved(experiment.id, created=False)


def _mover(call: Call, experiment: Experiment, name: str) -> Subject:
    found = find_subject(call.db, experiment.project, name)
    if found is not None:
        return found
    return ensure_subject(call.db, call.hub, project=experiment.project, label=name, user=call.caller.login)


def post_experiment(call: Call) -> Response:
    """Make an experiment whose label stands in the query or the body."""
    project = target_project(call)
    document = store.document_of(call, None)
    label = call.query.get("label") or document.fields.get("label", "")
    if not label:
        raise bad_request("Name the new experiment's label.")
    if find_experiment(call.db, project.id, label) is not None:
        raise conflict(f"Experiment {label} exists already.")
    experiment = store.save(call, document, project.id, label, subject_id=_subject_id(call, project, document))
    return posted(call, f"/data/experiments/{experiment.id}")


def delete(call: Call) -> Response:
    """Delete an experiment; through a project it is shared into, only un-share it."""
    experiment = experiment_of(call)
    if "project" in call.params:
        project = project_of(call)
        if project.id != experiment.project:
            call.require(project.id, Right.OWN)
            if not unshare(call.db, owner_of(experiment), project.id):
                raise not_found(f"experiment {experiment.id} in project {project.id}")
            return answers.text()
    call.require_experiment(experiment, Right.OWN)
    delete_experiment(call.db, call.hub, experiment, user=call.caller.login, remove_files=call.flag("removeFiles"))
    return answers.text()


_PLACES = (
    "/data/experiments/{experiment}",
    "/data/projects/{project}/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
)

ROUTES = [
    Route("GET", "/data/experiments", list_all),
    Route("GET", "/data/projects/{project}/experiments", list_of_project),
    Route("POST", "/data/projects/{project}/experiments", post_experiment),
    Route("GET", "/data/subjects/{subject}/experiments", list_of_subject),
    Route("GET", "/data/projects/{project}/subjects/{subject}/experiments", list_of_subject),
    Route("POST", "/data/projects/{project}/subjects/{subject}/experiments", post_experiment),
    *(Route("GET", place, get_experiment) for place in _PLACES),
    *(Route("PUT", place, put_experiment) for place in _PLACES),
    *(Route("DELETE", place, delete) for place in _PLACES),
    *(Route("GET", f"{place}/status", get_status) for place in _PLACES),
]
