"""Catalogs on disk: beside the files of a resource lies ``<label>_catalog.xml``, as XNAT has it.

The database is what counts. The file is for who reads the archive without the hub, so it is written soon after a change
is kept, by a thread of its own, and nobody waits for it. One that a crash left behind is put right by the resource's
next change, or by a refresh.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.core import Ticker
from overread.hub.database import after_commit
from overread.hub.errors import HubError, bad_request
from overread.hub.items.catalog import catalog_xml
from overread.hub.items.folders import resource_folder
from overread.hub.models import Resource, ResourceFile

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_ENDING: Final = "_catalog.xml"
_RETRY_S: Final = 30.0


def catalog_name(resource: Resource) -> str:
    """Return the name of a resource's catalog file."""
    return f"{resource.label}{_ENDING}"


def is_catalog(name: str) -> bool:
    """Whether a file of a resource is a catalog by its name: no data, and not listed."""
    return name.endswith(_ENDING)


def refuse_catalog(resource: Resource, path: str) -> None:
    """Refuse a file that would lie where the resource's own catalog does."""
    if path == catalog_name(resource):
        raise bad_request(f"{path} is the name of the resource's own catalog: store the file under another one.")


def touch(db: Session, hub: Hub, resource: Resource) -> None:
    """Have the catalog of `resource` written anew once the transaction of `db` is kept."""
    touched: set[int] = db.info.setdefault("catalogs", set())
    if not touched:
        after_commit(db, lambda: hub.catalogs.write_soon(touched))
    touched.add(resource.pk)


class CatalogWriter:
    """Writes catalogs in the background.

    Parameters
    ----------
    hub
        Its database and its archive.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._due: set[int] = set()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._ticker = Ticker("catalogs", self.write_due, interval_s=_RETRY_S)

    def start(self) -> None:
        """Begin."""
        self._ticker.start()

    def stop(self) -> None:
        """Write what is due, and end."""
        self._ticker.stop()
        self.write_due()

    def write_soon(self, pks: set[int]) -> None:
        """Have the catalogs of these resources written."""
        with self._lock:
            self._due |= pks
        self._ticker.wake()

    def stale(self, db: Session) -> tuple[int, list[int]]:
        """Find catalogs on disk that are missing or not as the database has them.

        Returns
        -------
        tuple of int and list of int
            How many resources have files, and the keys of those whose catalog is stale.
        """
        filled = select(ResourceFile.resource_pk).distinct()
        resources = db.scalars(select(Resource).where(Resource.pk.in_(filled)).order_by(Resource.pk)).all()
        return len(resources), [one.pk for one in resources if not self._is_fresh(db, one)]

    def _is_fresh(self, db: Session, resource: Resource) -> bool:
        try:
            path = resource_folder(db, self._hub, resource) / catalog_name(resource)
            return path.read_bytes() == catalog_xml(db, resource)
        except (OSError, HubError):
            return False

    def write_due(self) -> None:
        """Write all catalogs that are due. What can't be written now is tried again later.

        One at a time: else an older state could be written over a newer one, and who comes second would return before
        the first is done.
        """
        with self._writing:
            with self._lock:
                due, self._due = self._due, set()
            for pk in sorted(due):
                try:
                    with self._hub.database.read() as db:
                        self._write(db, pk)
                except OSError as problem:
                    log.warning("The catalog of resource %d was not written: %s", pk, problem.strerror)
                    with self._lock:
                        self._due.add(pk)

    def _write(self, db: Session, pk: int) -> None:
        resource = db.get(Resource, pk)
        if resource is None:
            return
        folder = resource_folder(db, self._hub, resource)
        if not folder.is_dir():
            return  # it has no files yet
        staged = self._hub.layout.tmp / f"catalog-{uuid.uuid4().hex}"
        staged.write_bytes(catalog_xml(db, resource))
        staged.chmod(0o640)
        try:
            staged.replace(folder / catalog_name(resource))
        finally:
            staged.unlink(missing_ok=True)
