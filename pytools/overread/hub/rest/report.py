"""Plain pages for people: an item's fields, and links to what hangs on it. Every value is escaped."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import select
from starlette.responses import Response

from overread.hub.http import Call
from overread.hub.items.tree import Item, Related, whole_item
from overread.hub.items.visibility import visible
from overread.hub.models import Experiment, Project, Subject
from overread.hub.rest.pages import answer, link

_MOST_ROWS = 500


def report(call: Call, item: Item, readable: Collection[str]) -> Response:
    """Return the page of `item`; `readable` are the IDs of the projects that the caller may read."""
    whole = whole_item(call.db, call.hub, item, readable=readable)
    title = str(whole.values.get("label") or whole.values["ID"])
    body = f"<p>{html.escape(whole.xsi_type)}</p>{_fields(whole.values)}"
    for path, entries in whole.related.items():
        if entries:
            body += f"<h2>{html.escape(path.partition('/')[0].capitalize())}</h2>{_related(path, entries)}"
    for path, repeated in whole.children.items():
        if repeated:
            body += f"<h2>{html.escape(path)}</h2>{_table(repeated)}"
    body += _below(call, item, readable)
    return answer(call, title, body)


def _fields(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(path)}</th><td>{html.escape(str(value))}</td></tr>" for path, value in values.items()
    )
    return f'<table class="fields">{rows}</table>'


def _related(path: str, entries: Iterable[Related]) -> str:
    names = {
        "scans/scan": ("ID", "type", "series_description", "quality"),
        "assessors/assessor": ("label", "ID", "date"),
    }.get(path, ("label", "project", "format", "content", "file_count", "file_size"))
    rows = []
    for entry in entries:
        cells = {name: entry.values.get(name, "") for name in names}
        if path == "assessors/assessor":
            target = f"/data/experiments/{quote(str(entry.values['ID']))}?format=html"
            cells = {"label": _Link(str(cells["label"]), target), "ID": cells["ID"], "type": entry.xsi_type}
        rows.append(cells)
    return _table(rows)


@dataclass(frozen=True)
class _Link:
    text: str
    target: str


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(name, ''))}</td>" for name in columns) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return link(value.text, value.target) if isinstance(value, _Link) else html.escape(str(value))


def _below(call: Call, item: Item, readable: Collection[str]) -> str:
    """List a project's subjects, or a subject's experiments."""
    db = call.db
    match item:
        case Project():
            subjects = db.execute(
                select(Subject.id, Subject.label).where(Subject.project == item.id).limit(_MOST_ROWS)
            ).all()
            rows: list[dict[str, Any]] = [
                {"subject": _Link(label, f"/data/subjects/{quote(key)}?format=html")} for key, label in subjects
            ]
            return f"<h2>Subjects</h2>{_table(rows)}" if rows else ""
        case Subject():
            found = db.execute(
                select(Experiment.id, Experiment.label, Experiment.date, Experiment.xsi_type)
                .where(Experiment.subject_id == item.id, visible(Experiment, readable))
                .order_by(Experiment.date)
                .limit(_MOST_ROWS)
            ).all()
            rows = [
                {"label": _Link(label, f"/data/experiments/{quote(key)}?format=html"), "date": date, "type": kind}
                for key, label, date, kind in found
            ]
            return f"<h2>Experiments</h2>{_table(rows)}" if rows else ""
        case _:
            return ""
