"""``/data/services/refresh/catalog`` and ``/xapi/archive/catalogs/refresh``."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from sqlalchemy import select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, may, readable_projects
from overread.hub.areas.catalogs.refresh import Operation, look, read_operations, refresh
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.items.folders import Owner, owner_item, owner_of, session_of
from overread.hub.items.history import Cause, set_cause
from overread.hub.items.listing import Item, children_of
from overread.hub.items.uris import resolve
from overread.hub.models import Experiment, Project, Resource, Scan, Subject
from overread.hub.rest.locate import require_subject

_OPTIONS = ("append", "checksum", "delete", "populateStats")


def refresh_by_query(call: Call) -> Response:
    """Refresh the resources that ``resource`` names, by the operations that ``options`` or their own names tell."""
    given = [*parse_qsl(call.request.url.query, keep_blank_values=True), *call.form.items()]
    words = [word for name, value in given if name == "options" for word in value.split(",")]
    words += [name for name in _OPTIONS if call.flag(name)]
    return _refresh(call, [value for name, value in given if name == "resource"], words)


def refresh_by_list(call: Call) -> Response:
    """Refresh the resources that a JSON list of URIs names."""
    uris = call.json()
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise bad_request("The body must be a JSON list of URIs such as /archive/experiments/ID/resources/LABEL.")
    return _refresh(call, uris, call.params.get("operations", "").split(","))


def _refresh(call: Call, uris: list[str], words: list[str]) -> Response:
    if not uris:
        raise bad_request("Name the resources: resource=/archive/experiments/ID/resources/LABEL.")
    operations = read_operations(words)
    resources = {resource.pk: resource for uri in uris for resource in _resources(call, uri)}
    found = [look(call.db, call.hub, resource, operations) for resource in resources.values()]
    # The call's own transaction only reads: to look into folders and to compute digests may take long.
    with call.hub.database.write() as db:
        set_cause(db, Cause(call.caller.login, "WEB_SERVICE", "Catalog(s) Refreshed", _reason(uris, operations)))
        for one in found:
            refresh(db, call.hub, one, operations, user=call.caller.login)
    return answers.text()


def _reason(uris: list[str], operations: Iterable[Operation]) -> str:
    return f"{', '.join(sorted(one.value for one in operations))} of {', '.join(uris)}"


def _resources(call: Call, uri: str) -> list[Resource]:
    """Return the resource that a URI names, or all of the item that it names and of what hangs on it."""
    found = resolve(call.db, call.hub, uri)
    if isinstance(found, Resource):
        _require_edit(call, owner_item(call.db, Owner(found.owner_kind, found.owner_id)))
        return [found]
    _require_edit(call, found)
    resources: list[Resource] = []
    for item in [found, *children_of(call.db, found, readable_projects(call.db, call.caller))]:
        if isinstance(item, Experiment) and not may(call.db, call.caller, item.project, Right.EDIT):
            continue  # an assessor of another project
        owner = owner_of(item)
        query = select(Resource).where(Resource.owner_kind == owner.kind, Resource.owner_id == owner.id)
        resources += call.db.scalars(query.order_by(Resource.pk))
    return resources


def _require_edit(call: Call, item: Item) -> None:
    match item:
        case Project():
            call.require(item.id, Right.EDIT)
        case Subject():
            require_subject(call, item, Right.EDIT)
        case Scan():
            call.require_experiment(session_of(call.db, item), Right.EDIT)
        case _:
            call.require_experiment(item, Right.EDIT)


_LIST = "/xapi/archive/catalogs/refresh"

ROUTES = [
    Route("POST", "/data/services/refresh/catalog", refresh_by_query, writes=False),
    Route("PUT POST", _LIST, refresh_by_list, writes=False),
    Route("PUT POST", f"{_LIST}/{{operations}}", refresh_by_list, writes=False),
]
