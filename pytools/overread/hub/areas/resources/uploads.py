"""Taking files: raw bodies, forms, archives to take apart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right
from overread.hub.errors import bad_request
from overread.hub.http import Call, Upload
from overread.hub.items.announce import announce
from overread.hub.items.archives import is_archive, unpack
from overread.hub.items.files import add_file, ensure_resource, find_resource, owner_of
from overread.hub.items.instances import index_upload
from overread.hub.models import Resource
from overread.hub.rest.locate import item_of

_RAW_TYPES = frozenset(
    {
        "application/octet-stream", "application/zip", "application/x-tar", "application/x-gtar", "application/x-gzip",
        "application/gzip", "application/pdf", "application/dicom", "application/xar", "application/vnd.ms-excel",
        "text/plain", "text/xml", "text/csv", "image/*", "video/*", "application/*", "text/*",
    }
)  # fmt: skip
"""Types that XNAT takes as a file without ``inbody=true``. The last four are no patterns there either."""


def upload(call: Call) -> Response:
    """Store the files of a call in a resource, which is made if need be.

    A file that is there is kept unless ``overwrite=true``; the answer then names it. Who may not edit gets 403 (XNAT:
    200, and nothing is stored).
    """
    item = item_of(call, Right.EDIT)
    if "reference" in call.query:
        raise bad_request("reference=: the hub takes no files from its own disk. Send them.")
    files = list(_named(call))
    owner = owner_of(item)
    resource = find_resource(call.db, owner, call.params["resource"])
    made = resource is None
    if resource is None:
        resource = ensure_resource(
            call.db,
            call.hub,
            owner,
            call.params["resource"],
            format=call.query.get("format", ""),
            content=call.query.get("content", ""),
            tags=call.query.get("tags", ""),
            user=call.caller.login,
        )
    duplicates = _store(call, resource, files)
    if not made:
        announce(call.db, call.hub, resource, "UPDATED", user=call.caller.login)
    if duplicates:
        return Response(answers.json_text({"duplicates": duplicates}), media_type="text/html")
    return answers.text()


def _named(call: Call) -> Iterator[tuple[str, Upload]]:
    """Return the files of a call with the path under which each is to be stored."""
    path = call.params.get("path", "")
    parts = [one for one in call.uploads if one.name]
    if parts:
        for one in parts:
            name = one.name.replace("\\", "/").rpartition("/")[2]
            several = len(parts) > 1 or path.endswith("/") or not path
            yield _checked((f"{path.rstrip('/')}/{name}" if path else name) if several else path, one)
        return
    if not call.uploads:
        raise bad_request("There is no file in the body, or an empty one, which is not stored.")
    raw = call.uploads[0]
    if not call.flag("inbody") and raw.content_type not in _RAW_TYPES:
        raise bad_request(
            f"A body of type {raw.content_type!r} is not taken as a file: add inbody=true, "
            "or send it as application/octet-stream."
        )
    if not path:
        raise bad_request("Name the file: .../files/NAME.")
    yield _checked(path, raw)


def _checked(path: str, file: Upload) -> tuple[str, Upload]:
    if file.size == 0:
        raise bad_request(f"{path} is empty: empty files are not stored.")
    return path, file


def _store(call: Call, resource: Resource, files: list[tuple[str, Upload]]) -> list[str]:
    """Store files; return those that were there already and are kept."""
    duplicates = []
    for path, file in files:
        if call.flag("extract") and is_archive(path):
            folder = path.rpartition("/")[0]
            with tempfile.TemporaryDirectory(dir=call.hub.layout.tmp) as scratch:
                most = call.hub.config.max_upload_bytes
                for inner, written in unpack(file.path, path, folder=Path(scratch), most_bytes=most):
                    name = f"{folder}/{inner}" if folder else inner
                    duplicates += _add(call, resource, name, written)
        else:
            duplicates += _add(call, resource, path, file.path)
    return duplicates


def _add(call: Call, resource: Resource, path: str, source: Path) -> list[str]:
    stored = add_file(
        call.db,
        call.hub,
        resource,
        path,
        source,
        user=call.caller.login,
        overwrite=call.flag("overwrite"),
        format=call.query.get("format", ""),
        content=call.query.get("content", ""),
        tags=call.query.get("tags", ""),
    )
    if stored is None:
        return [path]
    index_upload(call.db, call.hub, resource, stored)
    return []
