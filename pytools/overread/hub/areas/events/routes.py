"""The Event Service: subscriptions, what they made of events, and what there is to subscribe to.

Each route exists for the site (administrators) and below a project (its owners).
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Select, func, select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access, Right, readable_projects
from overread.hub.errors import bad_request, not_found
from overread.hub.eventservice import catalog, deliveries, subscriptions
from overread.hub.http import Call, Route
from overread.hub.models import Delivery, Subscription

_LARGE = 10**9  # beyond any number of a page, and within what the database counts in
_NUMBER = re.compile(r"[0-9]{1,9}")


def _project(call: Call) -> str | None:
    """Return the path's project, None on the site's routes."""
    project: str | None = call.params.get("project")
    return project


def create(call: Call) -> Response:
    """Subscribe; the answer is ``name:id``."""
    subscription = subscriptions.save(call.db, call.json_object(), user=call.caller.login, project=_project(call))
    return answers.text(f"{subscription.name}:{subscription.id}", status=201)


def change(call: Call) -> Response:
    """Lay the body over a subscription."""
    subscription = _subscription(call)
    subscriptions.save(
        call.db, call.json_object(), user=call.caller.login, project=_project(call), subscription=subscription
    )
    return answers.text()


def remove(call: Call) -> Response:
    """Forget a subscription. What it did stays in the history."""
    call.db.delete(_subscription(call))
    return answers.text()


def activate(call: Call) -> Response:
    """Let a subscription work, or rest."""
    subscriptions.set_active(_subscription(call), active=call.path.endswith("/activate"))
    return answers.text()


def show(call: Call) -> Response:
    """Show one subscription."""
    return JSONResponse(subscriptions.describe(call.db, _subscription(call)))


def show_all(call: Call) -> Response:
    """Show all subscriptions."""
    found = subscriptions.listed(call.db, _project(call))
    return JSONResponse([subscriptions.describe(call.db, subscription) for subscription in found])


def validate_filter(call: Call) -> Response:
    """Say whether a payload filter can be read: 200 or 424."""
    text = call.text().strip()
    if text.startswith('"'):
        text = str(call.json())
    subscriptions.check_filter(text)
    return answers.text(text)


def event_types(_call: Call) -> Response:
    """List the events that exist."""
    return JSONResponse([kind.describe() for kind in catalog.EVENT_TYPES.values()])


def event_type(call: Call) -> Response:
    """Describe one event."""
    kind = catalog.EVENT_TYPES.get(call.query.get("event-type", ""))
    if kind is None:
        raise not_found(f"event type {call.query.get('event-type', '')}")
    return JSONResponse(kind.describe())


def properties(call: Call) -> Response:
    """List what attributes may hold as ``#name#``."""
    kind = catalog.EVENT_TYPES.get(call.query.get("event-type", ""))
    if kind is None:
        raise not_found(f"event type {call.query.get('event-type', '')}")
    return JSONResponse(kind.describe()["event-properties"])


def actions(call: Call) -> Response:
    """List what can be subscribed to."""
    asked = call.query.get("project")
    if asked:
        call.require(asked, Right.READ)
    return JSONResponse(catalog.actions(call.db, _project(call) or asked))


def action(call: Call) -> Response:
    """Describe one action."""
    key = call.query.get("actionkey", "")
    for found in catalog.actions(call.db, None):
        if found["action-key"] == key:
            return JSONResponse(found)
    raise not_found(f"action {key}")


def preferences(call: Call) -> Response:
    """Show whether events start anything."""
    return JSONResponse({"enabled": subscriptions.is_switched_on(call.db)})


def set_preferences(call: Call) -> Response:
    """Let events start something, or nothing."""
    enabled = call.json_object().get("enabled")
    if not isinstance(enabled, bool):
        raise bad_request('The body must be {"enabled": true} or {"enabled": false}.')
    subscriptions.switch(call.db, on=enabled)
    return answers.text()


def delivered(call: Call) -> Response:
    """List deliveries, the newest first, by pages of 50 unless the body says otherwise."""
    paging = call.json() or {}
    if not isinstance(paging, dict):
        raise bad_request("The body must be a JSON object.")
    order = Delivery.id.asc() if paging.get("sort_dir") == "asc" else Delivery.id.desc()
    size, page = _positive(paging.get("size"), 50), _positive(paging.get("page"), 1)
    rows = call.db.scalars(_deliveries(call).order_by(order).offset((page - 1) * size).limit(size))
    return JSONResponse([_describe(call, row) for row in rows])


