"""The `Hub` object: everything that belongs to one hub. Two hubs in one process share nothing."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from overread.errors import OverreadError
from overread.hub.audit import AuditTrail
from overread.hub.config import HubConfig
from overread.hub.database import Database, url_of
from overread.hub.events import EventBus
from overread.hub.layout import Layout
from overread.hub.logins import Logins
from overread.hub.policy import Policies
from overread.hub.schemas import SchemaRegistry
from overread.hub.sessions import Sessions

if TYPE_CHECKING:
    from overread.hub.areas.dicomweb.metadata import MetadataCache
    from overread.hub.areas.importer.inbox import Inbox
    from overread.hub.arrival.commitments import Commitments
    from overread.hub.arrival.completion import ArrivalService
    from overread.hub.arrival.intake import Intake
    from overread.hub.items.catalogs import CatalogWriter
    from overread.hub.metrics import Metrics
    from overread.hub.receiver.refusals import Refusals
    from overread.hub.receiver.service import Receivers
    from overread.hub.runs.images import ImageCatalog
    from overread.hub.runs.queue import RunQueue
    from overread.hub.runs.warmup import WarmUp

log = logging.getLogger(__name__)


class Service(Protocol):
    """A part that works in the background."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, and wait until it has ended."""


class Hub:
    """One hub: settings, files, database, logins, events, background services.

    Parameters
    ----------
    config
        Settings.

    Notes
    -----
    Areas add what they need in ``overread.hub.app.assemble``.
    """

    catalogs: CatalogWriter
    receivers: Receivers
    refusals: Refusals
    intake: Intake
    inbox: Inbox
    commitments: Commitments
    arrival: ArrivalService
    metadata: MetadataCache
    images: ImageCatalog
    runs: RunQueue
    warm_up: WarmUp
    metrics: Metrics

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.layout = Layout(config.home.resolve())
        if (self.layout.home / "restoring").exists():
            raise OverreadError(f"{config.home} was restored in part only: remove it, and restore it again.")
        self.layout.make()
        self.database = Database(config.database or url_of(self.layout.database))
        self.policies = Policies(self)
        self.audit = AuditTrail(self)
        self.logins = Logins(self)
        self.sessions = Sessions(self)
        self.events = EventBus()
        self.schemas = SchemaRegistry(self.layout.plugins)
        self.services: list[Service] = [self.audit]

    def start(self) -> None:
        """Empty the folder of unfinished uploads, and start all background services."""
        shutil.rmtree(self.layout.tmp, ignore_errors=True)
        self.layout.tmp.mkdir()
        for service in self.services:
            service.start()

    def stop(self) -> None:
        """Stop them, the last started first, and close the database."""
        for service in reversed(self.services):
            service.stop()
        self.database.close()


class Ticker:
    """A background service that calls a function again and again.

    Parameters
    ----------
    name
        Name of the thread.
    work
        Called every `interval_s`, and at once after `wake`. Whatever it raises is logged; the next call comes all
        the same.
    """

    def __init__(self, name: str, work: Callable[[], None], *, interval_s: float) -> None:
        self._work, self._interval_s = work, interval_s
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call under way."""
        self._end.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self) -> None:
        """Call the function soon."""
        self._wake.set()

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.clear()
            try:
                self._work()
            except Exception:  # the outermost loop of a service: it must go on
                log.exception("%s failed; trying again", self._thread.name)
            self._wake.wait(self._interval_s)
