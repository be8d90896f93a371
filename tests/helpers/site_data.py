"""A site as it looks after some months, written straight into the database: projects, sessions, runs, arrivals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, insert

from helpers.archive import add_project, add_user
from overread.hub.core import Hub
from overread.hub.models import Container, Experiment, PrearchiveSession, ReceivedObject, Subject, Workflow

BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def uid(number: int) -> str:
    """Return the Study Instance UID of session `number`."""
    return f"1.2.826.0.1.3680043.8.498.{10_000_000 + number}"


def fill(hub: Hub, *, sessions: int, project: str = "BTS", owner: str = "") -> None:
    """Make a project with archived sessions: each has a subject, a run (every tenth failed, every third none) and,
    if the run went well, a result. One more session arrives, one waits for somebody to decide.
    """
    add_project(hub, project)
    if owner:
        add_user(hub, owner, project=project, role="owner")
    with hub.database.write() as db:
        numbers = range(sessions)
        moments = [BEGIN + timedelta(minutes=10 * number) for number in numbers]
        rows: list[dict[str, Any]] = [
            {"id": f"{project}_S{n:05d}", "project": project, "label": f"P{n:05d}"} for n in numbers
        ]
        db.execute(insert(Subject), rows)
        db.execute(insert(Experiment), [_session(project, n, moments[n]) for n in numbers])
        db.execute(insert(PrearchiveSession), [_arrived(project, n, moments[n]) for n in numbers])
        ran = [n for n in numbers if n % 3]
        first = db.query(Workflow).count() + 1
        db.execute(insert(Workflow), [_workflow(project, first + place, n) for place, n in enumerate(ran)])
        db.execute(
            insert(Container), [_container(project, first + place, n, moments[n]) for place, n in enumerate(ran)]
        )
        good = [n for n in ran if n % 10]
        db.execute(insert(Experiment), [_result(project, n, moments[n]) for n in good])
        coming = PrearchiveSession(
            project=project,
            timestamp="20260401_080000000",
            name="ARRIVING",
            subject="P99998",
            study_instance_uid=uid(99_998),
            status="RECEIVING",
            reason="still arriving: 15 s without an object make it whole",
        )
        waiting = PrearchiveSession(
            project=project, timestamp="20260401_090000000", name="WAITING", subject="P99999",
            study_instance_uid=uid(99_999), status="CONFLICT",
            reason="Session already exists, retry with overwrite enabled",
        )  # fmt: skip
        db.add_all([coming, waiting])
        db.flush()
        db.add(ReceivedObject(prearchive_pk=coming.pk, state="received", study_instance_uid=uid(99_998), size=1000,
                              sop_instance_uid=uid(99_998) + ".1", source="BTS:8104 from CT1"))  # fmt: skip


def _session(project: str, number: int, moment: datetime) -> dict[str, Any]:
    return {
        "id": f"{project}_E{number:05d}", "project": project, "label": f"EXAM{number:05d}",
        "xsi_type": "xnat:mrSessionData", "subject_id": f"{project}_S{number:05d}", "uid": uid(number),
        "modality": "MR", "date": "2026-03-02", "insert_date": moment, "last_modified": moment,
    }  # fmt: skip


def _result(project: str, number: int, moment: datetime) -> dict[str, Any]:
    return {
        "id": f"{project}_R{number:05d}", "project": project, "label": f"RESULT{number:05d}",
        "xsi_type": "xnat:qcManualAssessorData", "session_id": f"{project}_E{number:05d}", "insert_date": moment,
    }  # fmt: skip


def _arrived(project: str, number: int, moment: datetime) -> dict[str, Any]:
    return {
        "project": project, "timestamp": f"{moment:%Y%m%d_%H%M%S000}", "name": f"EXAM{number:05d}",
        "subject": f"P{number:05d}", "study_instance_uid": uid(number), "status": "ARCHIVED",
        "reason": "all series are there and nothing arrived for 15 s", "session_id": f"{project}_E{number:05d}",
        "uploaded": moment - timedelta(seconds=40), "receiving_since": moment - timedelta(seconds=40),
        "last_modified": moment - timedelta(seconds=15.5),
    }  # fmt: skip


def _workflow(project: str, number: int, session: int) -> dict[str, Any]:
    return {
        "id": number, "object_id": f"{project}_E{session:05d}", "project": project, "pipeline_name": "segment-tumor",
        "status": "Complete" if session % 10 else "Failed", "user": "admin",
    }  # fmt: skip


def _container(project: str, number: int, session: int, moment: datetime) -> dict[str, Any]:
    good = bool(session % 10)
    begin = int(moment.timestamp() * 1000)
    steps = [("Queued", 0), ("Created", 200), ("Running", 900), ("die", 21_900)]
    steps += [("Finalizing", 22_000), ("Complete", 22_400)] if good else [("Failed", 22_000)]
    return {
        "id": number, "command_id": 1, "wrapper_id": 1, "workflow_id": number, "project": project, "user": "admin",
        "origin": "subscription:1:delivery:1", "status": steps[-1][0],
        "reason": "" if good else "DataError: no usable series in /input; send a FLAIR",
        "resolved": {"docker-image": "overread/brain-tumor-segmentation:1.0.0"},
        "history": [
            {"id": place, "status": word, "time-recorded": begin + ms, "entity-type": "system", "entity-id": None,
             "message": None, "exitCode": None, "external-timestamp": None}
            for place, (word, ms) in enumerate(steps, start=1)
        ],
        "created": moment, "started": moment + timedelta(seconds=0.9), "status_time": moment + timedelta(seconds=22),
        "ended": moment + timedelta(milliseconds=steps[-1][1]), "exit_code": 0 if good else 1,
    }  # fmt: skip


@dataclass
class Statements:
    """SQL statements that a database was asked."""

    said: list[str] = field(default_factory=list)


@contextmanager
def counted(hub: Hub) -> Iterator[Statements]:
    """Note the statements of a block that requests ask: background services look now and then as well."""
    found = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name.startswith("AnyIO"):
            found.said.append(statement)

    event.listen(hub.database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(hub.database.engine, "before_cursor_execute", note)
