"""The clock is set while exams arrive: their quiet time goes on as if it had not been.

How long nothing has come for a session is the difference of two moments by the wall clock, which has to outlive the
hub. So where the clock is set forward, an exam in mid-transfer would count as whole at once; where it is set back, one
would wait for as long as the clock was wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival import prearchive
from overread.hub.models import PrearchiveSession

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_SET_S: Final = 5.0
"""Smaller steps are left alone: daemons that keep the time make them, and no quiet time is that short."""


class Clock:
    """Notices that the wall clock was set, by a clock that can't be.

    Parameters
    ----------
    wall, steady
        Both clocks, in seconds.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._looked_wall, self._looked = wall(), steady()

    def look(self, hub: Hub) -> None:
        """Move the moments of arriving sessions along if the clock was set since the last look."""
        now, steady = self._wall(), self._steady()
        passed_s = steady - self._looked
        step_s = now - self._looked_wall - passed_s
        if abs(step_s) >= _SET_S:
            log.warning("the clock was set by %+.0f s: sessions that are arriving go by it", step_s)
            with hub.database.write() as db:
                _follow(db, step_s, since=now - passed_s, now=now)
        self._looked_wall, self._looked = now, steady


def _follow(db: Session, step_s: float, *, since: float, now: float) -> None:
    """Move all moments by a step but those between `since` and `now`, which are by the new clock already."""

    def moved(moment: datetime) -> datetime:
        if since <= moment.timestamp() <= now:
            return moment
        return min(moment + timedelta(seconds=step_s), datetime.fromtimestamp(now, UTC))

    for session in db.scalars(select(PrearchiveSession).where(PrearchiveSession.status == prearchive.RECEIVING)):
        session.receiving_since, session.last_modified = moved(session.receiving_since), moved(session.last_modified)
