"""``/data/search/saved`` and ``/data/projects/P/searches``: searches that are kept under a name, and run again."""

from __future__ import annotations

from defusedxml.ElementTree import fromstring
from sqlalchemy import select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right, may, readable_projects
from overread.hub.areas.search.query import XDAT, read_search
from overread.hub.areas.search.routes import run
from overread.hub.errors import bad_request, conflict, forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.layout import safe_name
from overread.hub.models import StoredSearch
from overread.hub.rest.locate import project_of

_COLUMNS = ("id", "root_element_name", "brief_description", "description", "tag", "secure", "users")


def listed(call: Call) -> Response:
    """List the searches that the caller may use: those of no project, or of the one that ``includeTag`` names."""
    tag = call.query.get("includeTag", "")
    query = select(StoredSearch).order_by(StoredSearch.id)
    if tag == "true":
        query = query.where(StoredSearch.tag.in_(readable_projects(call.db, call.caller)))
    else:
        query = query.where(StoredSearch.tag == tag)
    rows = [
        {
            "id": one.id,
            "root_element_name": one.root,
            "brief_description": one.brief_description,
            "description": one.description,
            "tag": one.tag,
            "secure": int(one.secure),
            "users": ",".join(one.allowed_users),
        }
        for one in call.db.scalars(query)
        if _may_use(call, one)
    ]
    return answers.table(rows, _COLUMNS, form=call.format, total=len(rows))


def show(call: Call) -> Response:
    """Answer a search's document."""
    return Response(_found(call).document, media_type="text/xml")


def results(call: Call) -> Response:
    """Run a search: the caller sees of its rows what the caller may read."""
    return run(call, read_search(_found(call).document.encode()))


def put(call: Call) -> Response:
    """Keep a search, or change the one of that name."""
    name, tag = safe_name(call.params["search"]), _tag(call, Right.OWN)
    document = read_search(call.body())  # 422 if it is none
    if call.hub.schemas.spelled(document.root) is None:
        raise bad_request(f"{document.root!r} is no data type.")
    bundle = fromstring(call.body())
    known = call.db.get(StoredSearch, name)
    if known is None:
        known = StoredSearch(id=name, tag=tag, user=call.caller.login)
        call.db.add(known)
    elif known.tag != tag:
        raise conflict(f"There is a search {name} already, of another project or of the site.")
    else:
        _require_change(call, known)
    known.root, known.document = document.root, call.text()
    known.brief_description, known.description = bundle.get("brief-description", ""), bundle.get("description", "")
    known.secure = bundle.get("secure", "1").lower() not in {"0", "false"}
    known.allowed_users = [one.text.strip() for one in bundle.iter(f"{XDAT}login") if one.text]
    call.db.flush()
    return answers.text()


def delete(call: Call) -> Response:
    """Take a search away."""
    found = _found(call)
    _require_change(call, found)
    call.db.delete(found)
    return answers.text()


def _tag(call: Call, right: Right) -> str:
    return project_of(call, right).id if "project" in call.params else ""


def _found(call: Call) -> StoredSearch:
    name = call.params["search"]
    found = call.db.get(StoredSearch, name)
    if found is None or not _may_use(call, found) or ("project" in call.params and found.tag != _tag(call, Right.READ)):
        raise not_found(f"search {name}")
    return found


def _may_use(call: Call, one: StoredSearch) -> bool:
    if call.caller.is_admin or call.caller.login in {one.user, *one.allowed_users}:
        return True
    return may(call.db, call.caller, one.tag, Right.READ) if one.tag else not one.secure


def _require_change(call: Call, one: StoredSearch) -> None:
    if one.tag:
        call.require(one.tag, Right.OWN)
    elif not call.caller.is_admin and call.caller.login != one.user:
        raise forbidden(f"Search {one.id} is {one.user}'s.")


_PLACES = ("/data/search/saved/{search}", "/data/projects/{project}/searches/{search}")

ROUTES = [
    Route("GET", "/data/search/saved", listed),
    *(Route("GET", place, show) for place in _PLACES),
    *(Route("PUT", place, put) for place in _PLACES),
    *(Route("DELETE", place, delete) for place in _PLACES),
    *(Route("GET", f"{place}/results", results) for place in _PLACES),
]
