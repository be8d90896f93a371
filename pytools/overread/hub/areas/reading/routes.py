"""``/xapi/overread/projects/P/answers`` and ``/cases``: what readers said, and what a reader has still to read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.errors import DataError
from overread.hub.access import Access, Right, may
from overread.hub.areas.config.store import current_config
from overread.hub.areas.config.study import applied_study, is_blinded
from overread.hub.http import Call, Route
from overread.hub.models import CustomFields, Experiment, Subject
from overread.study.manifest import StoredStudy
from overread.study.modes import MODES_CONFIG, mode_at, read_changes

_ANSWER: Final = "answer:"
_COLUMNS: Final = (
    "exam", "exam_date", "subject", "result", "result_label", "reader", "form", "form_version", "version", "current",
    "submitted_at", "started_at", "active_s", "edit_s", "mode",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def answers(call: Call) -> Response:
    """Send all versions of all answers of a project, as JSON, or as CSV with one column for each question.

    In a study that hides readers from each other, only owners see more than their own.
    """
    study = applied_study(call.db, call.params["project"])
    project = call.params["project"]
    own_only = is_blinded(study) and not may(call.db, call.caller, project, Right.OWN)
    mode = _mode_at(call, study)
    rows = [
        row | {"mode": mode(row["submitted_at"])}
        for row in _answers(call, project)
        if not own_only or row["reader"] == call.caller.login
    ]
    if call.query.get("format") != "csv":
        return JSONResponse({"answers": rows})
    name = f'attachment; filename="answers-{project}.csv"'
    return Response(_csv(rows), media_type="text/csv; charset=utf-8", headers={"content-disposition": name})


def cases(call: Call) -> Response:
    """List the exams that the model has measured, oldest result first, and whether the caller has answered each.

    The result of an exam that counts is the model's newest.
    """
    study = applied_study(call.db, call.params["project"])
    if study is None:
        return JSONResponse({"cases": []})
    newest: dict[str, Experiment] = {}
    query = select(Experiment).where(
        Experiment.project == call.params["project"], Experiment.xsi_type == study.result_type
    )
    for result in call.db.scalars(query.order_by(Experiment.insert_date, Experiment.id)):
        if result.session_id and result.fields.get("origin") != "edited":
            newest[result.session_id] = result
    key = f"{_ANSWER}{study.form_uuid or ''}:{call.caller.login}"
    said = set(
        call.db.scalars(
            select(CustomFields.owner_id).where(CustomFields.owner_kind == "experiment", CustomFields.name == key)
        )
    )
    sessions = call.db.scalars(select(Experiment).where(Experiment.id.in_(newest)))
    uids = {session.id: session.uid for session in sessions}
    mode = _mode_at(call, study)
    rows = [
        {
            "exam": exam,
            "date": result.date,
            "result": result.id,
            "mode": mode(result.insert_date),
            "answered": result.id in said,
            "study_instance_uid": uids.get(exam, ""),
            "series_instance_uids": str(result.fields.get("series_instance_uids") or "").split(),
        }
        for exam, result in newest.items()
    ]
    return JSONResponse({"cases": rows})


def _answers(call: Call, project: str) -> Iterator[dict[str, Any]]:
    query = (
        select(CustomFields, Experiment)
        .join(Experiment, Experiment.id == CustomFields.owner_id)
        .where(
            CustomFields.owner_kind == "experiment",
            CustomFields.name.startswith(_ANSWER, autoescape=True),
            Experiment.project == project,
        )
        .order_by(CustomFields.pk)
    )
    found = call.db.execute(query).all()
    exams = {result.session_id for _, result in found}
    sessions = {s.id: s for s in call.db.scalars(select(Experiment).where(Experiment.id.in_(exams)))}
    subjects = {
        s.id: s.label
        for s in call.db.scalars(select(Subject).where(Subject.id.in_({s.subject_id for s in sessions.values()})))
    }
    for field, result in found:
        form, _, reader = field.name.removeprefix(_ANSWER).partition(":")
        session = sessions.get(result.session_id or "")
        place = {
            "exam": result.session_id or "",
            "exam_date": session.date if session else "",
            "subject": subjects.get(session.subject_id or "", "") if session else "",
            "result": result.id,
            "result_label": result.label,
            "reader": reader,
            "form": form,
        }
        versions = _versions(field.value.get("value"))
        for number, version in enumerate(versions, start=1):
            yield place | _said(version, number=number, current=number == len(versions))


def _versions(value: object) -> list[dict[str, Any]]:
    """Return an answer's versions, oldest first; what is no answer has none."""
    if not isinstance(value, dict):
        return []
    previous = value.get("previous")
    return [v for v in [*(previous if isinstance(previous, list) else []), value] if isinstance(v, dict)]


def _said(version: dict[str, Any], *, number: int, current: bool) -> dict[str, Any]:
    data = version.get("data")
    return {
        "form_version": version.get("form_version"),
        "version": number,
        "current": current,
        "submitted_at": version.get("submitted_at", ""),
        "started_at": version.get("started_at", ""),
        "active_s": version.get("active_s"),
        "edit_s": version.get("edit_s"),
        "data": data if isinstance(data, dict) else {},
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    questions = list(dict.fromkeys(key for row in rows for key in row["data"]))
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow([*_COLUMNS, *(_cell(f"answer.{key}") for key in questions)])
    for row in rows:
        writer.writerow([*(_cell(row[name]) for name in _COLUMNS), *(_cell(row["data"].get(key)) for key in questions)])
    return sink.getvalue()


def _cell(value: object) -> str:
    """Return a value as a cell's text; what a spreadsheet would run as a formula begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _mode_at(call: Call, study: StoredStudy | None) -> Callable[[datetime | str], str]:
    """Return what tells in which mode the study was at a time: results and answers before and after a change differ."""
    tool, _, path = MODES_CONFIG.partition("/")
    entry = current_config(call.db, project=call.params["project"], tool=tool, path=path)
    now = study.mode if study is not None else ""
    try:
        changes = read_changes(entry.contents if entry is not None else None, source=MODES_CONFIG)
    except DataError:
        changes = ()
    return lambda when: mode_at(when, changes, now=now)


_BASE: Final = "/xapi/overread/projects/{project}"

ROUTES = [
    Route("GET", f"{_BASE}/answers", answers, Access.READ),
    Route("GET", f"{_BASE}/cases", cases, Access.READ),
]
