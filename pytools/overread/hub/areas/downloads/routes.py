"""``/xapi/archive/download`` and ``downloadwithsize``."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response, StreamingResponse

from overread.hub import answers
from overread.hub.areas.downloads.selection import Selection, as_xml, choose, chosen, entries
from overread.hub.errors import not_found
from overread.hub.http import Call, Route
from overread.hub.items.archives import zip_stream

_XML = "application/xml"


def create(call: Call) -> Response:
    """Choose sessions and what of them; the answer is the selection's id."""
    selection = _choose(call)
    return answers.text(selection.id) if selection is not None else Response(status_code=204)


def create_with_size(call: Call) -> Response:
    """Choose, and tell how many bytes that is."""
    selection = _choose(call)
    if selection is None:
        return Response(status_code=204)
    size = sum(part.size for part in selection.parts)
    return JSONResponse({"id": selection.id, "size": str(size), "resourcesOfUnknownSize": "0"})


def show(call: Call) -> Response:
    """Give the selection as a catalog."""
    return Response(as_xml(_chosen(call)), media_type=_XML)


def download_xml(call: Call) -> Response:
    """Give the same to be saved."""
    selection = _chosen(call)
    return Response(as_xml(selection), media_type=_XML, headers=_attachment(selection, "xml"))


def download_zip(call: Call) -> Response:
    """Give the files of the selection."""
    selection = _chosen(call)
    found = entries(call.db, call.hub, call.caller, selection)
    if not found:
        raise not_found(f"files of {selection.id}")
    return StreamingResponse(zip_stream(found), media_type="application/zip", headers=_attachment(selection, "zip"))


def _choose(call: Call) -> Selection | None:
    wanted = call.json_object()
    if not wanted.get("sessions") or not (wanted.get("projectIds") or wanted.get("projectId")):
        return None
    return choose(call.db, call.hub, call.caller, wanted)


def _chosen(call: Call) -> Selection:
    return chosen(call.hub, call.caller, call.params["id"])


def _attachment(selection: Selection, ending: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{selection.id}.{ending}"'}


_BASE = "/xapi/archive/download"

ROUTES = [
    # Choosing changes no data: only a file of the caller's is written.
    Route("POST", _BASE, create, writes=False),
    Route("POST", "/xapi/archive/downloadwithsize", create_with_size, writes=False),
    Route("GET", f"{_BASE}/{{id}}", show),
    Route("GET", f"{_BASE}/{{id}}/xml", download_xml),
    Route("GET", f"{_BASE}/{{id}}/zip", download_zip),
]
