"""Accounts with their site roles and their roles in projects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from starlette.responses import Response

from overread.hub.access import Access
from overread.hub.areas.admin.scope import answer, contains, moment, page_of
from overread.hub.areas.users.store import ROLES, bean
from overread.hub.errors import bad_request
from overread.hub.http import Call, Route
from overread.hub.models import Membership, User

STATES = ("enabled", "disabled")


def listed(call: Call) -> Response:
    """List accounts: ``search`` looks in logins, names and addresses; ``state``, ``role`` and ``login`` narrow it."""
    page = page_of(call)
    conditions: list[ColumnElement[bool]] = []
    state = call.query.get("state", "")
    if state and state not in STATES:
        raise bad_request(f"{state!r} is no such state: use {', '.join(STATES)}.")
    if state:
        conditions.append(User.enabled.is_(state == "enabled"))
    if call.query.get("login"):
        conditions.append(User.login == call.query["login"])
    if call.query.get("project"):
        of_project = select(Membership.login).where(Membership.project == call.query["project"])
        conditions.append(User.login.in_(of_project))
    search = call.query.get("search", "").strip()
    if search:
        columns = (User.login, User.first_name, User.last_name, User.email)
        conditions.append(or_(*(contains(column, search) for column in columns)))
    query = select(User).where(*conditions)
    total = call.db.scalar(select(func.count()).select_from(query.subquery())) or 0
    found = call.db.scalars(query.order_by(User.login).offset(page.offset).limit(page.size)).all()
    logins = [user.login for user in found]
    projects: dict[str, list[dict[str, str]]] = {}
    for login, project, role in call.db.execute(
        select(Membership.login, Membership.project, Membership.role)
        .where(Membership.login.in_(logins))
        .order_by(Membership.project)
    ):
        projects.setdefault(login, []).append({"project": project, "role": role})
    rows = [_row(user, projects.get(user.login, [])) for user in found]
    return answer(page, rows, total, **{"site-roles": list(ROLES)})


def _row(user: User, projects: list[dict[str, str]]) -> dict[str, Any]:
    return bean(user) | {"roles": sorted(user.roles), "projects": projects, "created": moment(user.created)}


ROUTES = [Route("GET", "/xapi/overread/users", listed, Access.ADMIN)]
