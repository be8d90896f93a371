"""``.../experiments/E/scans``, and the scan types of a project or the site."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.errors import bad_request, conflict, unprocessable
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_scan
from overread.hub.items.document import Document
from overread.hub.items.scans import SCAN_BASE, find_scan, save_scan
from overread.hub.models import Experiment, Scan
from overread.hub.rest import lists
from overread.hub.rest.columns import Source
from overread.hub.rest.fields import body_document, read_fields, sent_values
from overread.hub.rest.items import answer_item, posted
from overread.hub.rest.locate import experiment_of, project_of, scan_of

_COLUMNS = ("xnat_imagescandata_id", "ID", "type", "quality", "xsiType", "note", "series_description")


def list_scans(call: Call) -> Response:
    """List a session's scans. As in XNAT, filters are dropped and columns honoured."""
    session = experiment_of(call)
    source = Source(call.hub.schemas, SCAN_BASE, Scan)
    return lists.answer(
        call,
        source,
        lists.wanted_columns(call, source, _COLUMNS),
        where=[Scan.session_id == session.id],
        order=Scan.pk,
        uri_prefix=f"/data/experiments/{session.id}/scans/",
        uri_key=Scan.id,
        filtered=False,
    )


def get_scan(call: Call) -> Response:
    """Answer one scan."""
    return answer_item(call, scan_of(call))


def put_scan(call: Call) -> Response:
    """Make or change a scan; as in XNAT the answer is empty, with 200 for both."""
    session = _session(call)
    document = _document(call, find_scan(call.db, session.id, call.params["scan"]))
    _save(call, session, document, call.params["scan"])
    return answers.text()


def post_scan(call: Call) -> Response:
    """Make a scan; without an ID it gets the next free number."""
    session = _session(call)
    document = _document(call, None)
    scan_id = call.query.get("ID") or document.fields.get("ID", "")
    if scan_id and find_scan(call.db, session.id, scan_id) is not None:
        raise conflict(f"Scan {scan_id} exists already.")
    scan = _save(call, session, document, scan_id)
    return posted(call, f"/data/experiments/{session.id}/scans/{scan.id}")


def _session(call: Call) -> Experiment:
    session = experiment_of(call, Right.EDIT)
    if not call.hub.schemas.is_a(session.xsi_type, "xnat:imageSessionData"):
        raise unprocessable(f"{session.id} is a {session.xsi_type}: only image sessions have scans.")
    return session


def _document(call: Call, existing: Scan | None) -> Document:
    document = body_document(call)
    schemas = call.hub.schemas
    wanted = call.query.get("xsiType") or (document.xsi_type if document else existing.xsi_type if existing else "")
    xsi_type = schemas.spelled(wanted) or wanted
    if wanted and schemas.type(xsi_type) is None:
        raise bad_request(f"Unknown data type {wanted!r}.")
    if not wanted:
        return Document("")
    sent = read_fields(schemas, xsi_type, sent_values(call))
    if document is None:
        return sent
    document.fields.update(sent.fields)
    document.children.update(sent.children)
    return document


def _save(call: Call, session: Experiment, document: Document, scan_id: str) -> Scan:
    return save_scan(
        call.db,
        call.hub,
        session,
        scan_id=scan_id,
        xsi_type=document.xsi_type,
        fields=document.fields,
        children=document.children,
        user=call.caller.login,
        replace=call.flag("allowDataDeletion"),
    )


def delete(call: Call) -> Response:
    """Delete a scan and its folder."""
    delete_scan(call.db, call.hub, scan_of(call, Right.OWN))
    return answers.text()


def list_scan_types(call: Call) -> Response:
    """List the scan types in use, in a project or in all that the caller may read."""
    projects = {project_of(call).id} if "project" in call.params else readable_projects(call.db, call.caller)
    query = (
        select(Scan.type)
        .join(Experiment, Experiment.id == Scan.session_id)
        .where(Experiment.project.in_(projects), Scan.type != "")
        .distinct()
        .order_by(Scan.type)
    )
    rows = [{"type": name} for name in call.db.scalars(query)]
    return answers.table(rows, ("type",), form=call.format, total=len(rows))


_SESSIONS = (
    "/data/experiments/{experiment}",
    "/data/projects/{project}/subjects/{subject}/experiments/{experiment}",
)

ROUTES = [
    *(Route("GET", f"{place}/scans", list_scans) for place in _SESSIONS),
    *(Route("POST", f"{place}/scans", post_scan) for place in _SESSIONS),
    *(Route("GET", f"{place}/scans/{{scan}}", get_scan) for place in _SESSIONS),
    *(Route("PUT", f"{place}/scans/{{scan}}", put_scan) for place in _SESSIONS),
    *(Route("DELETE", f"{place}/scans/{{scan}}", delete) for place in _SESSIONS),
    Route("GET", "/data/scan_types", list_scan_types),
    Route("GET", "/data/projects/{project}/scan_types", list_scan_types),
]
