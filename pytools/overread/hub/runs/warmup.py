"""Building environments ahead: when a wrapper is enabled, its image is made ready before the first exam comes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import RunnerError
from overread.hub.models import Command, Enablement
from overread.hub.runs.documents import find_by_image
from overread.hub.runs.runner import Runner

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_INTERVAL_S = 60.0


class WarmUp:
    """Background service: prepares the images of all enabled wrappers, each once; a run waits for it if need be.

    Parameters
    ----------
    hub, runner
        The hub, and who prepares.
    """

    def __init__(self, hub: Hub, runner: Runner) -> None:
        self._hub, self._runner = hub, runner
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._done: set[str] = set()
        self._thread = threading.Thread(target=self._serve, name="images", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being built is given up."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self) -> None:
        """Look soon for images that are new."""
        self._woken.set()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._prepare()
            except Exception:  # the outermost loop of a service: it must go on
                log.exception("Preparing images failed; trying again")
            self._woken.wait(_INTERVAL_S)

    def _prepare(self) -> None:
        with self._hub.database.read() as db:
            wanted = enabled_images(db)
        for image in (self._hub.images.find(name) for name in wanted):
            if image is None or image.digest in self._done or self._stopping.is_set():
                continue
            self._done.add(image.digest)  # also if it fails: a run tells why, and tries again
            try:
                self._runner.prepare(
                    image.name, report=lambda line: log.info("%s", line), stopped=self._stopping.is_set
                )
            except RunnerError as problem:
                if not self._stopping.is_set():
                    log.warning("Image %s is not ready: %s", image.name, problem)


def enabled_images(db: Session) -> list[str]:
    """Return the images of all wrappers that are enabled for the site, and of their wrap-up commands."""
    enabled = set(db.scalars(select(Enablement.wrapper_id).where(Enablement.project == "", Enablement.enabled)))
    found: dict[str, None] = {}
    for command in db.scalars(select(Command).order_by(Command.id)):
        for wrapper in command.document["xnat"]:
            if wrapper["id"] in enabled:
                found[command.image] = None
                references = [handler.get("via-wrapup-command") for handler in wrapper["output-handlers"]]
                for wrapup in (find_by_image(db, reference) for reference in references if reference):
                    if wrapup is not None:
                        found[str(wrapup["image"])] = None
    return list(found)
