"""Steps for Custom Forms: the study's feedback form on the result's datatype."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from overread.study.form import FeedbackForm
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Request
from overread.xnat.state import ServerState
from overread.xnat.steps import Step

_DISPLAY_ORDER = 10
_NEW_ROW = "-1_-1"  # XNAT's word for a form that applies to nothing yet


def form_uuid(bundle: StudyBundle, state: ServerState) -> str | None:
    """Find the id that the server gave to the study's form; answers are kept under it."""
    row = _row(bundle, state)
    return str(row["formUUID"]) if row and row.get("formUUID") else None


def plan_form(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the feedback form, if the study has one."""
    if bundle.form is None:
        return
    name = f"form '{bundle.form.title}'"
    row = _row(bundle, state)
    if row is None:
        yield Step(name, "create", "", (_save(bundle, bundle.form, _NEW_ROW),))
    elif _contents(row) == bundle.form.document:
        yield Step(name, "unchanged")
    else:
        applies_to = next(
            (str(a["idCustomVariableFormAppliesTo"]) for a in _applies_to(row, bundle.manifest.project)), _NEW_ROW
        )
        yield Step(name, "update", "its questions", (_save(bundle, bundle.form, applies_to),))


def _save(bundle: StudyBundle, form: FeedbackForm, applies_to: str) -> Request:
    project, spec = bundle.manifest.project, bundle.datatype.spec
    data = {
        "formTitle": form.title,
        "zIndex": _DISPLAY_ORDER,
        "xnatDatatype": {"label": spec.singular, "value": bundle.datatype.xsi_type},
        "isThisASiteWideConfiguration": "no",
        "xnatProject": [{"label": project, "value": project}],
        "idCustomVariableFormAppliesTo": applies_to,
    }
    return Request("PUT", "/xapi/customforms/save", json={"submission": {"data": data}, "builder": dict(form.document)})


def _row(bundle: StudyBundle, state: ServerState) -> Mapping[str, Any] | None:
    """Find the form by title, datatype and project: XNAT gives ids, and the files know none."""
    if bundle.form is None:
        return None
    for row in state.forms:
        contents = _contents(row)
        same_title = isinstance(contents, dict) and contents.get("title") == bundle.form.title
        same_type = bundle.datatype.xsi_type in str(row.get("path", ""))
        if same_title and same_type and _applies_to(row, bundle.manifest.project):
            return row
    return None


def _applies_to(row: Mapping[str, Any], project: str) -> list[Mapping[str, Any]]:
    rows = [a for a in row.get("appliesToList") or () if isinstance(a, Mapping)]
    return [a for a in rows if a.get("entityId") == project and a.get("status") != "deleted"]


def _contents(row: Mapping[str, Any]) -> Any:
    contents = row.get("contents")
    try:
        return json.loads(contents) if isinstance(contents, str) else contents
    except json.JSONDecodeError:
        return None
