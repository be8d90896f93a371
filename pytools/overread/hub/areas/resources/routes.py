"""``.../resources`` and ``.../files``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, readable_projects
from overread.hub.areas.resources.downloads import archive, download, matching
from overread.hub.areas.resources.places import PLACES, items_of, resource_of
from overread.hub.areas.resources.uploads import upload
from overread.hub.errors import HubError, conflict, not_found
from overread.hub.http import Call, Route
from overread.hub.items.catalog import catalog_xml
from overread.hub.items.files import delete_file, delete_resource, ensure_resource, file_path, find_resource, owner_of
from overread.hub.items.listing import Item, Listed, category_of, children_of, list_files, list_resources
from overread.hub.items.serialise import uri_of
from overread.hub.rest.locate import item_of

_RESOURCES = (
    "xnat_abstractresource_id", "label", "element_name", "category", "cat_id", "cat_desc", "file_count", "file_size",
    "tags", "content", "format",
)  # fmt: skip
_FILES = ("Name", "Size", "URI", "collection", "file_tags", "file_format", "file_content", "cat_ID", "digest")


def get_resources(call: Call) -> Response:
    """List resources; with ``all=true`` those of scans and assessors too."""
    items = items_of(call)
    if call.flag("all"):
        items = _with_children(call, items)
    rows = []
    for counted in list_resources(call.db, items):
        category, category_id = category_of(counted.item)
        rows.append(
            {
                "xnat_abstractresource_id": counted.resource.pk,
                "label": counted.resource.label,
                "element_name": "xnat:resourceCatalog",
                "category": category,
                "cat_id": category_id,
                "cat_desc": "",
                "file_count": counted.files,
                "file_size": counted.size,
                "tags": counted.resource.tags,
                "content": counted.resource.content,
                "format": counted.resource.format,
            }
        )
    return answers.table(rows, _RESOURCES, form=call.format, total=len(rows))


def get_resource(call: Call) -> Response:
    """Answer a resource's catalog: XML, whatever format was asked for, as XNAT does."""
    if call.format in {"zip", "tar", "tar.gz", "tgz"}:
        return get_files(call)
    return Response(catalog_xml(call.db, resource_of(call)), media_type="text/xml")


def put_resource(call: Call) -> Response:
    """Make a resource; 409 if it is there."""
    item = item_of(call, Right.EDIT)
    label = call.params["resource"]
    if find_resource(call.db, owner_of(item), label) is not None:
        raise conflict(f"Specified resource {label} already exists.")
    ensure_resource(
        call.db,
        call.hub,
        owner_of(item),
        label,
        format=call.query.get("format", ""),
        content=call.query.get("content", ""),
        tags=call.query.get("tags", ""),
        description=call.query.get("description", ""),
        user=call.caller.login,
    )
    return answers.text()


def delete_resource_of(call: Call) -> Response:
    """Delete a resource with its files; as in XNAT, 200 also when there is none."""
    item = item_of(call, Right.OWN)
    resource = find_resource(call.db, owner_of(item), call.params["resource"])
    if resource is not None:
        delete_resource(call.db, call.hub, resource)
    return answers.text()


def get_files(call: Call) -> Response:
    """List files, or give them all as one archive."""
    files = _files(call)
    if call.format in {"zip", "tar", "tar.gz", "tgz"}:
        return archive(call, files)
    return _listing(call, files)


def _files(call: Call) -> list[Listed]:
    if "resource" in call.params:
        labels = call.params["resource"].split(",")
        files = list_files(call.db, items_of(call), labels=labels)
        if not files and len(labels) == 1 and not call.flag("accept-not-found"):
            resource_of(call)  # 404 if there is none; an empty one lists nothing
    else:
        items = items_of(call)
        if call.flag("all"):
            items = _with_children(call, items)
        files = list_files(call.db, items)
    return _filtered(call, files)


def _with_children(call: Call, items: list[Item]) -> list[Item]:
    readable = readable_projects(call.db, call.caller)
    return [*items, *(child for item in items for child in children_of(call.db, item, readable))]


def _filtered(call: Call, files: list[Listed]) -> list[Listed]:
    for name in ("file_content", "file_format"):
        if name in call.query:
            wanted = set(call.query[name].split(","))
            field = name.removeprefix("file_")
            files = [one for one in files if (getattr(one.file, field) or "NULL") in wanted]
    if call.query.get("index", "").isdecimal():
        position = int(call.query["index"])
        files = files[position : position + 1]
    return files


