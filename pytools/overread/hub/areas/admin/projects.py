"""Projects: who has which role, what is in them, their study, and what starts by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from starlette.responses import Response

from overread.errors import SpecError
from overread.hub.areas.admin.scope import answer, contains, page_of, wanted_projects
from overread.hub.areas.admin.sessions import status_is
from overread.hub.areas.config.store import current_config
from overread.hub.arrival import prearchive
from overread.hub.arrival.completion import CONFIG_PATH, CONFIG_TOOL
from overread.hub.eventservice import subscriptions
from overread.hub.http import Call, Route
from overread.hub.items.experiments import SESSION_BASE
from overread.hub.models import (
    Command,
    Container,
    Enablement,
    Experiment,
    Membership,
    PrearchiveSession,
    Project,
    Subject,
    Subscription,
)
from overread.study.manifest import load_stored_study

Counts = dict[str, int]


def listed(call: Call) -> Response:
    """List projects: ``search`` looks in IDs, names and descriptions, ``project`` names one."""
    projects, page = wanted_projects(call), page_of(call)
    conditions: list[ColumnElement[bool]] = [Project.deleted.is_(False)]
    if projects is not None:
        conditions.append(Project.id.in_(projects))
    search = call.query.get("search", "").strip()
    if search:
        columns = (Project.id, Project.name, Project.description)
        conditions.append(or_(*(contains(column, search) for column in columns)))
    query = select(Project).where(*conditions)
    total = call.db.scalar(select(func.count()).select_from(query.subquery())) or 0
    found = call.db.scalars(query.order_by(Project.id).offset(page.offset).limit(page.size)).all()
    ids = [project.id for project in found]
    counts, roles = _counts(call, ids), _roles(call, ids)
    automation = _automation(call, ids)
    rows = [
        {
            "id": project.id,
            "name": project.name,
            "description": project.description,
            "accessibility": project.accessibility,
            "prearchive-code": project.prearchive_code,
            "counts": {name: of.get(project.id, 0) for name, of in counts.items()},
            "users": roles.get(project.id, []),
            "study": _study(call, project.id),
            "subscriptions": automation.get(project.id, []),
        }
        for project in found
    ]
    return answer(page, rows, total, **{"events-enabled": subscriptions.is_switched_on(call.db)})


def _counts(call: Call, ids: Collection[str]) -> Mapping[str, Counts]:
    sessions = Experiment.xsi_type.in_(call.hub.schemas.extending(SESSION_BASE))
    waiting = prearchive.THERE
    asked: dict[str, tuple[Any, tuple[ColumnElement[bool], ...]]] = {
        "subjects": (Subject.project, ()),
        "sessions": (Experiment.project, (sessions,)),
        "results": (Experiment.project, (Experiment.session_id.is_not(None),)),
        "prearchive": (PrearchiveSession.project, (waiting,)),
        "runs": (Container.project, ()),
        "failed-runs": (Container.project, (status_is("failed"),)),
    }
    counts: dict[str, Counts] = {}
    for name, (column, conditions) in asked.items():
        rows = call.db.execute(select(column, func.count()).where(column.in_(ids), *conditions).group_by(column))
        counts[name] = {project: count for project, count in rows}  # noqa: C416 - rows are no pairs to the type checker
    return counts


def _roles(call: Call, ids: Collection[str]) -> dict[str, list[dict[str, str]]]:
    rows = call.db.execute(
        select(Membership.project, Membership.login, Membership.role)
        .where(Membership.project.in_(ids))
        .order_by(Membership.login)
    )
    found: dict[str, list[dict[str, str]]] = {}
    for project, login, role in rows:
        found.setdefault(project, []).append({"login": login, "role": role})
    return found


def _study(call: Call, project: str) -> dict[str, str] | None:
    """Return the study that was applied to a project, None if none was."""
    entry = current_config(call.db, project=project, tool=CONFIG_TOOL, path=CONFIG_PATH)
    if entry is None or entry.status != "enabled":
        return None
    try:
        study = load_stored_study(entry.contents, source=f"configuration overread/study of {project}")
    except SpecError as problem:
        return {"id": "", "title": "", "version": "", "mode": "", "fault": str(problem)}
    return {"id": study.id, "title": study.title, "version": study.version, "mode": study.mode, "fault": ""}


def _automation(call: Call, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the subscriptions that are about each project, and whether what they start can start there."""
    found: dict[str, list[dict[str, Any]]] = {}
    names = {
        wrapper["id"]: wrapper["name"]
        for command in call.db.scalars(select(Command))
        for wrapper in command.document["xnat"]
    }
    enabled = {
        (switch.wrapper_id, switch.project)
        for switch in call.db.scalars(select(Enablement).where(Enablement.enabled, Enablement.project.in_(["", *ids])))
    }
    for subscription in call.db.scalars(select(Subscription).order_by(Subscription.id)):
        chosen = subscription.document["event-filter"].get("project-ids") or list(ids)
        number = subscription.document["action-key"].rpartition(":")[2]
        wrapper = int(number) if number.isdecimal() else 0
        for project in set(chosen) & set(ids):
            can = wrapper not in names or {(wrapper, ""), (wrapper, project)} <= enabled
            found.setdefault(project, []).append(
                {
                    "id": subscription.id,
                    "name": subscription.name,
                    "active": subscription.active,
                    "wrapper": names.get(wrapper, ""),
                    "enabled": can,
                }
            )
    return found


ROUTES = [Route("GET", "/xapi/overread/projects", listed)]
