"""``/xapi/dicomscp``."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.dicomscp import store
from overread.hub.database import after_commit
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route


def list_receivers(call: Call) -> Response:
    """List all receivers."""
    return JSONResponse([store.document(call.hub, receiver) for receiver in store.all_receivers(call.db)])


def create(call: Call) -> Response:
    """Make a receiver; its port listens when this answers."""
    receiver = store.save(call.db, call.hub, None, call.json_object())
    after_commit(call.db, call.hub.receivers.reconcile)
    return JSONResponse(store.document(call.hub, receiver))


def show(call: Call) -> Response:
    """Show one receiver."""
    return JSONResponse(store.document(call.hub, store.get(call.db, call.params["id"])))


def show_by_title(call: Call) -> Response:
    """Show the receiver of a title and port."""
    receiver = store.by_title(call.db, call.hub, call.params["title"], call.params["port"])
    return JSONResponse(store.document(call.hub, receiver))


def change(call: Call) -> Response:
    """Change a receiver."""
    receiver = store.save(call.db, call.hub, store.get(call.db, call.params["id"]), call.json_object())
    after_commit(call.db, call.hub.receivers.reconcile)
    return JSONResponse(store.document(call.hub, receiver))


def enable(call: Call) -> Response:
    """Switch a receiver on or off."""
    flag = call.params["flag"].lower()
    if flag not in {"true", "false"}:
        raise bad_request("Say true or false.")
    receiver = store.save(call.db, call.hub, store.get(call.db, call.params["id"]), {"enabled": flag == "true"})
    after_commit(call.db, call.hub.receivers.reconcile)
    return JSONResponse(store.document(call.hub, receiver))


def delete(call: Call) -> Response:
    """Delete a receiver."""
    call.db.delete(store.get(call.db, call.params["id"]))
    after_commit(call.db, call.hub.receivers.reconcile)
    return answers.text()


def start_all(call: Call) -> Response:
    """Open the ports of all enabled receivers again."""
    call.hub.receivers.suspend(suspended=False)
    return _triples(call)


def stop_all(call: Call) -> Response:
    """Close all ports."""
    call.hub.receivers.suspend(suspended=True)
    return _triples(call)


def identifiers(_call: Call) -> Response:
    """List the ways in which objects can be assigned."""
    return JSONResponse(store.IDENTIFIERS)


def _triples(call: Call) -> Response:
    documents = [store.document(call.hub, receiver) for receiver in store.all_receivers(call.db)]
    return JSONResponse([{key: item[key] for key in ("aeTitle", "port", "enabled")} for item in documents])


ROUTES = [
    Route("GET", "/xapi/dicomscp", list_receivers, Access.USER),
    Route("POST", "/xapi/dicomscp", create, Access.ADMIN),
    Route("GET", "/xapi/dicomscp/identifiers", identifiers, Access.USER),
    Route("PUT", "/xapi/dicomscp/start", start_all, Access.ADMIN, writes=False),
    Route("PUT", "/xapi/dicomscp/stop", stop_all, Access.ADMIN, writes=False),
    Route("GET", "/xapi/dicomscp/title/{title}/{port}", show_by_title, Access.ADMIN),
    Route("GET", "/xapi/dicomscp/{id}", show, Access.ADMIN),
    Route("PUT", "/xapi/dicomscp/{id}", change, Access.ADMIN),
    Route("DELETE", "/xapi/dicomscp/{id}", delete, Access.ADMIN),
    Route("PUT", "/xapi/dicomscp/{id}/enabled/{flag}", enable, Access.ADMIN),
]
