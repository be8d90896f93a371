"""Who changed what of an item, when: noted for every transaction, by whatever way its items are changed.

A listener at the database session sees each item that is made, changed or taken away, and writes one
:class:`~overread.hub.models.HistoryEvent` for each project, subject and experiment when the transaction is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

from overread.hub.access import SYSTEM
from overread.hub.items.fields import columns_of
from overread.hub.models import (
    Experiment,
    HistoryEvent,
    Membership,
    Project,
    Resource,
    ResourceFile,
    Scan,
    Share,
    Subject,
)

ADDED: Final = "Added"
MODIFIED: Final = "Modified"
REMOVED: Final = "Removed"
_Item = Project | Subject | Experiment | Scan
_Noticed = _Item | Resource | Share | Membership
_ROOTS: Final[dict[str, type[Project | Subject | Experiment]]] = {
    "project": Project,
    "subject": Subject,
    "experiment": Experiment,
}
_PLACE: Final = {
    "label": "label", "project": "project", "subject_id": "subject_ID", "status": "status", "deleted": "deleted",
    "accessibility": "accessibility", "aliases": "aliases", "role": "role",
}  # fmt: skip
"""Columns besides those of :func:`columns_of` whose changes are told, with the name they get."""


@dataclass(frozen=True)
class Cause:
    """Who changes something, and why; what a caller says of it by ``event_action``, ``_reason`` and ``_comment``."""

    user: str
    type: str
    action: str = ""
    reason: str = ""
    comment: str = ""


@dataclass
class _Noted:
    project: str
    user: str
    session_id: str = ""
    subject_id: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    files: dict[tuple[str, str], int] = field(default_factory=dict)


def set_cause(db: Session, cause: Cause) -> None:
    """Say who causes what the transaction of `db` changes. Else it is the hub's own doing."""
    db.info["cause"] = cause


@event.listens_for(Session, "before_flush")
def _note(db: Session, _context: object, _instances: object) -> None:
    made: set[tuple[object, ...]] = db.info.setdefault("made", set())
    for one in db.new:
        if isinstance(one, _Item | Resource | Share | Membership):
            made.add(_key(one))
            _add(db, one, ADDED)
        elif isinstance(one, ResourceFile):
            _count(db, one, ADDED)
    for one in db.dirty:
        if isinstance(one, _Item | Membership) and _key(one) not in made:
            for change in _differences(one):
                _add(db, one, MODIFIED, change)
    for one in db.deleted:
        if isinstance(one, _Item | Share | Membership):
            _add(db, one, REMOVED)
        elif isinstance(one, ResourceFile):
            _count(db, one, REMOVED)


def note_removed(db: Session, resource: Resource) -> None:
    """Note that a resource is taken away, where the database is not told object by object."""
    _add(db, resource, REMOVED)


def _key(one: _Noticed) -> tuple[object, ...]:
    match one:
        case Scan():
            return Scan, one.session_id, one.id
        case Resource():
            return Resource, one.owner_kind, one.owner_id, one.label
        case Share():
            return Share, one.kind, one.object_id, one.project
        case Membership():
            return Membership, one.project, one.login
        case _:
            return type(one), one.id


def _add(db: Session, one: _Noticed, action: str, change: Mapping[str, Any] | None = None) -> None:
    noted = _noted(db, _root(db, one))
    if noted is not None:
        header, label = _name(one)
        noted.changes.append({"header": header, "label": label, "action": action, **(change or {})})


def _name(one: _Noticed) -> tuple[str, str]:
    """Return what kind of thing has changed, and how it is called."""
    match one:
        case Project():
            named = "xnat:projectData", one.id
        case Subject():
            named = "xnat:subjectData", one.label
        case Scan():
            named = one.xsi_type, one.id
        case Resource():
            named = "resource", one.label
        case Share():
            named = "share", one.project
        case Membership():
            named = "user", one.login
        case _:
            named = one.xsi_type, one.label
    return named


def _count(db: Session, file: ResourceFile, action: str) -> None:
    """Count a file; whose it is is looked up once, as there may be many."""
    known: dict[int, tuple[_Noted | None, str]] = db.info.setdefault("history_of_resource", {})
    if file.resource_pk not in known:
        resource = db.get(Resource, file.resource_pk)
        noted = None if resource is None else _noted(db, _root(db, resource))
        known[file.resource_pk] = noted, "" if resource is None else resource.label
    noted, label = known[file.resource_pk]
    if noted is not None:
        noted.files[label, action] = noted.files.get((label, action), 0) + 1


