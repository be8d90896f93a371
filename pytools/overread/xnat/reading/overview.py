"""What a reader study would do now, how far it has come, and all that was said in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from overread.study.blinding import code_of
from overread.study.modes import mode_at
from overread.study.reading import Roster
from overread.xnat.blinding import secrets as keys
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive
from overread.xnat.modes import mode_changes
from overread.xnat.reading import documents
from overread.xnat.reading.answers import answers_on
from overread.xnat.reading.projects import check_secrecy
from overread.xnat.reading.record import load_record
from overread.xnat.reading.sync import advance, collect, current_mode, open_study


def plan_readers(archive: Archive, bundle: StudyBundle, roster: Roster, folder: Path, *, now: datetime) -> list[str]:
    """Say what a sync would do; nothing is changed, here or on the server.

    Raises
    ------
    OverreadError
        What would stop a sync.
    """
    study = open_study(archive, bundle, roster, folder, now=now, new_salt=False)
    project = study.manifest.project
    holder = keys.key_project(project)
    logins = {login: "" for group in roster.groups.values() for login in group}
    check_secrecy(archive, logins, closed={project: "originals and results", holder: "the key"})
    collect(archive, study)
    lines = list(advance(archive, study))
    for login, own in sorted(study.record.projects.items(), key=lambda item: item[1]):
        if archive.get(f"/data/projects/{own}", {"format": "json"}) is None:
            lines.append(f"project {own}, for {login}")
    allotted = study.allotted()
    at = study.released(allotted)
    out = {row["code"] for one in study.worklists.values() for row in one.get("readings", ())}
    present = study.record.present()
    copies = Counter(
        study.record.projects[one.reader] for one, when in at.items()
        if when is not None and when <= study.now and one.reader in present and study.code(one) not in out
    )  # fmt: skip
    lines += [f"{count} copies to {own}" for own, count in sorted(copies.items())]
    waiting = sum(when is not None and when > study.now for when in at.values())
    withheld = sum(study.withheld(one) for one in allotted)
    if waiting:
        lines.append(f"{waiting} readings wait for the wash-out")
    if withheld:
        lines.append(f"{withheld} readings are kept back, since the study is in shadow: they show a result")
    return lines or ["nothing to do"]


def in_words(document: Mapping[str, Any]) -> Iterator[str]:
    """Say a progress document in words."""
    yield f"{document['cases']} cases, as of {document['updated_at']}"
    gate = document.get("gate")
    if gate:
        refused = sum(one["count"] for one in gate["refused"])
        time = f", {gate['median_s']:g} s each" if gate["median_s"] is not None else ""
        yield f"gate: {gate['open']} open, {gate['passed']} passed, {refused} refused{time}"
        for one in gate["refused"]:
            yield f"  refused {one['count']}: {one['reason']}"
    for one in document["readers"]:
        wait = f", {one['waiting_washout']} in wash-out" if one["waiting_washout"] else ""
        kept = f", {one['withheld']} kept back" if one["withheld"] else ""
        gone = "" if one["present"] else " (left)"
        yield (
            f"{one['project']} {one['role']} {one['reader']}{gone}: {one['submitted']} of {one['total']} read, "
            f"{one['open']} open{wait}{kept}"
        )
    adjudication = document["adjudication"]
    if adjudication["open"] or adjudication["done"]:
        yield f"adjudication: {adjudication['open']} open, {adjudication['done']} done"
    for trouble in document["troubles"]:
        yield f"not given out: {trouble}"


def all_answers(archive: Archive, bundle: StudyBundle, folder: Path | None) -> list[dict[str, Any]]:
    """Return all versions of all answers, over all reading projects, by project and time.

    Parameters
    ----------
    archive, bundle
        The server and the study.
    folder
        Of secrets: with it exam, source, arm, period and repeat are said.

    Raises
    ------
    OverreadError
        There is no such study, or no key.
    """
    manifest = bundle.manifest
    documents.reading_of(manifest)
    progress = documents.read_document(archive, manifest.project, documents.PROGRESS)
    key = {one.code: one for one in keys.read_key(folder, manifest.id)} if folder is not None else {}
    changes, mode = mode_changes(archive, manifest.project), current_mode(archive, manifest)
    repeats = _repeats(archive, bundle, folder) if folder is not None else set()
    holder = keys.key_project(manifest.project)
    found: list[dict[str, Any]] = []
    for line in progress.get("readers", ()):
        given = documents.read_document(archive, line["project"], documents.WORKLIST)
        for code in (str(row["code"]) for row in given.get("readings", ())):
            for answer in answers_on(archive, project=line["project"], code=code, holder=holder):
                mode_then = mode_at(answer.submitted_at, changes, now=mode)
                row = {**answer.row(), "role": line["role"], "mode": mode_then}
                if folder is not None:
                    one = key.get(code)
                    row |= {
                        "exam": one.exam if one else None, "source": one.source if one else None,
                        "arm": one.arm if one else None, "period": one.period if one else None,
                        "repeat": code in repeats,
                    }  # fmt: skip
                found.append(row)
    return sorted(found, key=lambda row: (row["project"], row["submitted_at"], row["code"], row["version"]))


def _repeats(archive: Archive, bundle: StudyBundle, folder: Path) -> set[str]:
    """Return the codes under which a case is read again."""
    manifest = bundle.manifest
    salt = keys.read_salt(folder)
    record = load_record(archive, folder, study=manifest.id, project=manifest.project)
    readings = record.allotted(documents.reading_of(manifest))
    return {code_of(salt, (manifest.id, *one.parts)) for one in readings if one.repeat}
