"""A session of the prearchive goes into another project's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.arrival.storage import link, make_folder
from overread.hub.database import undo
from overread.hub.layout import sync_folder
from overread.hub.models import PrearchiveSession

if TYPE_CHECKING:
    from overread.hub.core import Hub


def move_session(db: Session, hub: Hub, session: PrearchiveSession, *, project: str) -> None:
    """Move a session into the prearchive of `project`; its state stays.

    Files get their new names at once and lose the old ones when the transaction is kept, as in
    `overread.hub.arrival.filing`.
    """
    if project == session.project:
        return
    objects = prearchive.objects_of(db, session)
    before = prearchive.folder_of(hub, session)
    prearchive.remove_folder_later(db, hub, session)
    # First the timestamp: a session that is in the new project already would stand in its own way.
    timestamp = prearchive.free_timestamp(db, project, session.timestamp)
    session.project, session.timestamp = project, timestamp
    after = prearchive.folder_of(hub, session)
    for item in objects:
        source = hub.layout.home / item.path
        target = after / source.relative_to(before)
        make_folder(target.parent)
        target.unlink(missing_ok=True)
        link(source, target)
        undo(db, lambda path=target: path.unlink(missing_ok=True))  # type: ignore[misc]
        sync_folder(target.parent)
        item.path = target.relative_to(hub.layout.home).as_posix()
    db.flush()
