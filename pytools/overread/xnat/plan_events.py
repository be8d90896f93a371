"""Steps for the Event Service: on, and subscribed to what starts the study's commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from overread.commands.compile import ANY_SESSION, COLLECTION_TYPE, SESSION_TYPES
from overread.study.manifest import Runs, StudyManifest
from overread.xnat.bundle import Runnable, StudyBundle
from overread.xnat.connection import Request
from overread.xnat.plan_commands import wrapper_id
from overread.xnat.state import ServerState
from overread.xnat.steps import Step, covers, differences

_EVENTS = "org.nrg.xnat.eventservice.events."
_ACTION = "org.nrg.containers.services.CommandActionProvider:"
# Labels of collections that the model made; a correction never has one.
_FROM_MODEL = "AI-.*"


@dataclass(frozen=True)
class Subscription:
    """What starts a wrapper.

    Parameters
    ----------
    name
        By which it is found again.
    event, status
        Class name without its package, and status.
    payload_filter
        The inside of a JSONPath filter on the object.
    runnable
        What is started.
    """

    name: str
    event: str
    status: str
    payload_filter: str
    runnable: Runnable


def plan_events(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the Event Service's switch and the study's subscriptions."""
    if state.events_enabled:
        yield Step("event service", "unchanged")
    else:
        yield Step(
            "event service", "update", "off -> on", (Request("PUT", "/xapi/events/prefs", json={"enabled": True}),)
        )
    for subscription in subscriptions(bundle):
        yield _subscription(subscription, bundle.manifest, state)


def subscriptions(bundle: StudyBundle) -> tuple[Subscription, ...]:
    """Say what starts the commands of a study.

    Returns
    -------
    tuple of Subscription
        A new session and late images of one start the model; a collection that was saved with its file, and that is
        not the model's own, starts the measurement.
    """
    manifest, model = bundle.manifest, bundle.model
    session_filter = _type_filter(session_types(manifest, model))
    found = [
        Subscription(f"{manifest.id}: new exam", "SessionEvent", "CREATED", session_filter, model),
        Subscription(f"{manifest.id}: late images", "SessionEvent", "MERGED", session_filter, model),
    ]
    if bundle.recompute is not None:
        # XNAT saves a new collection before it has its file (CREATED), and again once it has (UPDATED).
        corrected = f"{_type_filter((COLLECTION_TYPE,))} && !(@.label =~ /{_FROM_MODEL}/)"
        name = f"{manifest.id}: corrected collection"
        found.append(Subscription(name, "ImageAssessorEvent", "UPDATED", corrected, bundle.recompute))
    return tuple(found)


def session_types(manifest: StudyManifest, model: Runnable) -> tuple[str, ...]:
    """Say which types of session start the model: those of the accepted modalities, else those of the wrapper.

    Returns
    -------
    tuple of str
        Empty when every session does.
    """
    contexts = model.wrapper.contexts
    accepted = [c for c in manifest.arrival.accept if c.tag == "Modality" and c.operator in {"in", "equals"}]
    if accepted:
        operand = accepted[0].operand
        modalities = operand if isinstance(operand, tuple) else (operand,)
        types = [SESSION_TYPES[str(m)] for m in modalities if str(m) in SESSION_TYPES]
        fitting = tuple(t for t in dict.fromkeys(types) if t in contexts or ANY_SESSION in contexts)
        if fitting:
            return fitting
    return () if ANY_SESSION in contexts else tuple(contexts)


def _type_filter(types: tuple[str, ...]) -> str:
    if len(types) == 1:
        return f"@.xsiType == '{types[0]}'"
    return f"@.xsiType in [{', '.join(repr(t) for t in types)}]" if types else ""


def _attributes(runs: Runs | None) -> dict[str, str]:
    """Say how runs are queued, in the values that the hub reads so; what is as usual is left out."""
    if runs is None:
        return {}
    said = {
        "overread-priority": runs.priority if runs.priority != "normal" else None,
        "overread-time-limit-s": runs.time_limit_s,
        "overread-attempts": runs.attempts,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def _subscription(subscription: Subscription, manifest: StudyManifest, state: ServerState) -> Step:
    name = f"subscription {subscription.name}"
    number = wrapper_id(subscription.runnable, state)
    if number is None:
        return Step(name, "wait", f"for the id of command {subscription.runnable.command.name}")
    want: dict[str, Any] = {
        "name": subscription.name,
        "active": True,
        "action-key": f"{_ACTION}{number}",
        "attributes": _attributes(manifest.runs),
        "event-filter": {
            "event-type": f"{_EVENTS}{subscription.event}",
            "status": subscription.status,
            "project-ids": [manifest.project],
            "payload-filter": subscription.payload_filter,
        },
        "act-as-event-user": False,
    }
    have = next((s for s in state.subscriptions if s.get("name") == subscription.name), None)
    if have is None:
        return Step(name, "create", "", (Request("POST", "/xapi/events/subscription", json=want),))
    # Attributes that ours no longer has must go: here what it says besides does matter.
    if covers(have, want) and (have.get("attributes") or {}) == want["attributes"]:
        return Step(name, "unchanged")
    request = Request("PUT", f"/xapi/events/subscription/{have['id']}", json={**want, "id": have["id"]})
    return Step(name, "update", differences(have, want), (request,))
