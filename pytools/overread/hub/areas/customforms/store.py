"""Forms: what is saved, for which data type and projects, and the form that an item gets."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.areas.customfields.store import has_data
from overread.hub.errors import bad_request, not_found
from overread.hub.models import CustomForm, Project
from overread.hub.schemas import SchemaRegistry

ENABLED, DISABLED = "enabled", "disabled"

_TITLE = re.compile(r"[^<>\"'\\\x00-\x1f]{1,100}")
_NEW = "-1_-1"


@dataclass(frozen=True)
class Row:
    """One row of where a form applies: its id is ``<form number>_<project number>``, 0 for the whole site."""

    form: CustomForm
    project: str

    @property
    def scope(self) -> str:
        """``Project`` or ``Site``."""
        return "Project" if self.project else "Site"


def save(db: Session, schemas: SchemaRegistry, document: Mapping[str, Any], *, user: str) -> CustomForm:
    """Save a form as XNAT's form builder sends it: ``submission`` says where it applies, ``builder`` is the form.

    Raises
    ------
    HubError
        400 that says what is wrong.
    """
    said = _data(document)
    title = str(said.get("formTitle") or "").strip()
    if not title:
        raise _invalid("Missing form title")
    if not _TITLE.fullmatch(title):
        raise _invalid("the form title holds forbidden characters or is longer than 100")
    xsi_type = _value(said.get("xnatDatatype"))
    if schemas.type(xsi_type) is None:
        raise _invalid(f"there is no data type {xsi_type!r}")
    projects = _projects(db, said)
    builder = _builder(document.get("builder"))
    form = _existing(db, str(said.get("idCustomVariableFormAppliesTo") or _NEW))
    if form is None:
        form = CustomForm(uuid=str(uuid.uuid4()), version=0)
        db.add(form)
    form.title, form.xsi_type, form.projects = title, xsi_type, projects
    form.display_order = _order(said.get("zIndex"))
    form.contents, form.username = builder, user
    form.version += 1
    db.flush()
    return form


def listed(db: Session, project: str | None) -> list[CustomForm]:
    """Return all forms, or those that apply in `project`."""
    rows = db.scalars(select(CustomForm).order_by(CustomForm.display_order, CustomForm.created))
    return [form for form in rows if project is None or not form.projects or project in form.projects]


def describe(db: Session, form: CustomForm) -> dict[str, Any]:
    """Return a form as XNAT lists it."""
    scopes = form.projects or [""]
    return {
        "appliesToList": [
            {"entityId": project or "Site", "idCustomVariableFormAppliesTo": row_id(form, project),
             "status": form.status}
            for project in scopes
        ],
        "contents": json.dumps(form.contents),
        "formId": form.uuid,
        "formUUID": form.uuid,
        "formDisplayOrder": form.display_order,
        "formVersion": form.version,
        "path": f"datatype/{form.xsi_type}",
        "scope": "Project" if form.projects else "Site",
        "doProjectsShareForm": len(form.projects) > 1,
        "username": form.username,
        "dateCreated": int(form.created.timestamp() * 1000),
        "hasData": has_data(db, form.uuid),
    }  # fmt: skip


def merged(db: Session, *, xsi_type: str, project: str) -> dict[str, Any]:
    """Return the one form that an item of a type in a project gets: each form a component that holds its own."""
    components = [
        {
            "type": "container",
            "input": True,
            "key": form.uuid,
            "label": form.title,
            "components": form.contents.get("components") or [],
        }
        for form in listed(db, project)
        if form.status == ENABLED and form.xsi_type == xsi_type
    ]
    return {"display": "form", "title": "Custom Forms", "settings": {}, "components": components}


def rows_of(db: Session, given: Sequence[Any]) -> list[Row]:
    """Return the rows that a client names by ``idCustomVariableFormAppliesTo``."""
    found = []
    for row in given:
        number = row.get("idCustomVariableFormAppliesTo") if isinstance(row, dict) else row
        found.append(row_of(db, str(number)))
    return found


def row_of(db: Session, number: str) -> Row:
    """Return the row with this id; 404 if there is none."""
    for form in db.scalars(select(CustomForm)):
        for project in form.projects or [""]:
            if number in (row_id(form, project), form.uuid):
                return Row(form, project)
    raise not_found(f"form {number}")


def row_id(form: CustomForm, project: str) -> str:
    """Return the id of a row: two numbers joined by ``_``."""
    scope = form.projects.index(project) + 1 if project else 0
    return f"{uuid.UUID(form.uuid).int % 10**9}_{scope}"


def set_status(rows: Sequence[Row], status: str) -> None:
    """Enable or disable the forms of `rows`."""
    for row in rows:
        row.form.status = status


def remove(db: Session, rows: Sequence[Row]) -> str:
    """Delete forms; one that has been answered is disabled instead, so that its answers can be read for ever."""
    kept = False
    for form in {row.form.uuid: row.form for row in rows}.values():
        if has_data(db, form.uuid):
            form.status, kept = DISABLED, True
        else:
            db.delete(form)
    db.flush()
    return "Form disabled" if kept else "Form deleted"


def _data(document: Mapping[str, Any]) -> Mapping[str, Any]:
    submission = document.get("submission")
    data = submission.get("data") if isinstance(submission, dict) else None
    if not isinstance(data, dict):
        raise _invalid("submission.data is missing")
    return data


def _projects(db: Session, said: Mapping[str, Any]) -> list[str]:
    if str(said.get("isThisASiteWideConfiguration") or "no").lower() in ("yes", "true"):
        return []
    given = said.get("xnatProject")
    projects = [_value(project) for project in (given if isinstance(given, list) else [given] if given else [])]
    if not projects:
        raise _invalid("a form that is not site-wide needs a project")
    for project in projects:
        if db.get(Project, project) is None:
            raise _invalid(f"there is no project {project!r}")
    return list(dict.fromkeys(projects))


def _builder(given: object) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if not isinstance(given, dict) or not isinstance(given.get("components"), list):
        raise _invalid("builder must be a Form.io form with components")
    return given


def _existing(db: Session, number: str) -> CustomForm | None:
    return None if number == _NEW else row_of(db, number).form


def _value(given: object) -> str:
    return str(given.get("value") or "") if isinstance(given, dict) else str(given or "")


def _order(given: object) -> int:
    try:
        return int(str(given)) if given is not None else 10
    except ValueError as problem:
        raise _invalid("zIndex must be a number") from problem


def _invalid(why: str) -> Exception:
    return bad_request(f"Invalid form submission: {why}")
