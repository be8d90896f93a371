"""``POST /xapi/overread/projects/P/experiments/E/empty-mask``: a reader says that there is nothing to be seen.

Viewers can't store a segmentation without voxels, so the hub writes it: as a correction of what was shown, beside it.
"""

from __future__ import annotations

from datetime import datetime

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.errors import DataError
from overread.hub.access import Access, Right
from overread.hub.areas.dicomweb.store import objects, with_files
from overread.hub.arrival.objects import read_file_header, text
from overread.hub.errors import bad_request, not_found, unprocessable
from overread.hub.http import Call, Route
from overread.hub.items.experiments import find_experiment
from overread.hub.models import Experiment, Instance
from overread.hub.roi.rules import DICOM_TYPES
from overread.hub.roi.store import reader_label, save_collection

_MAX_NAME = 255


def store(call: Call) -> Response:
    """Store an empty mask of the series ``series``, correcting the mask of the series ``corrects`` if that is given."""
    project = call.params["project"]
    session = find_experiment(call.db, project, call.params["experiment"])
    if session is None or session.project != project:
        raise not_found(f"session {call.params['experiment']}")
    call.require_experiment(session, Right.EDIT)
    asked = call.json_object()
    series, corrects = asked.get("series"), asked.get("corrects") or ""
    if not isinstance(series, str) or not series or not isinstance(corrects, str):
        raise bad_request(
            'Name the image series, and the mask\'s series if one is corrected: {"series": ..., "corrects": ...}.'
        )
    images = [
        read_file_header(item.path).dataset
        for item in objects(call.db, call.hub, project, study=session.uid, series=series)
        if item.instance.session_id == session.id
    ]
    if not images:
        raise not_found(f"series {series} of session {session.id}")
    from overread.dicom.normalise import empty_seg  # noqa: PLC0415 - highdicom: the hub starts without it

    now = datetime.now().astimezone()
    try:
        seg = empty_seg(_shown(call, session, corrects), images, reader=call.caller.login, content_datetime=now)
    except DataError as problem:
        raise unprocessable(str(problem)) from problem
    collection = save_collection(
        call.db,
        call.hub,
        session,
        seg,
        label=reader_label(call.caller.login, now),
        collection_type="SEG",
        name=text(seg, "SeriesDescription")[:_MAX_NAME],
        user=call.caller.login,
    )
    return JSONResponse({"collection": collection.id, "series": str(seg.SeriesInstanceUID)}, status_code=201)


def _shown(call: Call, session: Experiment, series: str) -> Dataset | None:
    """Return the segmentation of a series of the session; None if none is named."""
    if not series:
        return None
    found = call.db.scalars(
        select(Instance).where(
            Instance.session_id == session.id,
            Instance.series_instance_uid == series,
            Instance.sop_class_uid.in_(DICOM_TYPES["SEG"]),
        )
    ).all()
    if not found:
        raise not_found(f"mask {series} of session {session.id}")
    return pydicom.dcmread(with_files(call.db, call.hub, found)[0].path)


ROUTES = [Route("POST", "/xapi/overread/projects/{project}/experiments/{experiment}/empty-mask", store, Access.EDIT)]
