"""Steps for Custom Forms: the study's feedback form on the result's datatype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from overread.study.form import FeedbackForm
from overread.xnat.bundle import StudyBundle
from overread.xnat.forms import find_form, has_questions_of, save_form
from overread.xnat.state import ServerState
from overread.xnat.steps import Step


def form_uuid(bundle: StudyBundle, state: ServerState) -> str | None:
    """Find the id that the server gave to the study's form; answers are kept under it."""
    row = _row(bundle, bundle.form, state) if bundle.form else None
    return str(row["formUUID"]) if row and row.get("formUUID") else None


def plan_form(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the feedback form, if the study has one."""
    if bundle.form is None:
        return
    name = f"form '{bundle.form.title}'"
    row = _row(bundle, bundle.form, state)
    if row is not None and has_questions_of(row, bundle.form):
        yield Step(name, "unchanged")
        return
    datatype = bundle.datatype
    save = save_form(
        bundle.form, row, xsi_type=datatype.xsi_type, label=datatype.spec.singular, project=bundle.manifest.project
    )
    yield Step(name, "create", "", (save,)) if row is None else Step(name, "update", "its questions", (save,))


def _row(bundle: StudyBundle, form: FeedbackForm, state: ServerState) -> Mapping[str, Any] | None:
    return find_form(state.forms, form, xsi_type=bundle.datatype.xsi_type, project=bundle.manifest.project)
