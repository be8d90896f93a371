"""``/data/projects/P/users`` and ``/data/projects/P/groups``."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import Right
from overread.hub.errors import forbidden, not_found
from overread.hub.http import Call, Route
from overread.hub.items.projects import ROLES, remove_member, role_of_group, set_member
from overread.hub.models import Membership, User
from overread.hub.rest.locate import project_of

_COLUMNS = ("GROUP_ID", "displayname", "login", "firstname", "lastname", "email")
_DISPLAY = {"owner": "Owners", "member": "Members", "collaborator": "Collaborators"}


def list_users(call: Call) -> Response:
    """List a project's members."""
    project = project_of(call)
    found = call.db.execute(
        select(User, Membership.role)
        .join(Membership, Membership.login == User.login)
        .where(Membership.project == project.id)
        .order_by(Membership.role, User.login)
    )
    rows = [
        {
            "GROUP_ID": f"{project.id}_{role}",
            "displayname": _DISPLAY[role],
            "login": user.login,
            "firstname": user.first_name,
            "lastname": user.last_name,
            "email": user.email,
        }
        for user, role in found
    ]
    return answers.table(rows, _COLUMNS, form=call.format, total=len(rows))


def get_user(call: Call) -> Response:
    """Tell whether a user is in a group."""
    project = project_of(call)
    role = role_of_group(project.id, call.params["group"])
    found = call.db.scalar(
        select(Membership.pk).where(
            Membership.project == project.id, Membership.login == call.params["login"], Membership.role == role
        )
    )
    if found is None:
        raise not_found(f"user {call.params['login']} in group {project.id}_{role}")
    return list_users(call)


def put_user(call: Call) -> Response:
    """Put a user into a group."""
    project = project_of(call, Right.OWN)
    set_member(call.db, project.id, call.params["login"], role_of_group(project.id, call.params["group"]))
    return list_users(call)


def delete_user(call: Call) -> Response:
    """Take a user out of a group. A project keeps an owner, unless an administrator says otherwise."""
    project = project_of(call, Right.OWN)
    login, role = call.params["login"], role_of_group(project.id, call.params["group"])
    owners = set(
        call.db.scalars(select(Membership.login).where(Membership.project == project.id, Membership.role == "owner"))
    )
    if role == "owner" and owners == {login} and not call.caller.is_admin:
        raise forbidden(f"{login} is the only owner of project {project.id}: name another first.")
    remove_member(call.db, project.id, login, role)
    return list_users(call)


def list_groups(call: Call) -> Response:
    """List a project's groups."""
    project = project_of(call)
    rows = [{"id": f"{project.id}_{role}", "displayname": _DISPLAY[role], "tag": project.id} for role in ROLES]
    return answers.table(rows, ("id", "displayname", "tag"), form=call.format, total=len(rows))


ROUTES = [
    Route("GET", "/data/projects/{project}/users", list_users),
    Route("GET", "/data/projects/{project}/users/{group}/{login}", get_user),
    Route("PUT", "/data/projects/{project}/users/{group}/{login}", put_user),
    Route("DELETE", "/data/projects/{project}/users/{group}/{login}", delete_user),
    Route("GET", "/data/projects/{project}/groups", list_groups),
]
