"""Orchestrations: several wrappers in a row on one object, as the Container Service keeps them.

A project has one orchestration at most. Whatever launches its first wrapper there (a user, an event, a bulk launch)
begins the chain; `overread.hub.runs.ends` goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import bad_request, not_found
from overread.hub.models import Orchestration, OrchestrationProject
from overread.hub.runs.documents import find_wrapper, is_enabled, set_enabled

_FEWEST = 2
_MOST = 100


def listed(db: Session) -> list[Orchestration]:
    """Return all orchestrations."""
    return list(db.scalars(select(Orchestration).order_by(Orchestration.id)))


def get(db: Session, number: int) -> Orchestration:
    """Return an orchestration; 404 if there is none."""
    found = db.get(Orchestration, number)
    if found is None:
        raise not_found(f"orchestration {number}")
    return found


def save(db: Session, given: Mapping[str, Any]) -> Orchestration:
    """Make an orchestration, or replace the one whose ``id`` is given. Saving switches it on, as in XNAT.

    Raises
    ------
    HubError
        400: fewer than two wrappers, one that is not enabled for the site, or no context that all of them share.
        404: no such wrapper or orchestration.
    """
    name, wrapper_ids = given.get("name"), given.get("wrapperIds")
    halt = given.get("haltOnCommandFailure", True)
    number = given.get("id") or 0
    if not isinstance(name, str) or not name.strip():
        raise bad_request("An orchestration needs a name.")
    if not isinstance(wrapper_ids, list) or not all(type(one) is int for one in wrapper_ids):
        raise bad_request("wrapperIds must be a list of numbers.")
    if not isinstance(halt, bool) or type(number) is not int:
        raise bad_request("haltOnCommandFailure must be true or false, id a number.")
    if not _FEWEST <= len(wrapper_ids) <= _MOST:
        raise bad_request("Orchestration of fewer than two wrappers is not allowed")
    _check_wrappers(db, wrapper_ids)
    found = get(db, number) if number else Orchestration()
    found.name, found.wrapper_ids, found.halt_on_failure, found.enabled = name.strip(), list(wrapper_ids), halt, True
    db.add(found)
    db.flush()
    return found


def _check_wrappers(db: Session, wrapper_ids: list[int]) -> None:
    shared: set[str] | None = None
    for wrapper_id in wrapper_ids:
        if not is_enabled(db, wrapper_id, ""):
            raise bad_request(f"Wrapper {wrapper_id} not enabled for site")
        contexts = set(find_wrapper(db, wrapper_id).document["contexts"])
        shared = contexts if shared is None else shared & contexts
    if not shared:
        raise bad_request("Wrappers must all have a common context")


def switch(db: Session, number: int, *, on: bool) -> None:
    """Switch an orchestration on (its wrappers are enabled for the site) or off (it is taken from all projects)."""
    found = get(db, number)
    found.enabled = on
    if on:
        for wrapper_id in found.wrapper_ids:
            set_enabled(db, wrapper_id, "", enabled=True)
    else:
        _leave_projects(db, number)


def delete(db: Session, number: int) -> None:
    """Forget an orchestration; chains that are under way end after their present step."""
    found = db.get(Orchestration, number)
    if found is not None:
        _leave_projects(db, number)
        db.flush()
        db.delete(found)


def disable_those_with(db: Session, wrapper_id: int) -> None:
    """Switch off every orchestration with a wrapper that is gone or is no longer enabled for the site."""
    for found in listed(db):
        if found.enabled and wrapper_id in found.wrapper_ids:
            switch(db, found.id, on=False)


def select_for(db: Session, project: str, number: int) -> None:
    """Give a project an orchestration, instead of the one it has; its wrappers are enabled there.

    Raises
    ------
    HubError
        404: there is none; 400: it is switched off.
    """
    found = get(db, number)
    if not found.enabled:
        raise bad_request(
            f"Orchestration {found.name} ({found.id}) cannot be added to a project because it is not enabled."
        )
    row = db.get(OrchestrationProject, project) or OrchestrationProject(project=project)
    row.orchestration_id = found.id
    db.add(row)
    for wrapper_id in found.wrapper_ids:
        set_enabled(db, wrapper_id, project, enabled=True)


def leave(db: Session, project: str) -> None:
    """Take its orchestration from a project, if it has one."""
    row = db.get(OrchestrationProject, project)
    if row is not None:
        db.delete(row)


def of_project(db: Session, project: str) -> dict[str, Any]:
    """Return what a project can choose from (all wrappers enabled there), and what it has chosen."""
    available = [
        found for found in listed(db) if all(is_enabled(db, wrapper, project) for wrapper in found.wrapper_ids)
    ]
    row = db.get(OrchestrationProject, project)
    chosen = row.orchestration_id if row is not None else None
    return {
        "availableOrchestrations": [describe(found) for found in available],
        "selectedOrchestrationId": chosen if chosen in {found.id for found in available} else None,
    }


def beginning_with(db: Session, project: str, wrapper_id: int) -> Orchestration | None:
    """Return the orchestration that a launch of this wrapper in this project begins."""
    row = db.get(OrchestrationProject, project) if project else None
    found = db.get(Orchestration, row.orchestration_id) if row is not None else None
    return found if found is not None and found.enabled and found.wrapper_ids[0] == wrapper_id else None


def describe(found: Orchestration) -> dict[str, Any]:
    """Return an orchestration as XNAT shows it."""
    return {
        "id": found.id,
        "wrapperIds": found.wrapper_ids,
        "name": found.name,
        "enabled": found.enabled,
        "haltOnCommandFailure": found.halt_on_failure,
    }


def _leave_projects(db: Session, number: int) -> None:
    for row in db.scalars(select(OrchestrationProject).where(OrchestrationProject.orchestration_id == number)):
        db.delete(row)