def delivered_one(call: Call) -> Response:
    """Show one delivery."""
    number = call.params["number"]
    row = call.db.scalar(_deliveries(call).where(Delivery.id == number))
    if row is None:
        raise not_found(f"delivery {number}")
    return JSONResponse(_describe(call, row))


def delivered_count(call: Call) -> Response:
    """Count deliveries."""
    return JSONResponse(call.db.scalar(select(func.count()).select_from(_deliveries(call).subquery())))


def delivered_summary(call: Call) -> Response:
    """List deliveries in short."""
    rows = call.db.scalars(_deliveries(call).order_by(Delivery.id.desc()))
    return JSONResponse([_summary(call, row) for row in rows])


def _subscription(call: Call) -> Subscription:
    return subscriptions.get(call.db, call.params["number"], _project(call))


def _deliveries(call: Call) -> Select[Delivery]:
    project = _project(call) or call.query.get("project")
    visible = None if call.caller.is_admin else readable_projects(call.db, call.caller)
    if project is not None:
        visible = {project} if visible is None else visible & {project}
    number = call.query.get("subscription-id", "")
    return deliveries.found(
        projects=visible,
        subscription_id=int(number) if _NUMBER.fullmatch(number) else None,
        mismatches=call.flag("include-filter-mismatch"),
    )


def _describe(call: Call, row: Delivery) -> dict[str, Any]:
    subscription = call.db.get(Subscription, row.subscription_id)
    wrapped = subscriptions.describe(call.db, subscription) if subscription is not None else None
    last = row.statuses[-1]
    return {
        "id": row.id,
        "event": {"event-type": row.event_type, "status": row.event_status},
        "event-type": row.event_type,
        "timestamp": int(row.timestamp.timestamp() * 1000),
        "subscription": wrapped,
        "user": row.user,
        "project": row.project,
        "inputs": json.dumps((wrapped or {}).get("attributes") or {}),
        "trigger": row.trigger,
        "status": row.statuses,
        "status-message": last["message"] or last["status"],
        "error": row.error,
    }


def _summary(call: Call, row: Delivery) -> dict[str, Any]:
    subscription = call.db.get(Subscription, row.subscription_id)
    return {
        "id": row.id,
        "event-name": row.event_type,
        "subscription-id": row.subscription_id,
        "subscription-name": subscription.name if subscription is not None else "",
        "user": row.user,
        "project": row.project,
        "trigger-label": row.trigger["label"],
        "status": row.statuses[-1]["status"],
        "error": row.error,
        "timestamp": int(row.timestamp.timestamp() * 1000),
    }


def _positive(value: object, default: int) -> int:
    return value if isinstance(value, int) and 0 < value < _LARGE else default


def _scoped(access: Access) -> list[Route]:
    """Return the routes that exist for the site and for a project."""
    base = "/xapi/events" if access is Access.ADMIN else "/xapi/projects/{project}/events"
    return [
        Route("POST", f"{base}/subscription", create, access),
        Route("POST", f"{base}/subscription/filter/validate", validate_filter, Access.USER, writes=False),
        Route("GET", f"{base}/subscriptions", show_all, access),
        Route("GET", f"{base}/subscription/{{number:int}}", show, access),
        Route("PUT", f"{base}/subscription/{{number:int}}", change, access),
        Route("DELETE", f"{base}/subscription/{{number:int}}", remove, access),
        Route("POST", f"{base}/subscription/{{number:int}}/activate", activate, access),
        Route("POST", f"{base}/subscription/{{number:int}}/deactivate", activate, access),
        Route("GET", f"{base}/events", event_types, Access.USER),
        Route("GET", f"{base}/event", event_type, Access.USER),
        Route("GET", f"{base}/event/properties", properties, Access.USER),
        Route("GET", f"{base}/actions", actions, access),
        Route("POST", f"{base}/delivered", delivered, access, writes=False),
        Route("GET", f"{base}/delivered/count", delivered_count, access),
        Route("GET", f"{base}/delivered/summary", delivered_summary, access),
        Route("GET", f"{base}/delivered/{{number:int}}", delivered_one, access),
    ]


ROUTES = [
    *_scoped(Access.ADMIN),
    *_scoped(Access.OWN),
    Route("GET", "/xapi/events/allactions", actions, Access.USER),
    Route("GET", "/xapi/events/actionsbyevent", actions, Access.USER),
    Route("GET", "/xapi/events/action", action, Access.USER),
    Route("GET", "/xapi/events/prefs", preferences),
    Route("PUT", "/xapi/events/prefs", set_preferences, Access.ADMIN),
]
