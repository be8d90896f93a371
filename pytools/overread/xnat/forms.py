"""Custom Forms of a server: found by title, datatype and project, since XNAT gives the ids and files know none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from overread.study.form import FeedbackForm
from overread.xnat.connection import Request

_DISPLAY_ORDER = 10
_NEW_ROW = "-1_-1"  # XNAT's word for a form that applies to nothing yet


def find_form(
    rows: Iterable[Mapping[str, Any]], form: FeedbackForm, *, xsi_type: str, project: str
) -> Mapping[str, Any] | None:
    """Return the row of a form among those of ``/xapi/customforms``; None if it is not there."""
    for row in rows:
        contents = _contents(row)
        same_title = isinstance(contents, dict) and contents.get("title") == form.title
        if same_title and xsi_type in str(row.get("path", "")) and _applies_to(row, project):
            return row
    return None


def has_questions_of(row: Mapping[str, Any], form: FeedbackForm) -> bool:
    """Whether the form on the server asks what `form` asks."""
    return bool(_contents(row) == form.document)


def save_form(form: FeedbackForm, row: Mapping[str, Any] | None, *, xsi_type: str, label: str, project: str) -> Request:
    """Make the request that creates a form, or changes the one of `row`; `label` is the datatype's name in words."""
    applied = _applies_to(row or {}, project)
    data = {
        "formTitle": form.title,
        "zIndex": _DISPLAY_ORDER,
        "xnatDatatype": {"label": label, "value": xsi_type},
        "isThisASiteWideConfiguration": "no",
        "xnatProject": [{"label": project, "value": project}],
        "idCustomVariableFormAppliesTo": next((str(a["idCustomVariableFormAppliesTo"]) for a in applied), _NEW_ROW),
    }
    return Request("PUT", "/xapi/customforms/save", json={"submission": {"data": data}, "builder": dict(form.document)})


def _applies_to(row: Mapping[str, Any], project: str) -> list[Mapping[str, Any]]:
    rows = [a for a in row.get("appliesToList") or () if isinstance(a, Mapping)]
    return [a for a in rows if a.get("entityId") == project and a.get("status") != "deleted"]


def _contents(row: Mapping[str, Any]) -> Any:
    contents = row.get("contents")
    try:
        return json.loads(contents) if isinstance(contents, str) else contents
    except json.JSONDecodeError:
        return None
