"""Subscriptions, and what each made of each event: its steps, and the run that it started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from starlette.responses import JSONResponse, Response

from overread.hub.areas.admin.scope import answer, moment, page_of, pairs, wanted_projects
from overread.hub.errors import bad_request
from overread.hub.eventservice import deliveries, subscriptions
from overread.hub.http import Call, Route
from overread.hub.models import Command, Container, Delivery, Subscription

STATES = ("done", "failed", "filtered")
"""What the query's ``state`` may ask for; ``filtered`` are those whose filter did not fit."""


def subscribed(call: Call) -> Response:
    """List subscriptions with the numbers of their deliveries; owners see those that are about their projects alone."""
    projects = wanted_projects(call)
    counted = select(Delivery.subscription_id, func.count()).group_by(Delivery.subscription_id)
    made = pairs(call, counted.where(Delivery.last_status != deliveries.MISMATCH))
    failed = pairs(call, counted.where(Delivery.error))
    names = {
        str(wrapper["id"]): f"{command.name}: {wrapper['name']}"
        for command in call.db.scalars(select(Command))
        for wrapper in command.document["xnat"]
    }
    rows = []
    for subscription in call.db.scalars(select(Subscription).order_by(Subscription.id)):
        about = set(subscription.document["event-filter"].get("project-ids") or [])
        if projects is not None and not (about and about <= projects):
            continue
        found = subscriptions.describe(call.db, subscription)
        number = str(found["action-key"]).rpartition(":")[2]
        rows.append(
            found | {
                "starts": names.get(number, ""),
                "deliveries": made.get(subscription.id, 0),
                "failed": failed.get(subscription.id, 0),
            }
        )  # fmt: skip
    return JSONResponse({"rows": rows, "events-enabled": subscriptions.is_switched_on(call.db)})


def delivered(call: Call) -> Response:
    """List deliveries, the newest first: ``subscription``, ``project`` and ``state`` narrow it down.

    Those whose filter did not fit are listed only if ``state`` asks for them.
    """
    projects, page = wanted_projects(call), page_of(call)
    state, number = call.query.get("state", ""), call.query.get("subscription", "")
    if state and state not in STATES:
        raise bad_request(f"{state!r} is no such state: use {', '.join(STATES)}.")
    if number and not (number.isascii() and number.isdecimal() and len(number) < 10):  # noqa: PLR2004
        raise bad_request("subscription must be a number.")
    conditions: list[ColumnElement[bool]] = []
    if projects is not None:
        conditions.append(Delivery.project.in_(projects))
    if number:
        conditions.append(Delivery.subscription_id == int(number))
    mismatch = Delivery.last_status == deliveries.MISMATCH
    match state:
        case "done":
            conditions += [Delivery.error.is_(False), ~mismatch]
        case "failed":
            conditions.append(Delivery.error.is_(True))
        case "filtered":
            conditions.append(mismatch)
        case _:
            conditions.append(~mismatch)
    query = select(Delivery).where(*conditions)
    counted = query.with_only_columns(Delivery.id).subquery()
    total = call.db.scalar(select(func.count()).select_from(counted)) or 0
    found = call.db.scalars(query.order_by(Delivery.id.desc()).offset(page.offset).limit(page.size)).all()
    names = pairs(call, select(Subscription.id, Subscription.name))
    runs = _runs(call, found)
    return answer(page, [_row(one, names, runs.get(one.id, [])) for one in found], total)


def _row(delivery: Delivery, names: dict[int, str], runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "subscription": delivery.subscription_id,
        "name": names.get(delivery.subscription_id, ""),
        "event": delivery.event_type.rpartition(".")[2],
        "event-status": delivery.event_status,
        "at": moment(delivery.timestamp),
        "project": delivery.project,
        "user": delivery.user,
        "error": delivery.error,
        "payload": delivery.trigger,
        "steps": delivery.statuses,
        "last-status": delivery.last_status,
        "runs": runs,
    }


def _runs(call: Call, found: Sequence[Delivery]) -> dict[int, list[dict[str, Any]]]:
    """Return the runs that these deliveries started."""
    origins = {deliveries.origin_of(delivery): delivery.id for delivery in found}
    rows = call.db.execute(
        select(Container.id, Container.origin, Container.status)
        .where(Container.origin.in_(origins))
        .order_by(Container.id)
    )
    runs: dict[int, list[dict[str, Any]]] = {}
    for number, origin, status in rows if origins else ():
        runs.setdefault(origins[origin], []).append({"id": number, "status": status})
    return runs


ROUTES = [
    Route("GET", "/xapi/overread/subscriptions", subscribed),
    Route("GET", "/xapi/overread/deliveries", delivered),
]
