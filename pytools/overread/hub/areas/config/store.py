"""Texts by tool and path; every change is a new version and the newest counts."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.hub.errors import bad_request
from overread.hub.models import ConfigEntry

STATUSES = ("enabled", "disabled")
SITE = ""


def current_config(db: Session, *, project: str, tool: str, path: str) -> ConfigEntry | None:
    """Return the newest version of a text; `project` "" is the site's."""
    return db.scalar(
        select(ConfigEntry)
        .where(ConfigEntry.project == project, ConfigEntry.tool == tool, ConfigEntry.path == path)
        .order_by(ConfigEntry.version.desc())
        .limit(1)
    )


def config_version(db: Session, *, project: str, tool: str, path: str, version: int) -> ConfigEntry | None:
    """Return one version of a text."""
    return db.scalar(
        select(ConfigEntry).where(
            ConfigEntry.project == project,
            ConfigEntry.tool == tool,
            ConfigEntry.path == path,
            ConfigEntry.version == version,
        )
    )


def put_config(
    db: Session, *, project: str, tool: str, path: str, contents: str | None, user: str, status: str = ""
) -> tuple[ConfigEntry, bool]:
    """Store a text, or switch one on or off.

    Parameters
    ----------
    db
        Transaction.
    project, tool, path
        Where.
    contents
        The text; None keeps the one that is there.
    user
        Login of who stores.
    status
        enabled or disabled; "" keeps it (new: enabled).

    Returns
    -------
    tuple of ConfigEntry and bool
        The newest version now, and whether it is the first. Nothing changed: no new version.
    """
    if status and status not in STATUSES:
        raise bad_request(f"{status!r} is no status: use enabled or disabled.")
    before = current_config(db, project=project, tool=tool, path=path)
    if before is None and contents is None:
        raise bad_request(f"There is no configuration {tool}/{path}: send its contents.")
    text = contents if contents is not None else before.contents if before is not None else ""
    wanted = status or (before.status if before is not None and contents is None else "enabled")
    if before is not None and (before.contents, before.status) == (text, wanted):
        return before, False
    entry = ConfigEntry(
        project=project,
        tool=tool,
        path=path,
        version=before.version + 1 if before is not None else 1,
        status=wanted,
        contents=text,
        user=user,
    )
    db.add(entry)
    db.flush()
    return entry, before is None


def list_configs(db: Session, *, project: str, tool: str = "") -> list[ConfigEntry]:
    """Return the newest version of every text of a project, of one tool if it is named."""
    newest = (
        select(func.max(ConfigEntry.pk))
        .where(ConfigEntry.project == project)
        .group_by(ConfigEntry.tool, ConfigEntry.path)
    )
    query = select(ConfigEntry).where(ConfigEntry.pk.in_(newest)).order_by(ConfigEntry.tool, ConfigEntry.path)
    if tool:
        query = query.where(ConfigEntry.tool == tool)
    return list(db.scalars(query))
