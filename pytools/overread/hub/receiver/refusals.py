"""Associations that came to nothing: who was not let in, or broke off, and why; for the administrator to see.

A sender that is set up wrongly tries again and again. So equal refusals are one row with a count, rows are written by
the second, and only the newest are kept: nobody fills the database by knocking.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import delete, func, select

from overread.hub.core import Ticker
from overread.hub.models import RefusedAssociation
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

MOST_KEPT: Final = 1000
_MOST_WAITING: Final = 1000
_WRITE_EVERY_S: Final = 1.0
_MAX_TITLE, _MAX_REASON = 16, 300


class _Refusal(NamedTuple):
    """What makes two refusals equal."""

    reason: str
    called: str
    calling: str
    address: str
    port: int


class _Tally(NamedTuple):
    times: int
    first: datetime
    last: datetime


class Refusals:
    """Notes refused associations. A service."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._waiting: dict[_Refusal, _Tally] = {}
        self._writing = Ticker("dicom-refusals", self.write, interval_s=_WRITE_EVERY_S)

    def start(self) -> None:
        """Begin."""
        self._writing.start()

    def stop(self) -> None:
        """End; what waits is written first."""
        self._writing.stop()
        try:
            self.write()
        except Exception:  # the outermost loop of a service: the others must be stopped, too
            log.exception("refused associations could not be noted")

    def note(self, *, reason: str, called: str, calling: str, address: str, port: int) -> None:
        """Note one; it is written within a second. Texts are the sender's: they are cut, and made printable."""
        refusal = _Refusal(
            _printable(reason, _MAX_REASON), _printable(called, _MAX_TITLE), _printable(calling, _MAX_TITLE),
            _plain(address), port,
        )  # fmt: skip
        now = utc_now()
        with self._lock:
            before = self._waiting.get(refusal)
            if before is None and len(self._waiting) >= _MOST_WAITING:
                return
            times, first = (before.times, before.first) if before is not None else (0, now)
            self._waiting[refusal] = _Tally(times + 1, first, now)

    def write(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._write(waiting)
        except Exception:
            with self._lock:  # the next time
                self._waiting = waiting | self._waiting
            raise

    def _write(self, waiting: dict[_Refusal, _Tally]) -> None:
        with self._hub.database.write() as db:
            for refusal, tally in waiting.items():
                row = db.scalar(select(RefusedAssociation).filter_by(**refusal._asdict()))
                if row is None:
                    values: dict[str, Any] = refusal._asdict()
                    db.add(RefusedAssociation(**values, times=tally.times, first_at=tally.first, last_at=tally.last))
                else:
                    row.times, row.last_at = row.times + tally.times, tally.last
            db.flush()
            if (db.scalar(select(func.count()).select_from(RefusedAssociation)) or 0) > MOST_KEPT:
                newest = select(RefusedAssociation.pk).order_by(RefusedAssociation.last_at.desc()).limit(MOST_KEPT)
                db.execute(delete(RefusedAssociation).where(RefusedAssociation.pk.not_in(newest)))


def _printable(text: str, most: int) -> str:
    return "".join(one if one.isprintable() else "?" for one in text.strip()[:most])


def _plain(address: str) -> str:
    """Return an address; IPv4 through an IPv6 socket is IPv4."""
    try:
        mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return _printable(address, 45)
    return address if mapped is None else str(mapped)
