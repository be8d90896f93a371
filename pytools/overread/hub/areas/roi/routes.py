"""``/xapi/roi``: what XNAT's OHIF plugin answers, with its codes."""

from __future__ import annotations

from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select
from starlette.responses import FileResponse, JSONResponse, Response

from overread.errors import DataError
from overread.hub import answers
from overread.hub.access import Access, Right, right_in
from overread.hub.arrival.objects import json_value, read_file_header, text
from overread.hub.errors import HubError, bad_request, conflict, not_found, unprocessable
from overread.hub.http import Call, Route
from overread.hub.items.deletion import delete_experiment
from overread.hub.items.experiments import SESSION_BASE, find_experiment
from overread.hub.models import Experiment, Instance, Resource, ResourceFile, Scan, Subject
from overread.hub.roi.rules import DICOM_TYPES, check_content, check_modality
from overread.hub.roi.store import content_path, find_collection, save_collection

_PROJECT: Final = "/xapi/roi/projects/{project}"
_OCTETS: Final = "application/octet-stream"
_TYPES: Final = ("AIM", "RTSTRUCT", "SEG", "MEAS")
_MAX_NAME: Final = 255


def put_collection(call: Call) -> Response:
    """Store a collection; the rules are asked in XNAT's order."""
    session = _session(call)
    call.require_experiment(session, Right.EDIT)  # a lent session's collections belong to its own project
    label, kind = call.params["label"], call.query.get("type", "").upper()
    if call.request.headers.get("content-type", "").split(";")[0].strip().lower() != _OCTETS:
        raise HubError(415, f"Send the collection as {_OCTETS}.")
    if kind not in _TYPES:
        raise bad_request(f"type={kind!r}: one of {', '.join(_TYPES)}.")
    check_modality(session, kind)
    if kind not in DICOM_TYPES:
        raise HubError(501, f"The hub keeps SEG and RTSTRUCT collections, not {kind}.")
    existing = find_experiment(call.db, call.params["project"], label)
    if existing is not None and existing.session_id != session.id:
        raise conflict(f"ROI collection label {label} is in use for another session.")
    if existing is not None and not call.flag("overwrite"):
        raise unprocessable("ROI collection exists, overwrite not specified")
    if not call.uploads:
        raise bad_request("There is no collection in the request.")
    path = call.uploads[0].path
    try:
        dataset = read_file_header(path).dataset
    except DataError as problem:
        raise unprocessable(f"The collection can't be read: {problem}") from problem
    check_content(call.db, session, dataset, kind)
    collection = save_collection(
        call.db,
        call.hub,
        session,
        path,
        label=label,
        collection_type=kind,
        name=_name(dataset)[:_MAX_NAME] or label,
        user=call.caller.login,
    )
    return answers.text(collection.id)


def get_collection(call: Call) -> Response:
    """Send a collection's file."""
    collection = _collection(call)
    stored, wanted = str(collection.fields.get("collectionType") or ""), call.query.get("type", "").upper()
    if wanted and wanted != stored:
        raise unprocessable(f"Collection {collection.label} is of type {stored}, which is not converted to {wanted}.")
    path = content_path(call.db, call.hub, collection)
    return FileResponse(path, media_type=_OCTETS, filename=path.name)


def delete_collection(call: Call) -> Response:
    """Delete a collection."""
    found = find_collection(call.db, call.params["project"], call.params["label"])
    if found is None:
        raise unprocessable(f"Unknown ROI collection {call.params['label']}")
    call.require_experiment(found, Right.OWN)  # it may be lent to this project and belong to another
    delete_experiment(call.db, call.hub, found, user=call.caller.login, remove_files=True)
    return answers.text()


def exists(call: Call) -> Response:
    """Say whether there is such a collection."""
    return JSONResponse(find_collection(call.db, call.params["project"], call.params["label"]) is not None)


