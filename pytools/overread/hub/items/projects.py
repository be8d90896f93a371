"""Projects: finding, saving, members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError, bad_request, conflict, forbidden, not_found
from overread.hub.items.announce import announce
from overread.hub.items.fields import apply_children, apply_fields, clean_children, clean_fields
from overread.hub.items.ids import checked_id
from overread.hub.models import Membership, Project, User

if TYPE_CHECKING:
    from overread.hub.core import Hub

PROJECT_TYPE = "xnat:projectData"
ACCESSIBILITIES = ("private", "protected", "public")
ROLES = ("owner", "member", "collaborator")


def find_project(db: Session, id_or_alias: str) -> Project | None:
    """Return the project with this ID, else with this alias; deleted ones are not found."""
    project = db.get(Project, id_or_alias)
    if project is None:
        alive = db.scalars(select(Project).where(Project.deleted.is_(False)))
        project = next((one for one in alive if id_or_alias in (one.aliases or [])), None)
    return None if project is None or project.deleted else project


def save_project(
    db: Session,
    hub: Hub,
    project_id: str,
    *,
    user: str,
    fields: Mapping[str, object] | None = None,
    children: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
    aliases: Sequence[str] = (),
    accessibility: str = "",
    replace: bool = False,
) -> tuple[Project, bool]:
    """Make the project `project_id`, owned by `user`, or lay the values over what is there.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    project_id
        ID: letters, digits, ``_`` and ``-``.
    user
        Login of who saves. Becomes an owner of a new project.
    fields, children
        Values by path below ``xnat:projectData``.
    aliases
        Further names; added to those that are there.
    accessibility
        private, protected or public; "" leaves it as it is.
    replace
        Whether values that are not named are cleared.

    Returns
    -------
    tuple of Project and bool
        The project, and whether it is new.
    """
    kind = hub.schemas.known(PROJECT_TYPE)
    values = clean_fields(kind, fields or {})
    given = dict(children or {})
    names = [str(entry.get("alias", "")) for entry in given.pop("aliases/alias", ())]
    repeated = clean_children(hub.schemas, kind, given)
    project = find_project(db, project_id)
    created = project is None
    if project is None:
        _check_new(db, checked_id(project_id))
        project = Project(id=project_id, insert_user=user, accessibility="private", aliases=[], fields={}, children={})
        project.secondary_id = project.name = project_id
        project.description = ""
        db.add(project)
    _check_names(db, project, values)
    apply_fields(project, values, replace=replace)
    apply_children(project, repeated, replace=replace)
    _add_aliases(db, project, [name for name in (*names, *aliases) if name])
    if accessibility:
        set_accessibility(project, accessibility)
    db.flush()
    if created:
        if db.scalar(select(User.pk).where(User.login == user)) is not None:
            db.add(Membership(project=project.id, login=user, role="owner"))
            db.flush()
        announce(db, hub, project, "CREATED", user=user)
    return project, created


def _check_new(db: Session, project_id: str) -> None:
    same = db.scalar(select(Project).where(func.lower(Project.id) == project_id.lower()))
    if same is None:
        return
    if same.deleted:
        raise forbidden(f"Project {same.id} was deleted: its ID can't be used again.")
    raise conflict(f"Project ID {project_id} conflicts with existing project {same.id}.")


def _check_names(db: Session, project: Project, values: Mapping[str, object]) -> None:
    """Refuse a name or secondary ID that another project has."""
    for path, column in (("name", Project.name), ("secondary_ID", Project.secondary_id)):
        value = values.get(path)
        if not value:
            continue
        other = db.scalar(select(Project.id).where(func.lower(column) == str(value).lower(), Project.id != project.id))
        if other is not None:
            raise conflict(f"{path} {str(value)!r} conflicts with existing project {other}.")


def _add_aliases(db: Session, project: Project, aliases: Sequence[str]) -> None:
    for alias in aliases:
        checked_id(alias)
        other = find_project(db, alias)
        if other is not None and other.id != project.id:
            raise conflict(f"Alias {alias!r} conflicts with existing project {other.id}.")
    project.aliases = list(dict.fromkeys([*(project.aliases or []), *aliases]))


def set_accessibility(project: Project, level: str) -> None:
    """Make `project` private, protected or public."""
    if level not in ACCESSIBILITIES:
        raise bad_request(f"{level!r} is no accessibility: use {', '.join(ACCESSIBILITIES)}.")
    project.accessibility = level


def role_of_group(project: str, group: str) -> str:
    """Return owner, member or collaborator for a group as XNAT lets it be named: ``P_owner``, ``owner``, ``Owners``."""
    wanted = group.removeprefix(f"{project}_").lower().removesuffix("s")
    if wanted not in ROLES:
        raise not_found(f"group {group} of project {project}")
    return wanted


def set_member(db: Session, project: str, login: str, role: str) -> None:
    """Give a user a role in a project, instead of the one held before."""
    if db.scalar(select(User.pk).where(User.login == login)) is None:
        raise not_found(f"user {login}")
    found = db.scalar(select(Membership).where(Membership.project == project, Membership.login == login))
    if found is None:
        db.add(Membership(project=project, login=login, role=role))
    else:
        found.role = role
    db.flush()


def remove_member(db: Session, project: str, login: str, role: str) -> None:
    """Take a role away from a user; 404 if that user does not have it."""
    found = db.scalar(
        select(Membership).where(Membership.project == project, Membership.login == login, Membership.role == role)
    )
    if found is None:
        raise HubError(404, f"{login} is no {role} of project {project}.")
    db.delete(found)
    db.flush()
