"""``/data/services/import``, and requests of the inbox."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.areas.importer import store
from overread.hub.areas.importer.inbox import import_inbox
from overread.hub.areas.importer.options import read_handler, read_options
from overread.hub.areas.importer.unpack import entries, is_archive
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route, Upload


def import_(call: Call) -> Response:
    """Import one file: a DICOM object, or an archive of them. The answer names the sessions, one path a line."""
    values = {**call.form, **call.query}
    handler = read_handler(values.get("import-handler", ""), call.uploads[0].content_type if call.uploads else "")
    if handler == "inbox":
        request = import_inbox(call, values, read_options(call, values, handler))
        return answers.text(f"/xapi/dicom/{request.id}\r\n")
    upload = _upload(call)
    options = read_options(call, values, handler)
    if handler == "gradual-DICOM":
        imported = store.take_files(call.hub, iter([store.file_pieces(upload.path)]), options)
    elif is_archive(upload.path):
        imported = store.take_files(call.hub, entries(upload.path, max_bytes=call.hub.config.max_upload_bytes), options)
    else:
        raise bad_request("Unable to identify upload format: send a zip or tar.gz of DICOM files.")
    uris = store.finish(call.hub, imported, options)
    return answers.text("".join(f"{uri}\r\n" for uri in uris))


def list_active(_call: Call) -> Response:
    """List the imports from the inbox that wait: each is carried out at once."""
    return JSONResponse([])


def list_requests(call: Call) -> Response:
    """List the imports from the inbox."""
    return JSONResponse([request.document() for request in call.hub.inbox.visible(call.caller)])


def get_request(call: Call) -> Response:
    """Describe one import from the inbox."""
    return JSONResponse(call.hub.inbox.get(call.caller, call.params["id"]).document())


def _upload(call: Call) -> Upload:
    if len(call.uploads) != 1:
        raise bad_request(
            "Importer is limited to one uploaded resource at a time."
            if call.uploads
            else "There is no file in the request."
        )
    return call.uploads[0]


ROUTES = [
    # Each object is stored in a transaction of its own, so this one only reads.
    Route("POST", "/data/services/import", import_, writes=False, files_first=True),
    Route("GET", "/xapi/dicom/list/active", list_active),
    Route("GET", "/xapi/dicom/list/all", list_requests),
    Route("GET", "/xapi/dicom/{id}", get_request),
]
