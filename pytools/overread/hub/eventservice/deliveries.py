"""The history of deliveries: what each subscription made of each event, step by step."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from overread.hub.events import Event
from overread.hub.models import Delivery, Subscription

TRIGGERED, SERIALIZED = "SUBSCRIPTION_TRIGGERED", "OBJECT_SERIALIZED"
FILTERED, MISMATCH = "OBJECT_FILTERED", "OBJECT_FILTER_MISMATCH_HALT"
RESOLVING, CALLED, STEP = "RESOLVING_ATTRIBUTES", "ACTION_CALLED", "ACTION_STEP"
DONE, FAILED = "ACTION_COMPLETE", "ACTION_FAILED"
UNREADABLE, SERIALIZATION_FAULT = "OBJECT_FILTERING_FAULT", "OBJECT_SERIALIZATION_FAULT"

_FAULTS = (FAILED, UNREADABLE, SERIALIZATION_FAULT)


def begin(db: Session, subscription: Subscription, event: Event, *, user: str) -> Delivery:
    """Note that `subscription` takes up `event`."""
    delivery = Delivery(
        subscription_id=subscription.id,
        event_type=event.type,
        event_status=event.status,
        project=event.project,
        user=user,
        trigger={
            "event-name": event.type,
            "status": event.status,
            "is-xsi-type": True,
            "xnat-type": event.xsi_type,
            "URI": event.uri,
            "label": event.label,
        },
        statuses=[],
    )
    db.add(delivery)
    add(delivery, "EVENT_TRIGGERED", f"{event.type} {event.status}")
    add(delivery, "EVENT_DETECTED", "")
    add(delivery, TRIGGERED, f"Subscription {subscription.name}")
    db.flush()
    return delivery


def add(delivery: Delivery, status: str, message: str) -> None:
    """Add a step."""
    step: dict[str, Any] = {"status": status, "timestamp": int(time.time() * 1000), "message": message}
    delivery.statuses = [*delivery.statuses, step]
    delivery.last_status = status
    delivery.error = delivery.error or status in _FAULTS


def origin_of(delivery: Delivery) -> str:
    """Return what a run notes as its origin."""
    return f"subscription:{delivery.subscription_id}:delivery:{delivery.id}"


def note(db: Session, origin: str, message: str) -> None:
    """Add to the delivery that a run came from what became of it; other origins are let pass."""
    word, _, number = origin.rpartition(":")
    if word.startswith("subscription:") and number.isdigit():
        delivery = db.get(Delivery, int(number))
        if delivery is not None:
            add(delivery, DONE, message)


def found(
    *, projects: set[str] | None = None, subscription_id: int | None = None, mismatches: bool = False
) -> Select[Delivery]:
    """Return the query of deliveries.

    Parameters
    ----------
    projects
        Of these projects only; None for all.
    subscription_id
        Of this subscription only; None for all.
    mismatches
        Also those whose filter did not fit.
    """
    rows = select(Delivery)
    if projects is not None:
        rows = rows.where(Delivery.project.in_(projects))
    if subscription_id is not None:
        rows = rows.where(Delivery.subscription_id == subscription_id)
    return rows if mismatches else rows.where(Delivery.last_status != MISMATCH)
