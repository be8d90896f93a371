"""Subscriptions: which events of which projects start what, and the rules for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError, not_found
from overread.hub.events import Event
from overread.hub.eventservice.catalog import EVENT_TYPES, LOGGING_ACTION, wrapper_of
from overread.hub.models import Project, SiteSetting, Subscription
from overread.hub.runs.documents import find_wrapper, is_enabled
from overread.hub.runs.jsonfilter import Filter, FilterError

Document = dict[str, Any]

_SETTING = "eventServiceEnabled"
_FAILED_DEPENDENCY = 424
_KEYS = ("name", "active", "action-key", "attributes", "event-filter", "act-as-event-user")
_FILTER_KEYS = ("event-type", "status", "project-ids", "payload-filter", "filter-nodes", "schedule")


def is_switched_on(db: Session) -> bool:
    """Whether events start anything at all. They do on a fresh hub (on a fresh XNAT they don't)."""
    setting = db.get(SiteSetting, _SETTING)
    return setting is None or setting.value != "false"


def switch(db: Session, *, on: bool) -> None:
    """Let events start something, or nothing."""
    setting = db.get(SiteSetting, _SETTING)
    if setting is None:
        setting = SiteSetting(name=_SETTING)
        db.add(setting)
    setting.value = "true" if on else "false"


def check_filter(text: str) -> None:
    """Refuse a payload filter that can't be read, with 424 as XNAT does."""
    try:
        Filter(text)
    except FilterError as problem:
        raise HubError(_FAILED_DEPENDENCY, f"Payload filter: {problem}") from problem


def save(
    db: Session, given: Mapping[str, Any], *, user: str, project: str | None, subscription: Subscription | None = None
) -> Subscription:
    """Make a subscription, or lay `given` over one.

    Parameters
    ----------
    db
        Transaction.
    given
        The document, or for a change some of its keys.
    user
        Login of who subscribes: runs are started in this name.
    project
        Set when it is made through a project: then it is about that project alone.
    subscription
        The one to change.

    Raises
    ------
    HubError
        424 when it can't work: unknown event, project or action, unreadable filter, wrapper not enabled, or a twin.
    """
    document = _document(given, subscription.document if subscription is not None else {}, project)
    _check(db, document, project)
    _check_twin(db, document, subscription)
    if subscription is None:
        subscription = Subscription(owner=user)
        db.add(subscription)
    if project is not None:  # who owns a project must not make an administrator's subscription do something else
        subscription.owner = user
    subscription.name = document["name"] = str(document.get("name") or _name(document))
    subscription.active = document["active"] = bool(document.get("active", True))
    subscription.document = document
    db.flush()
    return subscription


def set_active(subscription: Subscription, *, active: bool) -> None:
    """Let a subscription work, or rest."""
    subscription.active = active
    subscription.document = subscription.document | {"active": active}


def listed(db: Session, project: str | None) -> list[Subscription]:
    """Return all subscriptions, or those that are about `project` alone."""
    rows = db.scalars(select(Subscription).order_by(Subscription.id))
    return [row for row in rows if project is None or _projects(row.document) == [project]]


def get(db: Session, number: int, project: str | None) -> Subscription:
    """Return a subscription; 404 if there is none, or none of `project` alone."""
    subscription = db.get(Subscription, number)
    if subscription is None or (project is not None and _projects(subscription.document) != [project]):
        raise not_found(f"subscription {number}")
    return subscription


def describe(db: Session, subscription: Subscription) -> Document:
    """Return a subscription as XNAT shows it."""
    try:
        _check(db, subscription.document, None)
        fault = None
    except HubError as problem:
        fault = problem.reason
    event_filter = dict.fromkeys(_FILTER_KEYS) | subscription.document["event-filter"]
    return {
        "id": subscription.id,
        "name": subscription.name,
        "active": subscription.active,
        "action-key": subscription.document["action-key"],
        "attributes": subscription.document.get("attributes") or {},
        "event-filter": event_filter | {"id": subscription.id, "name": subscription.name},
        "act-as-event-user": bool(subscription.document.get("act-as-event-user")),
        "subscription-owner": subscription.owner,
        "valid": fault is None,
        "validation-message": fault,
        "created": int(subscription.created.timestamp() * 1000),
    }


def wants(subscription: Subscription, event: Event) -> bool:
    """Whether a subscription is about such events of that project (its payload filter is not asked yet)."""
    wanted = subscription.document["event-filter"]
    projects = _projects(subscription.document)
    return (
        subscription.active
        and wanted["event-type"] == event.type
        and wanted["status"] == event.status
        and (not projects or event.project in projects)
    )


def _document(given: Mapping[str, Any], old: Mapping[str, Any], project: str | None) -> Document:
    document = {**old, **{key: given[key] for key in _KEYS if given.get(key) is not None}}
    given_filter = document.get("event-filter")
    event_filter = {**(old.get("event-filter") or {}), **(given_filter if isinstance(given_filter, dict) else {})}
    event_filter = {key: event_filter[key] for key in _FILTER_KEYS if event_filter.get(key) is not None}
    if project is not None:
        event_filter.setdefault("project-ids", [project])
        document.pop("act-as-event-user", None)
    return document | {"event-filter": event_filter}


def _check(db: Session, document: Document, project: str | None) -> None:
    wanted = document["event-filter"]
    kind = EVENT_TYPES.get(str(wanted.get("event-type")))
    if kind is None:
        raise _invalid(f"There is no event type {wanted.get('event-type')}.")
    if wanted.get("status") not in kind.statuses:
        raise _invalid(f"{kind.type} has no status {wanted.get('status')}, but {', '.join(kind.statuses)}.")
    projects = wanted.get("project-ids") or []
    if not isinstance(projects, list) or not all(isinstance(name, str) for name in projects):
        raise _invalid("project-ids must be a list of texts.")
    for name in projects:
        if db.get(Project, name) is None:
            raise _invalid(f"There is no project {name}.")
    if project is not None and projects != [project]:
        raise HubError(401, f"This subscription may be about project {project} alone.")
    if not isinstance(wanted.get("payload-filter") or "", str):
        raise _invalid("payload-filter must be text.")
    if wanted.get("payload-filter"):
        check_filter(wanted["payload-filter"])
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise _invalid("attributes must be texts by name.")
    _check_action(db, str(document.get("action-key")), projects)


def _check_action(db: Session, key: str, projects: list[str]) -> None:
    if key == LOGGING_ACTION:
        return
    wrapper_id = wrapper_of(key)
    if wrapper_id is None:
        raise _invalid(f"There is no action {key}.")
    try:
        wrapper = find_wrapper(db, wrapper_id)
    except HubError as problem:
        raise _invalid(f"The action's wrapper {wrapper_id} does not exist.") from problem
    off = [name or "the site" for name in ("", *projects) if not is_enabled(db, wrapper_id, name)]
    if off:
        raise _invalid(f"Wrapper {wrapper.name} is not enabled for {', '.join(off)}.")


def _check_twin(db: Session, document: Document, subscription: Subscription | None) -> None:
    for other in db.scalars(select(Subscription)):
        same = all(other.document.get(key) == document.get(key) for key in ("action-key", "event-filter"))
        if same and other is not subscription:
            raise _invalid(f"Subscription {other.id} ({other.name}) does the same already.")


def _projects(document: Mapping[str, Any]) -> list[str]:
    return list(document["event-filter"].get("project-ids") or [])


def _name(document: Document) -> str:
    wanted = document["event-filter"]
    return f"{str(wanted['event-type']).rsplit('.', 1)[-1]} {wanted['status']}"


def _invalid(why: str) -> HubError:
    return HubError(_FAILED_DEPENDENCY, f"Subscription is not valid: {why}")
