"""Files what lies in the receiver's spool: each object gets its place and its line in the ledger.

Senders have their answers already (`overread.hub.arrival.spool`), so nobody waits here: what came within a moment is
filed in one transaction. A spooled file loses its name only once that transaction is kept; after a crash it is filed
again, and known again if it was.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from overread.hub.arrival import commitments
from overread.hub.arrival.assignment import Rules
from overread.hub.arrival.objects import Fault, Finding, examine
from overread.hub.arrival.spool import COMMITMENT, Entry, Spool
from overread.hub.arrival.spooling import Spooled
from overread.hub.arrival.storage import Incoming, Storing
from overread.hub.database import after_commit
from overread.hub.faults import is_temporary, told
from overread.hub.models.base import utc_now
from overread.hub.receiver.settings import find_receiver, rows_of_port, rules_of

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_BATCH: Final = 100
_GATHER_S: Final = 0.5
"""Objects that come within it are filed together: syncing what is filed costs the disk as much for one as for many."""
_LOOK_AGAIN_S: Final = 1.0
_RETRY_S: Final = 5.0


class Intake:
    """Files the spool. A service."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.spool = Spool(hub.layout.spool, hub.config.disk_reserve_bytes)
        self.spool.make()
        self._wake, self._end = threading.Event(), threading.Event()
        self._filing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def recover(self) -> None:
        """File what a crash left, before anything else looks at the prearchive."""
        self.spool.recover()
        self.file_all()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what lies in the spool is filed first, unless that can't be done now."""
        self._end.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._try()

    def wake(self) -> None:
        """Look into the spool soon."""
        self._wake.set()

    def horizon(self) -> datetime:
        """Return up to when it is known what has arrived: the time of the oldest object that waits, else now."""
        now = utc_now()
        waiting = self.spool.entries()
        return min(now, waiting[0].received_at) if waiting else now

    def file_all(self) -> None:
        """File all that lies in the spool now. When this returns, the ledger knows it.

        Raises
        ------
        DBAPIError, OSError
            Database or disk can't take it now; it stays in the spool.
        """
        with self._filing:
            waiting = self.spool.entries()
            for start in range(0, len(waiting), _BATCH):
                self._file(waiting[start : start + _BATCH])

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.wait(_LOOK_AGAIN_S)
            self._wake.clear()
            self._end.wait(_GATHER_S)
            if not self._try():
                self._end.wait(_RETRY_S)

    def _try(self) -> bool:
        try:
            self.file_all()
        except Exception as problem:  # the outermost loop of a service: it must go on
            words = "objects could not be filed; they stay in the spool and are tried again"
            if is_temporary(problem):
                log.warning("%s: %s", words, told(problem))
            else:
                log.exception(words)
            return False
        return True

    def _file(self, entries: Sequence[Entry]) -> None:
        examined = [(entry, _examined(entry) if entry.kind != COMMITMENT else None) for entry in entries]
        try:
            self._file_together(examined)
        except (DBAPIError, OSError):
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is said
            if len(examined) == 1:
                self._give_up(*examined[0], problem)
                return
            # One of them can't be filed: the others must not wait for it.
            for one in examined:
                try:
                    self._file_together([one])
                except (DBAPIError, OSError):
                    raise
                except Exception as own:  # noqa: BLE001 - whatever it is, it is said
                    self._give_up(*one, own)

    def _file_together(self, examined: Sequence[tuple[Entry, Finding | None]]) -> None:
        with self._hub.database.write() as db, Storing(db, self._hub) as storing:
            rules: dict[tuple[str, int], Rules] = {}
            headers = (finding.header for _, finding in examined if finding is not None)
            storing.expect(header.sop_instance_uid for header in headers if header is not None)
            for entry, finding in examined:
                if finding is None:
                    self._take_commitment(db, entry)
                    continue
                spooled = Spooled(entry.path, entry.digest, entry.path.stat().st_size)
                source = _source(entry, finding)
                if finding.fault is not None or finding.header is None:
                    storing.refuse(
                        spooled,
                        reason=finding.reason,
                        source=source,
                        header=finding.header,
                        received_at=entry.received_at,
                    )
                    continue
                place = (finding.receiver, entry.port)
                if place not in rules:
                    rules[place] = self._rules(db, *place)
                storing.store(
                    Incoming(spooled, finding.header, source), rules=rules[place], received_at=entry.received_at
                )

    def _rules(self, db: Session, title: str, port: int) -> Rules:
        receiver = find_receiver(db, title, rows_of_port(self._hub.config, port))
        return rules_of(receiver) if receiver is not None else Rules()

    def _take_commitment(self, db: Session, entry: Entry) -> None:
        commitments.ask(db, json.loads(entry.path.read_bytes()), port=entry.port, asked_at=entry.received_at)
        after_commit(db, lambda: entry.path.unlink(missing_ok=True))
        after_commit(db, self._hub.commitments.wake)

    def _give_up(self, entry: Entry, finding: Finding | None, problem: Exception) -> None:
        """Put an entry aside that the hub fails over: it must not stop those behind it."""
        log.error("%s can't be filed", entry.path.name, exc_info=problem)
        if finding is None:
            entry.path.unlink(missing_ok=True)
            return
        spooled = Spooled(entry.path, entry.digest, entry.path.stat().st_size)
        reason = "the hub failed to file it, its log says why"
        with self._hub.database.write() as db, Storing(db, self._hub) as storing:
            storing.refuse(
                spooled,
                reason=reason,
                source=_source(entry, finding),
                header=finding.header,
                received_at=entry.received_at,
            )


def _examined(entry: Entry) -> Finding:
    """Judge one; what can't even be judged is put aside as well: it must not stop those behind it."""
    try:
        return examine(entry.path)
    except OSError:
        raise
    except Exception:  # the library raises anything over bytes that are no dataset
        log.exception("%s can't be read", entry.path.name)
        return Finding(None, Fault.UNREADABLE, "the hub failed to read it, its log says why")


def _source(entry: Entry, finding: Finding) -> str:
    return f"{finding.receiver}:{entry.port} from {finding.sender}"