def rois(call: Call) -> Response:
    """List the regions of a collection."""
    collection = _collection(call)
    dataset = dcmread(content_path(call.db, call.hub, collection), stop_before_pixels=True)
    segments = [(segment, "SegmentNumber", "SegmentLabel") for segment in dataset.get("SegmentSequence") or ()]
    structures = [(item, "ROINumber", "ROIName") for item in dataset.get("StructureSetROISequence") or ()]
    return JSONResponse(
        [
            {
                "collectionId": collection.id,
                "roiNumber": json_value(item, number),
                "name": text(item, name),
                "uid": text(item, "TrackingUID"),
            }
            for item, number, name in [*segments, *structures]
        ]
    )


def uid_map(call: Call) -> Response:
    """Tell which series is which scan of a session."""
    scans = call.db.scalars(select(Scan).where(Scan.session_id == _session(call).id).order_by(Scan.pk))
    return JSONResponse({scan.uid: scan.id for scan in scans if scan.uid})


def scan_uids(call: Call) -> Response:
    """List the SOP Instance UIDs of a scan."""
    session = _session(call)
    scan = call.db.scalar(select(Scan).where(Scan.session_id == session.id, Scan.id == call.params["scan"]))
    if scan is None:
        raise not_found(f"scan {call.params['scan']}")
    uids = call.db.scalars(
        select(Instance.sop_instance_uid)
        .join(ResourceFile, ResourceFile.pk == Instance.file_pk)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .where(Resource.owner_kind == "scan", Resource.owner_id == str(scan.pk))
        .order_by(Instance.instance_number, Instance.pk)
    )
    return JSONResponse(list(uids))


def containers(call: Call) -> Response:
    """List the sessions of a study."""
    sessions = call.db.scalars(
        select(Experiment).where(
            Experiment.project == call.params["project"],
            Experiment.uid == call.params["study"],
            Experiment.session_id.is_(None),
        )
    )
    rows = []
    for session in sessions:
        subject = call.db.get(Subject, session.subject_id)
        rows.append(
            {
                "projectId": session.project,
                "subjectId": session.subject_id,
                "subjectLabel": subject.label if subject is not None else "",
                "sessionId": session.id,
                "sessionLabel": session.label,
                "xsiType": session.xsi_type,
            }
        )
    return JSONResponse(rows)


def permissions(call: Call) -> Response:
    """Tell what the caller may do with collections of the project."""
    right = right_in(call.db, call.caller, call.params["project"])
    level = right.value if right is not None else 0
    edits, owns = level >= Right.EDIT.value, level >= Right.OWN.value
    return JSONResponse({"create": edits, "read": level > 0, "edit": edits, "delete": owns, "activate": edits})


def _session(call: Call) -> Experiment:
    """Return the session of the path, which names it by its accession ID."""
    session = call.db.get(Experiment, call.params["session"])
    if session is None or find_experiment(call.db, call.params["project"], session.id) is None:
        raise not_found(f"session {call.params['session']}")
    if not call.hub.schemas.is_a(session.xsi_type, SESSION_BASE):
        raise unprocessable(f"{session.id} is no image session.")
    return session


def _collection(call: Call) -> Experiment:
    found = find_collection(call.db, call.params["project"], call.params["label"])
    if found is None:
        raise not_found(f"ROI collection {call.params['label']}")
    return found


def _name(dataset: Dataset) -> str:
    return text(dataset, "SeriesDescription") or text(dataset, "StructureSetLabel")


ROUTES = [
    Route("PUT", _PROJECT + "/sessions/{session}/collections/{label}", put_collection, Access.EDIT),
    Route("GET", _PROJECT + "/collections/{label}", get_collection, Access.READ),
    Route("DELETE", _PROJECT + "/collections/{label}", delete_collection, Access.OWN),
    Route("GET", _PROJECT + "/exists/{label}", exists, Access.READ),
    Route("GET", _PROJECT + "/rois/{label}", rois, Access.READ),
    Route("GET", _PROJECT + "/sessions/{session}/uididmap", uid_map, Access.READ),
    Route("GET", _PROJECT + "/sessions/{session}/scans/{scan}/uids", scan_uids, Access.READ),
    Route("GET", _PROJECT + "/containers/{study}", containers, Access.READ),
    Route("GET", _PROJECT + "/permissions/{element}", permissions, Access.READ),
]
