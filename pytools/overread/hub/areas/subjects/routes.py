"""``/data/projects/P/subjects`` and ``/data/subjects``."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.errors import HubError, bad_request, conflict, not_found
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_subject, unshare
from overread.hub.items.document import Document
from overread.hub.items.files import owner_of
from overread.hub.items.subjects import SUBJECT_TYPE, find_subject, rename_subject, save_subject
from overread.hub.items.visibility import lent_to, visible
from overread.hub.models import Share, Subject
from overread.hub.rest import lists
from overread.hub.rest.columns import Source
from overread.hub.rest.fields import body_document, read_fields, sent_values
from overread.hub.rest.items import answer_item, posted, saved
from overread.hub.rest.locate import (
    find_or_refuse_project,
    project_of,
    require_subject,
    subject_of,
    target_project,
)

_COLUMNS = ("ID", "project", "label", "insert_date", "insert_user")


def list_all(call: Call) -> Response:
    """List the subjects of all projects that the caller may read."""
    return _list(call, visible(Subject, readable_projects(call.db, call.caller)))


def list_of_project(call: Call) -> Response:
    """List a project's subjects, those shared into it included."""
    project = find_or_refuse_project(call)
    shared = select(Share.object_id).where(Share.kind == "subject", Share.project == project.id)
    where = (Subject.project == project.id) | Subject.id.in_(shared)
    return _list(call, where, through=lent_to(call.db, project.id))


def _list(call: Call, where: ColumnElement[bool], *, through: str = "") -> Response:
    source = Source(call.hub.schemas, SUBJECT_TYPE, Subject, through=through)
    columns = lists.wanted_columns(call, source, _COLUMNS)
    return lists.answer(
        call, source, columns, where=[where], order=Subject.id, uri_prefix="/data/subjects/", uri_key=Subject.id
    )


def get_subject(call: Call) -> Response:
    """Answer one subject."""
    return answer_item(call, subject_of(call))


def get_status(call: Call) -> Response:
    """Tell a subject's status."""
    subject_of(call)
    return answers.text("active")


def put_of_project(call: Call) -> Response:
    """Make or change a subject of a project."""
    project = target_project(call)
    existing = find_subject(call.db, project.id, call.params["subject"])
    if existing is not None:
        require_subject(call, existing, Right.EDIT)  # it may be lent to this project and belong to another
        return _change(call, existing)
    document = _document(call)
    label = document.fields.get("label") or call.params["subject"]
    if find_subject(call.db, project.id, label) is not None:
        raise conflict(f"Label {label} is in use.")
    subject = _save(call, document, project.id, label)
    return saved(subject.id, created=True)


def put_by_id(call: Call) -> Response:
    """Change a subject that is named by its ID."""
    return _change(call, subject_of(call, Right.EDIT))


def _change(call: Call, subject: Subject) -> Response:
    if "label" in call.query:
        # As in XNAT: a rename is nothing but a rename, all other parameters of the call are dropped.
        rename_subject(call.db, call.hub, subject, call.query["label"])
        return answers.text()
    document = _document(call)
    if document.fields.get("ID", subject.id) != subject.id:
        raise bad_request("ID cannot be modified")
    if document.fields.get("project", subject.project) != subject.project:
        raise conflict(f"Subject {subject.id} belongs to project {subject.project}.")
    _save(call, document, subject.project, subject.label)
    return saved(subject.id, created=False)


def post_of_project(call: Call) -> Response:
    """Make a subject whose label stands in the query or the body."""
    project = target_project(call)
    document = _document(call)
    label = document.fields.get("label", "")
    if not label:
        raise bad_request("Name the new subject's label.")
    if find_subject(call.db, project.id, label) is not None:
        raise conflict(f"Subject {label} exists already.")
    subject = _save(call, document, project.id, label)
    return posted(call, f"/data/projects/{project.id}/subjects/{subject.id}")


def _document(call: Call) -> Document:
    document = body_document(call)
    if document is not None and document.xsi_type != SUBJECT_TYPE:
        raise HubError(422, f"The document holds a {document.xsi_type}, not a subject.")
    sent = read_fields(call.hub.schemas, SUBJECT_TYPE, sent_values(call))
    if document is None:
        return sent
    document.fields.update(sent.fields)
    document.children.update(sent.children)
    return document


def _save(call: Call, document: Document, project: str, label: str) -> Subject:
    return save_subject(
        call.db,
        call.hub,
        project=project,
        label=label,
        user=call.caller.login,
        fields=document.fields,
        children=document.children,
        replace=call.flag("allowDataDeletion"),
    )[0]


def delete(call: Call) -> Response:
    """Delete a subject with its experiments; through a project it is shared into, only un-share it."""
    subject = subject_of(call)
    if "project" in call.params:
        project = project_of(call)
        if project.id != subject.project:
            call.require(project.id, Right.OWN)
            if not unshare(call.db, owner_of(subject), project.id):
                raise not_found(f"subject {subject.id} in project {project.id}")
            return answers.text()
    call.require(subject.project, Right.OWN)
    delete_subject(call.db, call.hub, subject, user=call.caller.login, remove_files=call.flag("removeFiles"))
    return answers.text()


ROUTES = [
    Route("GET", "/data/subjects", list_all),
    Route("GET", "/data/subjects/{subject}", get_subject),
    Route("PUT", "/data/subjects/{subject}", put_by_id),
    Route("DELETE", "/data/subjects/{subject}", delete),
    Route("GET", "/data/subjects/{subject}/status", get_status),
    Route("GET", "/data/projects/{project}/subjects", list_of_project),
    Route("POST", "/data/projects/{project}/subjects", post_of_project),
    Route("GET", "/data/projects/{project}/subjects/{subject}", get_subject),
    Route("PUT", "/data/projects/{project}/subjects/{subject}", put_of_project),
    Route("DELETE", "/data/projects/{project}/subjects/{subject}", delete),
    Route("GET", "/data/projects/{project}/subjects/{subject}/status", get_status),
]
