"""What becomes of objects in the archive, for the ledger: it says of each where it lies, or that it was deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Select, func, literal, select, update
from sqlalchemy.orm import Session

from overread.hub.models import Instance, ReceivedObject

if TYPE_CHECKING:
    from overread.hub.core import Hub


def follow_folder(db: Session, hub: Hub, session_id: str, before: Path, after: Path) -> None:
    """Let the ledger's lines of a session's objects name the folder's new path."""
    old, new = (path.relative_to(hub.layout.home).as_posix() for path in (before, after))
    db.execute(
        update(ReceivedObject)
        .where(
            ReceivedObject.pk.in_(_lines(Instance.session_id == session_id)),
            func.substr(ReceivedObject.path, 1, len(old) + 1) == f"{old}/",
        )
        .values(path=literal(new).concat(func.substr(ReceivedObject.path, len(old) + 1)))
        .execution_options(synchronize_session="fetch")
    )


def note_deleted(db: Session, files: Select[int]) -> None:
    """Let the ledger's lines of objects say that their files are deleted; call it before the database forgets them."""
    db.execute(
        update(ReceivedObject)
        .where(ReceivedObject.pk.in_(_lines(Instance.file_pk.in_(files))))
        .values(state="deleted", reason="deleted from the archive", path="")
        .execution_options(synchronize_session="fetch")
    )


def _lines(which: ColumnElement[bool]) -> Select[int]:
    return (
        select(ReceivedObject.pk)
        .join(
            Instance,
            (Instance.sop_instance_uid == ReceivedObject.sop_instance_uid)
            & (Instance.session_id == ReceivedObject.session_id),
        )
        .where(which, ReceivedObject.state == "archived")
    )
