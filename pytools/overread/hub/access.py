"""Who may do what: XNAT's project roles and site roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.models import Experiment, Membership, Project, Share

ADMINISTRATOR = "Administrator"


class Right(Enum):
    """What one can do in a project. A higher right holds the lower ones."""

    READ = 1
    EDIT = 2  # create and change, no deleting
    OWN = 3  # delete, settings, users


class Access(Enum):
    """What a route demands before its handler runs."""

    PUBLIC = "public"
    USER = "user"  # any logged-in user; the handler checks the object
    ADMIN = "admin"
    READ = "read"  # READ in the project of the path
    EDIT = "edit"
    OWN = "own"


_ROLE_RIGHTS = {"collaborator": Right.READ, "member": Right.EDIT, "owner": Right.OWN}


@dataclass(frozen=True)
class Caller:
    """Who calls. ``login`` "guest" is nobody."""

    login: str
    roles: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_guest(self) -> bool:
        """Nobody has logged in."""
        return self.login == "guest"

    @property
    def is_admin(self) -> bool:
        """A site administrator, who may do everything."""
        return ADMINISTRATOR in self.roles


GUEST = Caller("guest")
SYSTEM = Caller("admin", frozenset({ADMINISTRATOR}))


def right_in(db: Session, caller: Caller, project: str) -> Right | None:
    """Return the highest right of `caller` in `project`, or None."""
    if caller.is_admin:
        return Right.OWN
    role = db.scalar(select(Membership.role).where(Membership.project == project, Membership.login == caller.login))
    if role is not None:
        return _ROLE_RIGHTS[role]
    accessibility = db.scalar(select(Project.accessibility).where(Project.id == project))
    return Right.READ if accessibility == "public" else None


def may(db: Session, caller: Caller, project: str, right: Right) -> bool:
    """Whether `caller` has `right` in `project`."""
    have = right_in(db, caller, project)
    return have is not None and have.value >= right.value


def readable_projects(db: Session, caller: Caller) -> set[str]:
    """Return the IDs of all projects whose data `caller` may read."""
    if caller.is_admin:
        return set(db.scalars(select(Project.id).where(Project.deleted.is_(False))))
    mine = select(Membership.project).where(Membership.login == caller.login)
    public = select(Project.id).where(Project.accessibility == "public", Project.deleted.is_(False))
    return set(db.scalars(mine)) | set(db.scalars(public))


def may_on_experiment(db: Session, caller: Caller, experiment: Experiment, right: Right) -> bool:
    """Whether `caller` has `right` on `experiment`, by its own project or (reading only) one it is shared into."""
    if may(db, caller, experiment.project, right):
        return True
    if right is not Right.READ:
        return False
    shared = db.scalars(select(Share.project).where(Share.kind == "experiment", Share.object_id == experiment.id))
    return any(may(db, caller, project, Right.READ) for project in shared)
