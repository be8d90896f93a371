"""The files that a database names: of resources, and of what was received."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError
from overread.hub.items.folders import resource_folder
from overread.hub.models import (
    Experiment,
    Project,
    ReceivedObject,
    Resource,
    ResourceFile,
    Scan,
    Subject,
)

if TYPE_CHECKING:
    from overread.hub.core import Hub

_BATCH: Final = 5000


@dataclass(frozen=True)
class Named:
    """A file that a row of the database names.

    Parameters
    ----------
    path
        Below the home, with forward slashes.
    size, digest
        Bytes, and MD5 in hex, as the row has them.
    needed
        Whether it must be there. (An administrator may throw refused objects away.)
    """

    path: str
    size: int
    digest: str
    needed: bool = True


@dataclass(frozen=True)
class Stray:
    """A row that leads nowhere: its table and key."""

    where: str


def named_files(db: Session, hub: Hub) -> Iterator[Named | Stray]:
    """Yield all files that the database names, within the transaction of `db`."""
    # Held until the end: whatever asks for one of them by its key finds it without asking the database.
    held: list[Any] = [*db.scalars(select(Project)), *db.scalars(select(Subject))]
    held += [*db.scalars(select(Experiment)), *db.scalars(select(Scan))]
    folders: dict[int, Path] = {}
    for resource in db.scalars(select(Resource)):
        try:
            folders[resource.pk] = resource_folder(db, hub, resource).relative_to(hub.layout.home)
        except HubError:
            yield Stray(f"resource {resource.pk}")
    query = select(ResourceFile.resource_pk, ResourceFile.path, ResourceFile.size, ResourceFile.digest)
    for row in db.execute(query.execution_options(yield_per=_BATCH)):
        if row.resource_pk in folders:
            yield Named((folders[row.resource_pk] / row.path).as_posix(), row.size, row.digest)
    lines = select(ReceivedObject.state, ReceivedObject.path, ReceivedObject.size, ReceivedObject.digest).where(
        ReceivedObject.state.in_(("received", "refused")), ReceivedObject.path != ""
    )
    for line in db.execute(lines.execution_options(yield_per=_BATCH)):
        yield Named(line.path, line.size, line.digest, needed=line.state == "received")
    del held
