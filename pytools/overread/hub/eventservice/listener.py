"""What happens when an event comes: within the same transaction, each subscription that wants it starts its action.

So a run is queued exactly when the exam that caused it is kept. A fault of a subscription is noted on its delivery and
never harms what caused the event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError
from overread.hub.events import Event
from overread.hub.eventservice import deliveries, subscriptions
from overread.hub.eventservice.catalog import PROPERTIES, wrapper_of
from overread.hub.items import uris
from overread.hub.models import Delivery, Subscription
from overread.hub.runs.documents import find_wrapper
from overread.hub.runs.jsonfilter import Filter, FilterError
from overread.hub.runs.launch import queue_launch
from overread.hub.runs.once import once_key
from overread.hub.runs.template import fill

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)


def listen(hub: Hub) -> Callable[[Session, Event], None]:
    """Return the listener of a hub's Event Service."""

    def deliver(db: Session, event: Event) -> None:
        if not subscriptions.is_switched_on(db):
            return
        for subscription in list(db.scalars(select(Subscription).order_by(Subscription.id))):
            if subscriptions.wants(subscription, event):
                _deliver(db, hub, subscription, event)

    return deliver


def _deliver(db: Session, hub: Hub, subscription: Subscription, event: Event) -> None:
    by_event = bool(subscription.document.get("act-as-event-user"))
    user = event.user if by_event else subscription.owner
    delivery = deliveries.begin(db, subscription, event, user=user)
    condition = subscription.document["event-filter"].get("payload-filter")
    try:
        with db.begin_nested():
            if condition and not _fits(str(condition), event, delivery):
                return
            done = _act(db, hub, subscription, event, delivery)
    except HubError as problem:
        deliveries.add(delivery, deliveries.FAILED, problem.reason)
    except Exception:  # whatever an automation does wrong must not lose the exam that set it off
        log.exception("Subscription %d failed", subscription.id)
        deliveries.add(delivery, deliveries.FAILED, "The hub failed; its log says why.")
    else:
        deliveries.add(delivery, deliveries.DONE, done)


def _fits(condition: str, event: Event, delivery: Delivery) -> bool:
    """Whether a payload filter wants the event; what came of it is noted."""
    try:
        seen = event.payload
    except HubError as problem:
        deliveries.add(delivery, deliveries.SERIALIZATION_FAULT, problem.reason)
        return False
    deliveries.add(delivery, deliveries.SERIALIZED, "")
    try:
        fits = Filter(condition).matches(seen)
    except FilterError as problem:
        deliveries.add(delivery, deliveries.UNREADABLE, str(problem))
        return False
    if fits:
        deliveries.add(delivery, deliveries.FILTERED, "")
    else:
        deliveries.add(delivery, deliveries.MISMATCH, "The payload filter does not fit.")
    return fits


def _act(db: Session, hub: Hub, subscription: Subscription, event: Event, delivery: Delivery) -> str:
    """Do what is subscribed; return what was done."""
    wrapper_id = wrapper_of(subscription.document["action-key"])
    if wrapper_id is None:
        log.info("Subscription %d: %s %s %s", subscription.id, event.type, event.status, event.uri)
        return "Logged"
    deliveries.add(delivery, deliveries.RESOLVING, "")
    wrapper = find_wrapper(db, wrapper_id, project=event.project)
    inputs = dict(subscription.document.get("attributes") or {})
    if any("#" in text for text in inputs.values()):
        values = {f"#{name}#": str(event.payload.get(name) or "") for name in PROPERTIES}
        inputs = {name: fill(text, values) for name, text in inputs.items()}
    if wrapper.root is not None:
        inputs[wrapper.root["name"]] = event.uri
    deliveries.add(delivery, deliveries.CALLED, f"Wrapper {wrapper.name}")
    container = queue_launch(
        db,
        hub,
        wrapper=wrapper,
        project=event.project,
        user=delivery.user,
        inputs=inputs,
        origin=deliveries.origin_of(delivery),
        once_key=once_key(db, hub, wrapper, uris.resolve(db, hub, event.uri)),
    )
    return f"Run {container.id} queued" if container is not None else "Nothing to do: the same was run already"
