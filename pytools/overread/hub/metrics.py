"""What the hub measures of itself, for Prometheus.

Numbers about exams, objects and runs are read from the database when somebody asks: so they are true after a restart,
and whichever process did the work. Labels hold no name, UID or label of an exam: route templates, states, projects'
never.
"""

from __future__ import annotations

import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overread import __version__
from overread.hub.models import Container, Experiment, PrearchiveSession, ReceivedObject, Workflow
from overread.hub.models.base import utc_now
from overread.hub.runs import states

if TYPE_CHECKING:
    from overread.hub.core import Hub

_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_HTTP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OVERLAP: Final = timedelta(minutes=5)
"""Runs are looked at again for so long after they ended: transactions need not be kept in the order of their times."""
_ENDS: Final = frozenset({"die", "timeout", "kill"})


def stage_moments(container: Container) -> dict[str, datetime | None]:
    """Return when a run was queued, started, finished (its command) and stored (all of it).

    A run that was put back into the queue begins anew: the times are those of its last beginning. A moment that has
    not come, or never will, is None.
    """
    history: list[Mapping[str, Any]] = list(container.history or [])
    last = max((place for place, line in enumerate(history) if line["status"] == states.QUEUED), default=0)
    started = finished = None
    for line in history[last:]:
        if line["status"] == states.RUNNING and started is None:
            started = _time(line)
        elif line["status"] in _ENDS and started is not None and finished is None:
            finished = _time(line)
    stored = container.ended if container.status.startswith(states.COMPLETE) else None
    return {"queued": container.created, "started": started, "finished": finished, "stored": stored}


