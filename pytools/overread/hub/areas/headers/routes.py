"""``/data/services/dicomdump``."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from starlette.responses import Response

from overread.errors import DataError
from overread.hub import answers
from overread.hub.access import Right
from overread.hub.areas.headers.dump import COLUMNS, dump, read_field
from overread.hub.areas.prearchive import store
from overread.hub.arrival import prearchive
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call, Route
from overread.hub.items.folders import file_path, owner_of, session_of
from overread.hub.items.uris import resolve
from overread.hub.models import Experiment, Instance, Resource, ResourceFile, Scan

_PREARCHIVE = "/prearchive/"
_SESSION_PARTS = 5  # prearchive/projects/P/TIMESTAMP/SESSION
_FILE = "/files/"


def dicom_dump(call: Call) -> Response:
    """Tell the header of a file, or of the first object of a scan, assessor or session that ``src`` names."""
    source = call.query.get("src", "").removeprefix("/data")
    if not source:
        raise bad_request("Name the object: src=/archive/projects/P/experiments/E/scans/1.")
    if call.flag("summary"):
        raise HubError(501, "The hub tells the header of one object, not a summary of many.")
    fields = {read_field(name) for name in call.request.query_params.getlist("field")}
    path = _waiting(call, source) if source.startswith(_PREARCHIVE) else _archived(call, source)
    try:
        rows = dump(path, fields)
    except (DataError, OSError) as problem:
        raise not_found(f"a DICOM header in {source}") from problem
    return answers.table(rows, COLUMNS, form=call.format or "json", total=len(rows))


def _archived(call: Call, source: str) -> Path:
    place, _, name = source.partition(_FILE)
    found = resolve(call.db, call.hub, place)
    item = found
    if isinstance(found, Resource):
        item = resolve(call.db, call.hub, place.rpartition("/resources/")[0])
    if not isinstance(item, Experiment | Scan):
        raise not_found(f"a DICOM object at {source}")
    call.require_experiment(session_of(call.db, item) if isinstance(item, Scan) else item, Right.READ)
    objects = (
        select(ResourceFile)
        .join(Instance, Instance.file_pk == ResourceFile.pk)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .order_by(Instance.series_number, Instance.instance_number, Instance.pk)
    )
    if isinstance(found, Resource):
        objects = objects.where(Resource.pk == found.pk)
    elif isinstance(item, Experiment) and item.session_id is None:
        objects = objects.where(Instance.session_id == item.id, Resource.owner_kind == "scan")
    else:
        owner = owner_of(item)
        objects = objects.where(Resource.owner_kind == owner.kind, Resource.owner_id == owner.id)
    if name:
        objects = objects.where(ResourceFile.path == name)
    file = call.db.scalar(objects.limit(1))
    if file is None:
        raise not_found(f"a DICOM object at {source}")
    return file_path(call.db, call.hub, file)


def _waiting(call: Call, source: str) -> Path:
    parts = source.strip("/").split("/")
    session = store.by_uri(call.db, "/" + "/".join(parts[:_SESSION_PARTS]))
    store.require(call.db, call.caller, session.project)
    rest = parts[_SESSION_PARTS:]
    objects = (
        store.objects_of_scan(call.db, session, rest[1])
        if len(rest) > 1 and rest[0] == "scans"
        else prearchive.objects_of(call.db, session)
    )
    if "files" in rest:
        objects = [one for one in objects if Path(one.path).name == rest[-1]]
    if not objects:
        raise not_found(f"a DICOM object at {source}")
    return call.hub.layout.home / objects[0].path


ROUTES = [Route("GET", "/data/services/dicomdump", dicom_dump)]
