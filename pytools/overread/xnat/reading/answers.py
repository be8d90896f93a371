"""What readers said, over all reading projects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from overread.xnat.connection import Archive

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ANSWER: Final = "answer:"
TIMES: Final = ("first_interaction_s", "active_s", "edit_s", "save_s", "form_s", "submitted_s")
BLINDED: Final = (
    "code", "project", "reader", "role", "form", "form_version", "version", "current", "mode", "started_at",
    "submitted_at", "opened_at", *TIMES, "strokes", "segments_edited", "added_voxels", "removed_voxels", "slices",
)  # fmt: skip
UNBLINDED: Final = ("exam", "source", "arm", "period", "repeat")


@dataclass(frozen=True)
class Answer:
    """One version of what a reader said on one copy.

    Parameters
    ----------
    project, code, reader, form
        Where it stands.
    version, current
        Counts from 1; the last one counts.
    document
        As the page wrote it: ``data``, ``submitted_at``, ``times``, ``edits`` and more.
    """

    project: str
    code: str
    reader: str
    form: str
    version: int
    current: bool
    document: Mapping[str, Any] = field(hash=False)

    @property
    def data(self) -> dict[str, Any]:
        """Question -> answer."""
        found = self.document.get("data")
        return dict(found) if isinstance(found, dict) else {}

    @property
    def submitted_at(self) -> str:
        """When, as the page wrote it."""
        return str(self.document.get("submitted_at") or "")

    @property
    def active_s(self) -> float | None:
        """Seconds in which the reader did something."""
        times = self.document.get("times")
        found = times.get("active_s") if isinstance(times, dict) else None
        found = self.document.get("active_s") if found is None else found
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    def row(self) -> dict[str, Any]:
        """Return it as a row, without what would tell the case."""
        times, edits = self.document.get("times"), self.document.get("edits")
        times = times if isinstance(times, dict) else {}
        edits = edits if isinstance(edits, dict) else {}
        segments = [one for one in edits.get("segments") or () if isinstance(one, dict)]

        def total(key: str) -> Any:
            return sum(one[key] for one in segments if isinstance(one.get(key), int)) if edits else None

        return {
            "code": self.code, "project": self.project, "reader": self.reader, "form": self.form,
            "form_version": self.document.get("form_version"), "version": self.version, "current": self.current,
            "started_at": self.document.get("started_at"), "submitted_at": self.submitted_at,
            "opened_at": times.get("opened_at"),
            **{key: times.get(key, self.document.get(key)) for key in TIMES},
            "strokes": edits.get("strokes"), "segments_edited": len(segments) if edits else None,
            "added_voxels": total("added_voxels"), "removed_voxels": total("removed_voxels"), "slices": total("slices"),
            "edits": edits or None, "data": self.data,
        }  # fmt: skip


def answers_on(archive: Archive, *, project: str, code: str, holder: str) -> tuple[Answer, ...]:
    """Return all versions of all answers on one copy, the oldest first; none where there is no such copy.

    The copy is in its reading project, or in `holder` as long as its reader may not reach it.
    """
    places = (f"/xapi/custom-fields/projects/{quote(p)}/experiments/{quote(code)}/fields" for p in (project, holder))
    found = next((answer for place in places if (answer := archive.get(place)) is not None), None)
    fields = found.value() if found is not None else {}
    return tuple(_versions(project, code, fields)) if isinstance(fields, dict) else ()


def _versions(project: str, code: str, fields: Mapping[str, Any]) -> Iterator[Answer]:
    for name, value in sorted(fields.items()):
        form, _, reader = name.removeprefix(_ANSWER).partition(":")
        if not name.startswith(_ANSWER) or not isinstance(value, dict):
            continue
        previous = value.get("previous")
        versions = [v for v in [*(previous if isinstance(previous, list) else []), value] if isinstance(v, dict)]
        for number, version in enumerate(versions, start=1):
            yield Answer(project, code, reader, form, number, number == len(versions), version)


def as_csv(rows: Sequence[Mapping[str, Any]], *, unblinded: bool) -> str:
    """Write rows as CSV, with one column for each question; the columns that tell the case only if so asked."""
    questions = list(dict.fromkeys(key for row in rows for key in row["data"]))
    columns = [*(UNBLINDED if unblinded else ()), *BLINDED]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([*columns, *(_cell(f"answer.{key}") for key in questions)])
    for row in rows:
        values: Iterable[Any] = (row.get(name) for name in columns)
        writer.writerow([*map(_cell, values), *(_cell(row["data"].get(key)) for key in questions)])
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
