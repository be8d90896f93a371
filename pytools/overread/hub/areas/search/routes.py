"""``/data/search``."""

from __future__ import annotations

from sqlalchemy import func, select
from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import readable_projects
from overread.hub.areas.search.displays import displays
from overread.hub.areas.search.query import SearchDocument, conditions, find_column, read_search
from overread.hub.errors import not_found, unprocessable
from overread.hub.http import Call, Route
from overread.hub.items.visibility import visible
from overread.hub.models import Experiment, Subject
from overread.hub.rest.columns import Source

_ELEMENTS = ("ELEMENT_NAME", "SINGULAR", "PLURAL", "SECURED", "COUNT")
_FIELDS = ("FIELD_ID", "HEADER", "SUMMARY", "TYPE", "REQUIRES_VALUE", "DESC", "ELEMENT_NAME", "SRC")


def list_elements(call: Call) -> Response:
    """List the datatypes that can be searched, with how many items of each the caller may read."""
    readable = readable_projects(call.db, call.caller)
    found = call.db.execute(
        select(Experiment.xsi_type, func.count()).where(Experiment.project.in_(readable)).group_by(Experiment.xsi_type)
    )
    counts = {name: number for name, number in found}  # noqa: C416 - rows are no pairs to the type checker
    counts["xnat:subjectData"] = (
        call.db.scalar(select(func.count()).select_from(Subject).where(Subject.project.in_(readable))) or 0
    )
    counts["xnat:projectData"] = len(readable)
    rows = [
        {
            "ELEMENT_NAME": name,
            "SINGULAR": model.singular,
            "PLURAL": model.plural,
            "SECURED": model.secured,
            "COUNT": counts.get(name, 0),
        }
        for name, model in call.hub.schemas.elements().items()
        if _model(call, name) is not None or name == "xnat:projectData"
    ]
    return answers.table(rows, _ELEMENTS, form=call.format, total=len(rows))


def list_fields(call: Call) -> Response:
    """List the fields of a datatype."""
    name = call.hub.schemas.spelled(call.params["type"])
    if name is None:
        raise not_found(f"data type {call.params['type']}")
    kind = call.hub.schemas.known(name)
    rows = [
        {
            "FIELD_ID": field_id,
            "HEADER": field_id.replace("_", " ").capitalize(),
            "SUMMARY": "",
            "TYPE": kind.fields[path].kind,
            "REQUIRES_VALUE": False,
            "DESC": "",
            "ELEMENT_NAME": name,
            "SRC": 0,
        }
        for field_id, path in displays(call.hub.schemas, name)
    ]
    return answers.table(rows, _FIELDS, form=call.format, total=len(rows))


def search(call: Call) -> Response:
    """Answer a query: rows of one type, by conditions on its fields and on those of its subject or session."""
    return run(call, read_search(call.body()))


def run(call: Call, document: SearchDocument) -> Response:
    """Answer what a search document asks for: of its rows, those that the caller may read."""
    schemas = call.hub.schemas
    root = schemas.spelled(document.root)
    model = _model(call, root) if root is not None else None
    if root is None or model is None:
        raise unprocessable(f"{document.root!r} can't be searched: it is no data type of subjects or experiments.")
    source = Source(schemas, root, model)
    columns = [find_column(source, element, field) for element, field in document.fields]
    if not columns:
        columns = [find_column(source, root, path) for path in ("ID", "project", "label")]
    where, needs = conditions(source, document)
    for column in columns:
        needs |= column.needs
    query = source.joined(source.rows(columns), needs).where(
        visible(model, readable_projects(call.db, call.caller)), *where
    )
    if model is Experiment:
        query = query.where(Experiment.xsi_type.in_(schemas.extending(root)))
    keys = [column.key for column in columns]
    rows = [dict(zip(keys, found, strict=True)) for found in call.db.execute(query.order_by(model.id))]
    return answers.table(rows, list(dict.fromkeys(keys)), form=call.format, total=len(rows))


def _model(call: Call, xsi_type: str) -> type[Experiment | Subject] | None:
    if call.hub.schemas.is_a(xsi_type, "xnat:experimentData"):
        return Experiment
    return Subject if call.hub.schemas.is_a(xsi_type, "xnat:subjectData") else None


ROUTES = [
    Route("GET", "/data/search/elements", list_elements),
    Route("GET", "/data/search/elements/{type}", list_fields),
    Route("POST", "/data/search", search, writes=False),
]