def _time(line: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(line["time-recorded"] / 1000, utc_now().tzinfo)


class Metrics:
    """The measurements of one hub.

    Parameters
    ----------
    hub
        The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "overread_http_requests", "HTTP requests answered.", ("method", "route", "code"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "overread_http_request_duration_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route"),
            buckets=_HTTP_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "overread_stage_duration_seconds",
            "Time between the stages of an exam: last image to archived, archived to start of the run, start to end of "
            "its command, end to stored.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        for stage in ("last_image_to_archived", "archived_to_start", "start_to_end", "end_to_stored"):
            self._stages.labels(stage)
        self._archived = _Watermark(utc_now())
        self._ended = _Watermark(utc_now())
        self.registry.register(_Now(hub))

    def text(self) -> bytes:
        """Return all measurements in Prometheus' text format."""
        with self._lock, self._hub.database.read() as db:
            self._observe_archived(db)
            self._observe_runs(db)
        return generate_latest(self.registry)

    def _observe_archived(self, db: Session) -> None:
        rows = db.execute(
            select(Experiment.id, Experiment.insert_date, func.max(PrearchiveSession.last_modified))
            .join(PrearchiveSession, PrearchiveSession.study_instance_uid == Experiment.uid)
            .where(PrearchiveSession.session_id == Experiment.id, Experiment.insert_date > self._archived.since)
            .group_by(Experiment.id, Experiment.insert_date)
        )
        for session_id, archived, last_image in rows:
            if self._archived.is_new(session_id, archived):
                self._stage("last_image_to_archived", _utc(last_image), archived)
        self._archived.advance()

    def _observe_runs(self, db: Session) -> None:
        rows = db.execute(
            select(Container, Experiment.insert_date)
            .outerjoin(Workflow, Container.workflow_id == Workflow.id)
            .outerjoin(Experiment, Experiment.id == Workflow.object_id)
            .where(Container.ended > self._ended.since)
        )
        for run, archived in rows:
            if run.ended is None or not self._ended.is_new(run.id, run.ended):
                continue
            at = stage_moments(run)
            if run.origin.startswith("subscription:"):  # one that a person starts may come years after its exam
                self._stage("archived_to_start", archived, at["started"])
            self._stage("start_to_end", at["started"], at["finished"])
            self._stage("end_to_stored", at["finished"], at["stored"])
        self._ended.advance()

    def _stage(self, name: str, begin: datetime | None, end: datetime | None) -> None:
        if begin is not None and end is not None and end >= begin:
            self._stages.labels(name).observe((end - begin).total_seconds())


def _utc(value: datetime | str) -> datetime:
    """Return what ``max()`` gives for a moment: the database's own kind, which knows no zone."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=utc_now().tzinfo)


class _Watermark:
    """Which rows were seen, of those whose moment lies within the last minutes."""

    def __init__(self, begin: datetime) -> None:
        self._begin = self.since = begin
        self._newest = begin
        self._seen: dict[Any, datetime] = {}

    def is_new(self, key: object, moment: datetime) -> bool:
        """Whether a row is seen for the first time."""
        if key in self._seen:
            return False
        self._seen[key] = moment
        self._newest = max(self._newest, moment)
        return True

    def advance(self) -> None:
        """Forget what is so old that it is not asked for again."""
        self.since = max(self._begin, self._newest - _OVERLAP)
        self._seen = {key: moment for key, moment in self._seen.items() if moment > self.since}


class _Now:
    """The state of the hub at the moment of asking."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def describe(self) -> list[Metric]:
        """Say nothing beforehand: registering asks for no numbers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read and count."""
        hub = self._hub
        info = InfoMetricFamily("overread_build", "Version of the hub and what it runs on.")
        backend = hub.runs.runner.backend
        about = {"version": __version__, "python": platform.python_version(), "database": hub.database.engine.name}
        info.add_metric([], {**about, "runner": backend})
        yield info
        with hub.database.read() as db:
            yield from self._exams(db)
            yield from self._runs(db)
        yield from self._disk()
        yield from self._database()

    def _exams(self, db: Session) -> Iterator[Metric]:
        objects = CounterMetricFamily(
            "overread_objects", "Objects that reached the hub, by what became of them.", labels=["outcome"]
        )
        by_state = _counts(db, ReceivedObject.state)
        refused, duplicate = by_state.pop("refused", 0), by_state.pop("duplicate", 0)
        for outcome, number in (("taken", sum(by_state.values())), ("refused", refused), ("duplicate", duplicate)):
            objects.add_metric([outcome], number)
        yield objects
        sessions = GaugeMetricFamily("overread_prearchive_sessions", "Sessions by state.", labels=["state"])
        for state, number in _counts(db, PrearchiveSession.status).items():
            if state not in ("ARCHIVED", "DELETED"):
                sessions.add_metric([state.lower()], number)
        yield sessions

    def _runs(self, db: Session) -> Iterator[Metric]:
        runs = GaugeMetricFamily("overread_runs", "Container runs by state.", labels=["state"])
        by_state = _counts(db, Container.status)
        for state, number in by_state.items():
            runs.add_metric([state], number)
        yield runs
        waiting = by_state.get(states.QUEUED, 0)
        yield GaugeMetricFamily("overread_queue_length", "Runs that wait for a slot.", value=waiting)
        slots = len(self._hub.runs.slots)
        yield GaugeMetricFamily("overread_run_slots", "Runs that may go on at a time.", value=slots)

    def _disk(self) -> Iterator[Metric]:
        usage = shutil.disk_usage(self._hub.layout.home)
        yield GaugeMetricFamily("overread_disk_free_bytes", "Room left where the hub keeps its home.", value=usage.free)
        yield GaugeMetricFamily("overread_disk_size_bytes", "Size of that disk.", value=usage.total)

    def _database(self) -> Iterator[Metric]:
        file = self._hub.layout.database
        if self._hub.database.engine.name == "sqlite" and file.exists():
            size = file.stat().st_size
            yield GaugeMetricFamily("overread_database_size_bytes", "Size of SQLite's file.", value=size)
        begin = time.perf_counter()
        with self._hub.database.read() as db:
            db.execute(select(1))
        took = time.perf_counter() - begin
        yield GaugeMetricFamily("overread_database_answer_seconds", "Time of the smallest question to it.", value=took)


def _counts(db: Session, column: Any) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in db.execute(select(column, func.count()).group_by(column))}


class Measured:
    """ASGI middleware that counts requests by route template, method and code.

    Parameters
    ----------
    app
        What answers.
    metrics
        Where it is noted.
    templates
        Path template of each endpoint.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, templates: Mapping[Callable[..., Any], str]) -> None:
        self._app, self._metrics, self._templates = app, metrics, templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code, begin = 500, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = self._templates.get(scope.get("endpoint") or _nothing, "none")
            self._metrics.requests.labels(method, route, str(code)).inc()
            self._metrics.request_seconds.labels(method, route).observe(time.perf_counter() - begin)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _nothing() -> None:
    """Stand for the endpoint of a request that no route takes."""
