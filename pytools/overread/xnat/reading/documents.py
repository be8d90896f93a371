"""The documents that pages read: a reader's worklist, and the coordinator's progress."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any, Final
from urllib.parse import quote

from overread.errors import SpecError
from overread.study.allocation import Allotted
from overread.study.manifest import StudyManifest
from overread.study.reading import Reading
from overread.xnat.connection import Archive, Request
from overread.xnat.reading.record import Record, Said

WORKLIST: Final = "overread/worklist"
PROGRESS: Final = "overread/progress"
_VERSION: Final = 1


def reading_of(manifest: StudyManifest) -> Reading:
    """Return the study's block ``reading:``.

    Raises
    ------
    SpecError
        It has none.
    """
    if manifest.reading is None:
        raise SpecError(f"study {manifest.id} has no block 'reading:'; add it to the manifest")
    return manifest.reading


def worklist(
    manifest: StudyManifest,
    *,
    reader: str,
    role: str,
    mode: str,
    form: tuple[str, int, str],
    total: int,
    next_from: datetime | None,
    readings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Write a reader's worklist.

    Parameters
    ----------
    manifest
        The study.
    reader, role, mode
        Who, what he does, and the mode the study is in.
    form
        UUID, version and digest.
    total
        Readings in all, with those that are not given out yet.
    next_from
        From when readings of the next period come.
    readings
        Those that are given out, in order.
    """
    reading = reading_of(manifest)
    return {
        "version": _VERSION,
        "study": manifest.id,
        "title": manifest.title,
        "reader": reader,
        "role": role,
        "mode": mode,
        "page": reading.page,
        "form_uuid": form[0],
        "form_version": form[1],
        "form_digest": form[2],
        "idle_s": reading.idle_s,
        "total": total,
        "next_period_from": next_from.date().isoformat() if next_from else None,
        "show": reading.show.model_dump(mode="json", exclude_none=True) if reading.show else {},
        "readings": list(readings),
    }


def worklist_row(one: Allotted, *, code: str, uid: str, position: int, released_at: str) -> dict[str, Any]:
    """Write a line of the worklist: nothing in it tells a repeat, or a source.

    Masks of several sources have no model of their own to be shown or withheld: there it has no arm.
    """
    return {
        "code": code,
        "session": code,
        "study_instance_uid": uid,
        "period": one.period - one.repeat,
        "position": position,
        "arm": None if one.source else one.arm or None,
        "released_at": released_at,
    }


def progress(
    record: Record,
    *,
    now: datetime,
    gated: bool,
    readers: Sequence[Mapping[str, Any]],
    adjudicated: int,
    troubles: Sequence[str],
    gate_said: Iterable[Said],
) -> dict[str, Any]:
    """Write how far the study has come, for the coordinator."""
    reasons = Counter(record.refused.values())
    times = [said.active_s for said in gate_said if said.active_s is not None]
    decided = len(record.passed) + len(record.refused)
    return {
        "version": _VERSION,
        "updated_at": now.isoformat(timespec="seconds"),
        "cases": len(record.cases),
        "gate": {
            "open": len(record.cases) - decided,
            "passed": len(record.passed),
            "refused": [{"reason": reason, "count": count} for reason, count in sorted(reasons.items())],
            "median_s": median(times) if times else None,
        }
        if gated
        else None,
        "readers": list(readers),
        "adjudication": {"open": len(record.disputed) - adjudicated, "done": adjudicated},
        "troubles": list(troubles),
    }


def read_document(archive: Archive, project: str, path: str) -> dict[str, Any]:
    """Get a document of a project; empty where there is none, or none that is ours."""
    place = f"/data/projects/{quote(project)}/config/{path}"
    answer = archive.get(place, {"contents": "true", "accept-not-found": "true"})
    found = answer.value() if answer is not None else None
    return found if isinstance(found, dict) else {}


def write_document(archive: Archive, project: str, path: str, document: Mapping[str, Any]) -> None:
    """Store a document in a project."""
    text = json.dumps(document, indent=1)
    place = f"/data/projects/{quote(project)}/config/{path}"
    archive.send(Request("PUT", place, {"inbody": "true"}, text=text))