def _root(db: Session, one: _Noticed | None) -> Project | Subject | Experiment | None:
    """Return in whose history a change of `one` shows."""
    match one:
        case Resource():
            owner = db.get(Scan, int(one.owner_id)) if one.owner_kind == "scan" else None
            return _root(db, owner) if owner is not None else _owner(db, one.owner_kind, one.owner_id)
        case Share():
            return _owner(db, one.kind, one.object_id)
        case Membership():
            return _owner(db, "project", one.project)
        case Scan():
            return _owner(db, "experiment", one.session_id)
        case _:
            return one


def _owner(db: Session, kind: str, key: str) -> Project | Subject | Experiment | None:
    model = _ROOTS.get(kind)
    return None if model is None else _find(db, model, key)


def _find(db: Session, model: type[Project | Subject | Experiment], key: str) -> Project | Subject | Experiment | None:
    """Return an object, also one that the database is only now told of."""
    found = db.get(model, key) or next((one for one in db.new if isinstance(one, model) and one.id == key), None)
    return cast("Project | Subject | Experiment | None", found)


def _noted(db: Session, root: Project | Subject | Experiment | None) -> _Noted | None:
    if root is None:
        return None
    kind = next(name for name, model in _ROOTS.items() if isinstance(root, model))
    pending: dict[tuple[str, str], _Noted] = db.info.setdefault("history", {})
    if (kind, root.id) not in pending:
        project = root.id if isinstance(root, Project) else root.project
        pending[kind, root.id] = noted = _Noted(project, root.insert_user or SYSTEM.login)
        if isinstance(root, Experiment):
            noted.session_id = root.session_id or ""
            session = _find(db, Experiment, root.session_id) if root.session_id else root
            noted.subject_id = (session.subject_id or "") if isinstance(session, Experiment) else ""
    return pending[kind, root.id]


def _differences(item: _Item | Membership) -> Iterator[dict[str, Any]]:
    state: Any = inspect(item)
    names = dict(_PLACE)
    if isinstance(item, _Item):
        names |= {column: path for path, column in columns_of(item).items()}
    for column, path in names.items():
        if column in state.attrs and state.attrs[column].history.has_changes():
            yield _change(path, _before(state, column), getattr(item, column))
    for column, differ in (("fields", _field_differences), ("children", _child_differences)):
        if column in state.attrs and state.attrs[column].history.has_changes():
            yield from differ(_before(state, column) or {}, getattr(item, column) or {})


def _before(state: Any, column: str) -> Any:
    deleted = state.attrs[column].history.deleted
    return deleted[0] if deleted else None


def _field_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield _change(path, before.get(path), after.get(path))


def _child_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, []), after.get(path, [])
        if old == new:
            continue
        if all("name" in entry for entry in [*old, *new]):
            named = ({f"{path}[name={entry['name']}]": _without_name(entry) for entry in side} for side in (old, new))
            yield from _field_differences(*named)
        else:
            yield _change(path, old, new)


def _without_name(entry: Mapping[str, Any]) -> Any:
    rest = {name: value for name, value in entry.items() if name != "name"}
    return next(iter(rest.values())) if len(rest) == 1 else rest


def _change(path: str, old: object, new: object) -> dict[str, Any]:
    return {"path": path, "old": "" if old is None else old, "new": "" if new is None else new}


@event.listens_for(Session, "before_commit")
def _write(db: Session) -> None:
    db.flush()
    pending: dict[tuple[str, str], _Noted] = db.info.pop("history", {})
    db.info.pop("made", None)
    db.info.pop("history_of_resource", None)
    cause: Cause | None = db.info.get("cause")
    for (kind, object_id), noted in pending.items():
        files = [
            {"header": "files", "label": label, "action": action, "count": count}
            for (label, action), count in noted.files.items()
        ]
        if noted.changes or files:
            db.add(
                HistoryEvent(
                    user=cause.user if cause is not None else noted.user,
                    kind=kind,
                    object_id=object_id,
                    project=noted.project,
                    session_id=noted.session_id,
                    subject_id=noted.subject_id,
                    type=cause.type if cause is not None else "PROCESS",
                    action=cause.action if cause is not None else "",
                    reason=cause.reason if cause is not None else "",
                    comment=cause.comment if cause is not None else "",
                    changes=[*noted.changes, *files],
                )
            )
