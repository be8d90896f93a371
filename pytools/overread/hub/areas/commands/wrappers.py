"""What the routes about wrappers share: which wrapper a path names, and who may manage commands."""

from __future__ import annotations

from overread.hub.errors import forbidden
from overread.hub.http import Call
from overread.hub.runs.documents import Wrapper, find_wrapper, find_wrapper_by_name

MANAGER = "ContainerManager"

WRAPPER = "/wrappers/{wrapper:int}"
BY_NAME = "/commands/{command:int}/wrappers/{name}"


def require_manager(call: Call) -> None:
    """Refuse the call unless the caller manages containers: administrators, and the role Container Manager."""
    if not call.caller.is_admin and MANAGER not in call.caller.roles:
        raise forbidden("Only a container manager may do this.")


def wrapper_of(call: Call) -> Wrapper:
    """Return the wrapper that the path names by id, or by its command and name."""
    number = call.params.get("wrapper")
    if number is None:
        number = find_wrapper_by_name(call.db, call.params["command"], call.params["name"])
    return find_wrapper(call.db, number, project=call.params.get("project", ""))
