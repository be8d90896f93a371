"""``/xapi/users`` and ``/data/users``."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import Access
from overread.hub.areas.users import store
from overread.hub.errors import bad_request, forbidden
from overread.hub.http import Call, Route
from overread.hub.items.projects import ROLES, remove_member, set_member
from overread.hub.models import User


def list_table(call: Call) -> Response:
    """List enabled accounts as a table."""
    found = call.db.scalars(select(User).where(User.enabled.is_(True)).order_by(User.login))
    rows = [
        {
            "xdat_user_id": user.pk,
            "login": user.login,
            "firstname": user.first_name,
            "lastname": user.last_name,
            "email": user.email,
        }
        for user in found
    ]
    columns = ("xdat_user_id", "login", "firstname", "lastname", "email")
    return answers.table(rows, columns, form=call.format, total=len(rows))


def list_names(call: Call) -> Response:
    """List the names of all accounts."""
    return JSONResponse(list(call.db.scalars(select(User.login).order_by(User.login))))


def list_profiles(call: Call) -> Response:
    """List all accounts."""
    return JSONResponse([store.bean(user) for user in call.db.scalars(select(User).order_by(User.login))])


def own_name(call: Call) -> Response:
    """Tell the caller's login."""
    return answers.text(call.caller.login)


def profile(call: Call) -> Response:
    """Tell one account: one's own, or any as administrator."""
    _self_or_admin(call)
    return JSONResponse(store.bean(store.find_user(call.db, call.params["login"])))


def make(call: Call) -> Response:
    """Make an account."""
    return JSONResponse(store.bean(store.make_user(call.db, call.hub, call.json_object())), status_code=201)


def change(call: Call) -> Response:
    """Change an account; oneself may change name, e-mail and password."""
    _self_or_admin(call)
    document = call.json_object()
    if not call.caller.is_admin and {"enabled", "verified"} & document.keys():
        raise forbidden("Only a site administrator may enable or verify accounts.")
    if document.get("username", call.params["login"]) != call.params["login"]:
        raise bad_request("A user name can't be changed.")
    user = store.find_user(call.db, call.params["login"])
    store.change_user(call.db, call.hub, user, document)
    return JSONResponse(store.bean(user))


def get_switch(call: Call) -> Response:
    """Tell whether an account is enabled, or verified."""
    _self_or_admin(call)
    return JSONResponse(getattr(store.find_user(call.db, call.params["login"]), _switch(call)))


def put_switch(call: Call) -> Response:
    """Enable or disable, verify or unverify an account."""
    value = call.params["value"].lower()
    if value not in {"true", "false"}:
        raise bad_request(f"{value!r} is neither true nor false.")
    store.change_user(
        call.db, call.hub, store.find_user(call.db, call.params["login"]), {_switch(call): value == "true"}
    )
    return answers.text()


def _switch(call: Call) -> str:
    return call.path.split("/")[4]  # /xapi/users/<login>/<switch>


def get_roles(call: Call) -> Response:
    """List an account's site roles."""
    _self_or_admin(call)
    return JSONResponse(sorted(store.find_user(call.db, call.params["login"]).roles))


def put_roles(call: Call) -> Response:
    """Give an account exactly the site roles in the body."""
    roles = call.json()
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise bad_request("The body must be a JSON list of role names.")
    store.set_roles(store.find_user(call.db, call.params["login"]), roles)
    return answers.text()


def put_role(call: Call) -> Response:
    """Give an account a site role."""
    user = store.find_user(call.db, call.params["login"])
    store.set_roles(user, [*user.roles, call.params["role"]])
    return answers.text()


def delete_role(call: Call) -> Response:
    """Take a site role from an account."""
    user = store.find_user(call.db, call.params["login"])
    store.set_roles(user, [role for role in user.roles if role != store.checked_role(call.params["role"])])
    return answers.text()


def get_groups(call: Call) -> Response:
    """List an account's groups."""
    _self_or_admin(call)
    user = store.find_user(call.db, call.params["login"])
    return JSONResponse(store.groups_of(call.db, user.login))


def put_group(call: Call) -> Response:
    """Put an account into a group such as ``P_owner``."""
    user = store.find_user(call.db, call.params["login"])
    project, role = _group(call.params["group"])
    set_member(call.db, project, user.login, role)
    return answers.text()


def delete_group(call: Call) -> Response:
    """Take an account out of a group."""
    project, role = _group(call.params["group"])
    remove_member(call.db, project, call.params["login"], role)
    return answers.text()


def _group(name: str) -> tuple[str, str]:
    project, _, role = name.rpartition("_")
    if role not in ROLES or not project:
        raise bad_request(f"{name!r} is no group: write PROJECT_owner, PROJECT_member or PROJECT_collaborator.")
    return project, role


def list_roles(call: Call) -> Response:
    """Tell who has which site role."""
    users = call.db.scalars(select(User).order_by(User.login)).all()
    return JSONResponse({role: [user.login for user in users if role in user.roles] for role in store.ROLES})


def _self_or_admin(call: Call) -> None:
    if call.params["login"] != call.caller.login:
        call.require_admin()


def current(call: Call) -> Response:
    """Tell the caller's own account."""
    return JSONResponse(store.bean(store.find_user(call.db, call.caller.login)))


_USER = "/xapi/users/{login}"

ROUTES = [
    Route("GET", "/data/users", list_table, Access.ADMIN),
    Route("GET", "/xapi/users", list_names, Access.ADMIN),
    Route("POST", "/xapi/users", make, Access.ADMIN),
    Route("GET", "/xapi/users/username", own_name),
    Route("GET", "/xapi/users/current", current),
    Route("GET", "/xapi/users/profiles", list_profiles, Access.ADMIN),
    Route("GET", "/xapi/users/profile/{login}", profile),
    Route("GET", "/xapi/users/roles", list_roles, Access.ADMIN),
    Route("GET", _USER, profile),
    Route("PUT", _USER, change),
    Route("GET", f"{_USER}/enabled", get_switch),
    Route("PUT", f"{_USER}/enabled/{{value}}", put_switch, Access.ADMIN),
    Route("GET", f"{_USER}/verified", get_switch),
    Route("PUT", f"{_USER}/verified/{{value}}", put_switch, Access.ADMIN),
    Route("GET", f"{_USER}/roles", get_roles),
    Route("PUT", f"{_USER}/roles", put_roles, Access.ADMIN),
    Route("PUT", f"{_USER}/roles/{{role}}", put_role, Access.ADMIN),
    Route("DELETE", f"{_USER}/roles/{{role}}", delete_role, Access.ADMIN),
    Route("GET", f"{_USER}/groups", get_groups),
    Route("PUT", f"{_USER}/groups/{{group}}", put_group, Access.ADMIN),
    Route("DELETE", f"{_USER}/groups/{{group}}", delete_group, Access.ADMIN),
]