def _listing(call: Call, files: list[Listed]) -> Response:
    rows = list(_rows(call, files))
    locator = call.query.get("locator", "")
    columns = [locator if name == "URI" and locator in {"absolutePath", "projectPath"} else name for name in _FILES]
    extra = {"Columns": [{"key": name} for name in columns]}
    return answers.table(rows, columns, form=call.format, total=len(rows), extra=extra)


def _rows(call: Call, files: list[Listed]) -> Iterator[dict[str, Any]]:
    locator = call.query.get("locator", "")
    for one in files:
        base = uri_of(one.item).replace("/archive/", "/data/", 1)
        row = {
            "Name": one.file.path.rpartition("/")[2],
            "Size": one.file.size,
            "URI": f"{base}/resources/{one.resource.pk}/files/{quote(one.file.path)}",
            "collection": one.resource.label,
            "file_tags": one.file.tags,
            "file_format": one.file.format,
            "file_content": one.file.content,
            "cat_ID": one.resource.pk,
            "digest": one.file.digest,
        }
        if locator in {"absolutePath", "projectPath"}:
            path = file_path(call.db, call.hub, one.file)
            row[locator] = path if locator == "absolutePath" else path.relative_to(call.hub.layout.archive)
        yield row


def get_file(call: Call) -> Response:
    """Give one file; a path that ends in ``/`` or holds ``*`` lists, or makes an archive."""
    path = call.params["path"]
    if not path:
        return get_files(call)
    files = _files(call)
    found = next((one for one in files if one.file.path == path), None)
    several = [] if found is not None else matching(files, path, recursive=call.query.get("recursive") != "false")
    if found is None and not several:
        if call.flag("accept-not-found"):
            return Response(status_code=204)
        raise not_found(f"file {path}")
    if call.format in {"zip", "tar", "tar.gz", "tgz"}:
        return archive(call, several or ([found] if found else []))
    return download(call, found) if found is not None else _listing(call, several)


def delete_files(call: Call) -> Response:
    """Delete a file, or a folder of files."""
    resource_of(call, Right.OWN)
    files = _files(call)
    path = call.params["path"]
    found = [one for one in files if one.file.path == path] or matching(files, path.rstrip("/") + "/", recursive=True)
    if not found:
        if call.flag("accept-not-found"):
            return Response(status_code=204)
        raise HubError(404, f"No file matches {path}.")
    for one in found:
        delete_file(call.db, call.hub, one.file)
    return answers.text()


def no_resources(call: Call) -> Response:
    """List the resources that an assessor was made from, XNAT's ``in``: the hub keeps none."""
    item_of(call)
    return answers.table([], _RESOURCES, form=call.format, total=0)


def no_files(call: Call) -> Response:
    """List their files."""
    item_of(call)
    return answers.table([], _FILES, form=call.format, total=0)


_ASSESSORS = tuple(place.removesuffix("/out") for place in PLACES if place.endswith("/out"))

ROUTES = [
    *(Route("GET", f"{place}/in/resources", no_resources) for place in _ASSESSORS),
    *(Route("GET", f"{place}/in/files", no_files) for place in _ASSESSORS),
    *(
        route
        for place in PLACES
        for route in (
            Route("GET", f"{place}/resources", get_resources),
            Route("GET", f"{place}/resources/{{resource}}", get_resource),
            Route("PUT POST", f"{place}/resources/{{resource}}", put_resource),
            Route("DELETE", f"{place}/resources/{{resource}}", delete_resource_of),
            Route("GET", f"{place}/resources/{{resource}}/files", get_files),
            Route("PUT POST", f"{place}/resources/{{resource}}/files", upload),
            Route("GET", f"{place}/resources/{{resource}}/files/{{path:path}}", get_file),
            Route("PUT POST", f"{place}/resources/{{resource}}/files/{{path:path}}", upload),
            Route("DELETE", f"{place}/resources/{{resource}}/files/{{path:path}}", delete_files),
            Route("GET", f"{place}/files", get_files),
            Route("GET", f"{place}/files/{{path:path}}", get_file),
        )
    ),
]
