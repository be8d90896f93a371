"""``/data/services/import``."""

from __future__ import annotations

from typing import Final, Literal

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Access, Right, may
from overread.hub.areas.importer import store
from overread.hub.areas.importer.unpack import entries, is_archive
from overread.hub.areas.prearchive.store import editable_projects
from overread.hub.arrival.assignment import Hints, find_project
from overread.hub.errors import HubError, bad_request, forbidden, not_found
from overread.hub.http import Call, Route, Upload

_HANDLERS: Final = {"si": "SI", "dicom-zip": "DICOM-zip", "gradual-dicom": "gradual-DICOM"}


def import_(call: Call) -> Response:
    """Import one file: a DICOM object, or an archive of them. The answer names the sessions, one path a line."""
    upload = _upload(call)
    values = {**call.form, **call.query}
    handler = _handler(values.get("import-handler", ""), upload)
    if handler == "gradual-DICOM":
        files = iter([store.file_pieces(upload.path)])
        options = _options(call, values, handler)
        imported = store.take_files(call.hub, files, options)
    else:
        if not is_archive(upload.path):
            raise bad_request("Unable to identify upload format: send a zip or tar.gz of DICOM files.")
        options = _options(call, values, handler)
        imported = store.take_files(call.hub, entries(upload.path, max_bytes=call.hub.config.max_upload_bytes), options)
    with call.hub.database.write() as db:
        uris = store.finish(db, call.hub, imported, options)
    return answers.text("".join(f"{uri}\r\n" for uri in uris))


def _upload(call: Call) -> Upload:
    if len(call.uploads) != 1:
        raise bad_request(
            "Importer is limited to one uploaded resource at a time."
            if call.uploads
            else "There is no file in the request."
        )
    return call.uploads[0]


def _handler(asked: str, upload: Upload) -> str:
    if asked:
        known = _HANDLERS.get(asked.lower())
        if known is None:
            raise HubError(404, f"Unsupported import-handler: {asked}")
        return known
    return "gradual-DICOM" if upload.content_type.startswith("application/dicom") else "SI"


def _options(call: Call, values: dict[str, str], handler: str) -> store.Options:
    dest = store.parse_destination(values.get("dest", ""))
    project = dest.project or values.get("PROJECT_ID", "") or values.get("project", "")
    if project:
        found = find_project(call.db, project)
        if not found:
            raise not_found(f"project {project}")
        if not may(call.db, call.caller, found, Right.EDIT):
            raise forbidden(f"The user may not import into project {found}.")
        project = found
    commits = handler == "SI" or values.get("action", "").lower() == "commit" or "dest" in values
    commits = commits and store.flag(values, "prevent_auto_commit") is not True
    given = values.get("overwrite", "").lower()
    overwrite: Literal["none", "append"] = "append" if given in {"append", "delete", "override"} else "none"
    skip = store.flag(values, "Ignore-Unparsable")
    return store.Options(
        hints=Hints(
            project=project,
            subject=dest.subject or values.get("SUBJECT_ID", "") or values.get("subject", ""),
            session=dest.session or values.get("EXPT_LABEL", "") or values.get("session", ""),
            auto_archive=store.flag(values, "auto-archive", "AA"),
            projects=frozenset(editable_projects(call.db, call.caller)),
            prevent_anon=store.flag(values, "prevent_anon") is True,
            prevent_auto_commit=store.flag(values, "prevent_auto_commit") is True,
            source=values.get("SOURCE", ""),
            visit=values.get("VISIT", ""),
        ),
        source=f"import {handler} by {call.caller.login}",
        user=call.caller.login,
        commit=commits,
        archive=True if dest.archive else store.flag(values, "auto-archive", "AA"),
        overwrite=overwrite,
        skip_unreadable=commits if skip is None else skip,
    )


ROUTES = [
    # Each object is stored in a transaction of its own, so this one only reads.
    Route("POST", "/data/services/import", import_, Access.USER, writes=False),
]
