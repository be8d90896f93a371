"""Giving files: one, with ranges and conditions, or many as an archive made while it is sent."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from overread.hub.errors import bad_request, not_found
from overread.hub.http import Call
from overread.hub.items.archives import tar_stream, zip_stream
from overread.hub.items.files import file_path
from overread.hub.items.listing import Listed, archive_entries

_SHOWN = {
    "bmp": "image/bmp", "gif": "image/gif", "jpg": "image/jpeg", "jpeg": "image/jpeg", "pdf": "application/pdf",
    "png": "image/png", "tiff": "image/tiff", "txt": "text/plain",
}  # fmt: skip
_SAVED = {"html": "text/html", "svg": "image/svg+xml", "xml": "text/xml", "json": "application/json"}
"""Types that XNAT shows too. Shown from the hub's own origin, an uploaded page could act as whoever looks at it."""


def download(call: Call, found: Listed) -> Response:
    """Give one file."""
    path = file_path(call.db, call.hub, found.file)
    try:
        changed = path.stat().st_mtime
    except OSError:
        raise not_found(
            f"file {found.file.path} on disk, though its catalog has it: an administrator must look, then refresh the "
            "catalog (POST /data/services/refresh/catalog)"
        ) from None
    etag = f'"{found.file.digest}"'
    headers = {
        "cache-control": "must-revalidate",
        "etag": etag,
        "last-modified": formatdate(changed, usegmt=True),
        "x-content-type-options": "nosniff",
    }
    if _is_known(call, etag, changed):
        return Response(status_code=304, headers=headers)
    name = found.file.path.rpartition("/")[2]
    ending = name.rpartition(".")[2].lower()
    media_type = _SHOWN.get(ending) or _SAVED.get(ending) or "application/octet-stream"
    if ending not in _SHOWN:
        headers["content-disposition"] = _attachment(name)
    return FileResponse(path, headers=headers, media_type=media_type)


def _is_known(call: Call, etag: str, changed: float) -> bool:
    """Whether the caller has this version of the file; without a tag its time of change counts (RFC 9110)."""
    tags = call.request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since = call.request.headers.get("if-modified-since", "")
    try:
        return int(changed) <= parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False


def archive(call: Call, files: Sequence[Listed]) -> Response:
    """Give files as zip, tar or tar.gz."""
    if not files:
        raise not_found("files for the archive")
    entries = archive_entries(call.db, call.hub, files)
    name = entries[0].name.partition("/")[0]
    if call.format == "zip":
        level = call.query.get("compression", "1")
        if level not in "0123456789" or len(level) != 1:
            raise bad_request(f"compression={level}: use 0 to 9.")
        headers = {"content-disposition": _attachment(f"{name}.zip")}
        return StreamingResponse(zip_stream(entries, level=int(level)), media_type="application/zip", headers=headers)
    compressed = call.format != "tar"
    return StreamingResponse(
        tar_stream(entries, compressed=compressed),
        media_type="application/gzip" if compressed else "application/x-tar",
        headers={"content-disposition": _attachment(f"{name}.{'tar.gz' if compressed else 'tar'}")},
    )


def matching(files: Sequence[Listed], path: str, *, recursive: bool) -> list[Listed]:
    """Return the files below the folder `path` (it ends in ``/``), or that match its ``*``."""
    if path.endswith("/"):
        below = [one for one in files if one.file.path.startswith(path)]
        return below if recursive else [one for one in below if "/" not in one.file.path[len(path) :]]
    if "*" in path:
        return [one for one in files if fnmatch.fnmatchcase(one.file.path, path)]
    return []


def _attachment(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
