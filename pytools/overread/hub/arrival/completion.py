"""When a session is whole: a background service looks again and again, and archives what is.

A project with a stored manifest (configuration ``overread/study``) is asked for its rules; all other sessions are whole
when nothing has arrived for a while. What was decided stands in words on the session.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from overread.errors import DataError, SpecError
from overread.hub.access import SYSTEM
from overread.hub.arrival import prearchive
from overread.hub.arrival.archive import ArchiveRequest, archive_session, session_of_study
from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.arrival.clock import Clock
from overread.hub.arrival.objects import SUMMARY_KEYWORDS, json_value, read_file_header
from overread.hub.arrival.recovery import recover
from overread.hub.core import Ticker
from overread.hub.errors import HubError
from overread.hub.faults import is_temporary, told
from overread.hub.models import ConfigEntry, Experiment, PrearchiveSession, ReceivedObject, SiteSetting
from overread.study.completion import decide
from overread.study.manifest import StoredStudy, load_stored_study
from overread.study.rules import accepts, needed_keywords
from overread.study.selection import SeriesSummary

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

CONFIG_TOOL, CONFIG_PATH = "overread", "study"
_STORED: Final = frozenset(SUMMARY_KEYWORDS)
_REST_S: Final = 2.0
"""So long nothing is judged after disk or database could not take it."""
_MOST_FRAMES: Final = 100_000
"""More than any object has; who says more is not believed."""


@dataclass(frozen=True)
class Verdict:
    """What is done with a session now.

    Parameters
    ----------
    state
        ``wait``, ``ready`` (it stays in the prearchive until somebody decides) or ``archive``.
    reason
        Why, in words.
    """

    state: Literal["wait", "ready", "archive"]
    reason: str


class ArrivalService(Ticker):
    """Watches the prearchive."""

    def __init__(self, hub: Hub) -> None:
        super().__init__("arrival", self._look, interval_s=hub.config.tick_s)
        self._hub = hub
        self._clock = Clock()
        self._rests_until = 0.0

    def start(self) -> None:
        """Put in order what a crash left, then begin. Receivers must start after this."""
        self._hub.intake.recover()
        recover(self._hub)
        super().start()

    def _look(self) -> None:
        if time.monotonic() < self._rests_until:
            return
        # What lies in the spool is not known yet: nothing is judged by the time that has passed since.
        horizon = self._hub.intake.horizon()
        self._clock.look(self._hub)
        with self._hub.database.read() as db:
            waiting = db.scalars(
                select(PrearchiveSession.pk).where(PrearchiveSession.status == prearchive.RECEIVING)
            ).all()
        for pk in waiting:
            try:
                settle(self._hub, pk, now=horizon)
            except (OSError, OperationalError) as problem:
                log.warning("Sessions can't be archived now: %s They wait.", told(problem))
                self._rests_until = time.monotonic() + _REST_S
                return


def settle(hub: Hub, prearchive_pk: int, *, now: datetime | None = None) -> None:
    """Decide about one session by what had arrived at `now`, and do what was decided.

    Raises
    ------
    OSError, OperationalError
        Disk or database can't take it now: nothing was changed, and it may work later.
    """
    now = now or hub.intake.horizon()
    try:
        with hub.database.read() as db:
            session = db.get(PrearchiveSession, prearchive_pk)
            if session is None or session.status != prearchive.RECEIVING:
                return
            verdict = judge(db, hub, session, now=now)
            if verdict.state == "wait" and verdict.reason == session.reason:
                return
        with hub.database.write() as db:
            session = db.get_one(PrearchiveSession, prearchive_pk)
            # Something may have been filed between the two transactions: what holds now counts.
            _do(db, hub, session, judge(db, hub, session, now=now))
    except HubError as problem:
        _mark(hub, prearchive_pk, prearchive.CONFLICT, problem.reason)
    except Exception as problem:  # the outermost loop of a service: one session must not stop the others
        if is_temporary(problem):
            raise
        log.exception("archiving session %d of the prearchive failed", prearchive_pk)
        what = str(problem) if isinstance(problem, DataError) else "the hub failed, its log says why"
        _mark(hub, prearchive_pk, prearchive.ERROR, f"Archiving failed: {what}.")


def judge(db: Session, hub: Hub, session: PrearchiveSession, *, now: datetime) -> Verdict:
    """Decide what is done with a session that is arriving."""
    if session.prevent_auto_commit:
        return Verdict("wait", "it is kept open until somebody commits it")
    quiet_s = max(0.0, (now - session.last_modified).total_seconds())
    default_s = quiet_time_s(db, hub)
    if session.project == UNASSIGNED:
        return _when_quiet("ready", quiet_s, default_s, "no project took it: move it into one")
    study, problem = stored_study(db, session.project)
    if study is None:
        verdict = _when_quiet("archive", quiet_s, default_s, problem)
    else:
        verdict = _by_manifest(db, hub, session, study, now=now)
    if verdict.state == "archive" and not prearchive.archives_itself(db, session):
        return Verdict("ready", f"{verdict.reason}; not archived without being asked")
    return verdict


def quiet_time_s(db: Session, hub: Hub) -> float:
    """Return how long nothing may arrive until a session without a study's rules counts as whole.

    The site preference ``sessionXmlRebuilderInterval`` (minutes) holds once somebody has set it, the hub's own
    setting until then.
    """
    setting = db.get(SiteSetting, "sessionXmlRebuilderInterval")
    return hub.config.quiet_default_s if setting is None else 60.0 * int(json.loads(setting.value))


def stored_study(db: Session, project: str) -> tuple[StoredStudy | None, str]:
    """Return the manifest that a project has, or None and why there is none that can be used."""
    entry = db.scalar(
        select(ConfigEntry)
        .where(ConfigEntry.project == project, ConfigEntry.tool == CONFIG_TOOL, ConfigEntry.path == CONFIG_PATH)
        .order_by(ConfigEntry.version.desc())
        .limit(1)
    )
    if entry is None or entry.status != "enabled" or not entry.contents:
        return None, ""
    try:
        return load_stored_study(entry.contents, source=f"configuration overread/study of {project}"), ""
    except SpecError as problem:
        return None, f"its manifest can't be used ({problem})"


def _when_quiet(state: Literal["ready", "archive"], quiet_s: float, needed_s: float, remark: str) -> Verdict:
    tail = f"; {remark}" if remark else ""
    if quiet_s < needed_s:
        return Verdict("wait", f"still arriving: {needed_s:g} s without an object make it whole{tail}")
    return Verdict(state, f"nothing arrived for {needed_s:g} s{tail}")


def _by_manifest(db: Session, hub: Hub, session: PrearchiveSession, study: StoredStudy, *, now: datetime) -> Verdict:
    arrival = study.arrival
    series = summaries(db, hub, session, keywords=needed_keywords(study))
    quiet_s = max(0.0, (now - session.last_modified).total_seconds())
    accepted = accepts(arrival.accept, [one.header for one in series])
    if not accepted.ok:
        return _when_quiet(
            "ready", quiet_s, arrival.complete.quiet_s, f"study {study.id} does not take it: {accepted.reason}"
        )
    completion = decide(
        arrival.complete,
        arrival.series,
        series,
        now=now.timestamp(),
        first_object_at=session.receiving_since.timestamp(),
        last_object_at=session.last_modified.timestamp(),
    )
    return Verdict("wait" if completion.state == "wait" else "archive", completion.reason)


def summaries(
    db: Session, hub: Hub, session: PrearchiveSession, *, keywords: frozenset[str]
) -> Sequence[SeriesSummary]:
    """Return what is known of each series: of the session, and of what its study has in the archive already.

    Late images are judged together with those that came before them: a series is not short because most of it was
    archived an hour ago.
    """
    mine = ReceivedObject.prearchive_pk == session.pk
    target = _target(db, session)
    archived = (ReceivedObject.session_id == target.id) & (ReceivedObject.state == "archived") if target else None
    here = mine & (ReceivedObject.state == "received")
    rows = db.execute(
        select(
            ReceivedObject.series_instance_uid,
            func.count(ReceivedObject.sop_instance_uid.distinct()).label("instances"),
            func.min(ReceivedObject.pk).label("first"),
        )
        .where(here if archived is None else here | archived)
        .group_by(ReceivedObject.series_instance_uid)
    ).all()
    missing = keywords - _STORED
    frames = _frames_beyond_the_first(db, here if archived is None else here | archived)
    return [
        SeriesSummary(
            row.series_instance_uid,
            row.instances + frames[row.series_instance_uid],
            _header(hub, db.get_one(ReceivedObject, row.first), missing),
        )
        for row in rows
    ]


def _frames_beyond_the_first(db: Session, which: ColumnElement[bool]) -> Counter[str]:
    """Return how many slices a series has beyond its objects: rules count those of a multi-frame object as images."""
    told = ReceivedObject.header["NumberOfFrames"].as_string()
    rows = db.execute(
        select(ReceivedObject.series_instance_uid, ReceivedObject.sop_instance_uid, told.label("frames")).where(
            which, told.is_not(None)
        )
    ).all()
    # By object, since copies of it may have come; anything may stand in a header.
    frames = {(row.series_instance_uid, row.sop_instance_uid): row.frames for row in rows}
    beyond: Counter[str] = Counter()
    for (series, _), number in frames.items():
        if number.isdecimal() and 1 <= int(number) <= _MOST_FRAMES:
            beyond[series] += int(number) - 1
    return beyond


def _target(db: Session, session: PrearchiveSession) -> Experiment | None:
    return session_of_study(db, session.project, session.study_instance_uid)


def _header(hub: Hub, item: ReceivedObject, missing: frozenset[str]) -> dict[str, Any]:
    """Return the ledger's header; attributes that only this study's rules look at are read from the file."""
    header = dict(item.header)
    if missing and item.path:
        dataset = read_file_header(hub.layout.home / item.path).dataset
        header.update({keyword: json_value(dataset, keyword) for keyword in missing})
    return header


def _do(db: Session, hub: Hub, session: PrearchiveSession, verdict: Verdict) -> None:
    if session.status != prearchive.RECEIVING:
        return
    session.reason = verdict.reason
    if verdict.state == "archive":
        overwrite = prearchive.overwrites_by_itself(db, session)
        request = ArchiveRequest(user=SYSTEM.login, overwrite=overwrite, same_study=True, reason=verdict.reason)
        target = archive_session(db, hub, session, request)
        log.info("archived study %s as %s: %s", session.study_instance_uid, target.id, verdict.reason)
    elif verdict.state == "ready":
        session.status = prearchive.READY
        log.info("study %s stays in the prearchive: %s", session.study_instance_uid, verdict.reason)


def _mark(hub: Hub, prearchive_pk: int, status: str, reason: str) -> None:
    with hub.database.write() as db:
        session = db.get(PrearchiveSession, prearchive_pk)
        if session is not None and session.status == prearchive.RECEIVING:
            session.status, session.reason = status, reason
