"""``overread readers sync``: brings a server to what a reader study needs now. A second call changes nothing.

It can be cut off at any request: what it decides is written down first, what it sends may be sent again, and a copy
stands in a reader's worklist once it is whole, not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from overread.commands.compile import SESSION_TYPES
from overread.errors import DataError, OverreadError
from overread.study.allocation import Allotted, differing, due
from overread.study.blinding import MIN_SALT_BYTES, code_of
from overread.study.manifest import StudyManifest, load_stored_study
from overread.study.reading import AIDED, MODEL, Reading, Roster
from overread.xnat.blinding import secrets as keys
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive, FileArchive
from overread.xnat.plan_events import session_types
from overread.xnat.reading import documents
from overread.xnat.reading.answers import answers_on
from overread.xnat.reading.away import hides_sent, put_away
from overread.xnat.reading.cases import Exam, exams_of
from overread.xnat.reading.copies import Copy, make_copy, originals
from overread.xnat.reading.projects import check_secrecy, ensure_form, ensure_project
from overread.xnat.reading.record import (
    Record,
    Said,
    load_record,
    locked,
    moment,
    publish_record,
    save_record,
)
from overread.xnat.state import STUDY_CONFIG

Tell = Callable[[str], None]


@dataclass
class Study:
    """A reader study and what is known of it on a server."""

    bundle: StudyBundle
    reading: Reading
    roster: Roster
    record: Record
    salt: bytes
    mode: str
    now: datetime
    exams: Mapping[str, Exam] = field(default_factory=dict)
    worklists: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def manifest(self) -> StudyManifest:
        """The study's manifest."""
        return self.bundle.manifest

    def code(self, one: Allotted) -> str:
        """Return the code under which a reader gets a reading."""
        return code_of(self.salt, (self.manifest.id, *one.parts))

    def withheld(self, one: Allotted) -> bool:
        """Tell whether the study's mode keeps a reading back: in shadow no reader sees a result."""
        return self.mode == "shadow" and (one.arm == AIDED or one.source == MODEL)

    def hidden(self, one: Allotted) -> bool:
        """Tell whether the reader may not reach the copy now: its result is kept back, or the case may come again."""
        sent = one.role == "reader" and hides_sent(self.reading) and self.said(one) is not None
        return sent or self.withheld(one)

    def allotted(self) -> tuple[Allotted, ...]:
        """Return all readings."""
        return self.record.allotted(self.reading)

    def said(self, one: Allotted) -> Said | None:
        """Return what was said of a reading."""
        return self.record.said.get(self.code(one))

    def submitted(self, allotted: Sequence[Allotted]) -> dict[Allotted, datetime]:
        """Return when readings were sent."""
        return {one: moment(said.submitted_at) for one in allotted if (said := self.said(one)) is not None}

    def released(self, allotted: Sequence[Allotted]) -> dict[Allotted, datetime | None]:
        """Return when readings may be given out; None: they wait for others, or the mode keeps them back."""
        found = due(allotted, self.submitted(allotted), reading=self.reading, now=self.now)
        return {one: None if self.withheld(one) else at for one, at in found.items()}

    def key(self) -> tuple[keys.Reading, ...]:
        """Return what each code stands for."""
        return tuple(
            keys.Reading(
                code=self.code(one), exam=self.record.cases.get(one.case, one.case), source=one.source or None,
                reader=one.reader, role=one.role, project=self.record.projects[one.reader], arm=one.arm or None,
                period=one.period,
            )
            for one in self.allotted()
        )  # fmt: skip


def open_study(
    archive: Archive, bundle: StudyBundle, roster: Roster, folder: Path, *, now: datetime, new_salt: bool
) -> Study:
    """Read what there is of a study: on the server, and in the folder of secrets.

    Raises
    ------
    OverreadError
        The study was not applied to the server, or its salt is not there.
    """
    manifest = bundle.manifest
    reading = documents.reading_of(manifest)
    mode = current_mode(archive, manifest)
    record = load_record(archive, folder, study=manifest.id, project=manifest.project)
    if not (folder / keys.SALT).exists():
        if record.cases:
            raise OverreadError(
                f"{folder / keys.SALT} is not there, but codes were given out: restore it from your copy"
            )
        salt = keys.make_salt(folder) if new_salt else bytes(MIN_SALT_BYTES)
    else:
        salt = keys.read_salt(folder)
    return Study(bundle, reading, roster, record, salt, mode, now.astimezone(UTC))


def current_mode(archive: Archive, manifest: StudyManifest) -> str:
    """Return the mode in which a study is on a server.

    Raises
    ------
    OverreadError
        It was not applied there.
    """
    place = f"/data/projects/{manifest.project}/config/{STUDY_CONFIG}"
    stored = archive.get(place, {"contents": "true", "accept-not-found": "true"})
    if stored is None or not stored.text.strip():
        raise OverreadError(f"project {manifest.project} has no study {manifest.id} yet: first overread study apply")
    return load_stored_study(stored.text, source=f"study of {manifest.project}").mode


def sync(
    archive: FileArchive, bundle: StudyBundle, roster: Roster, folder: Path, *, now: datetime, tell: Tell
) -> dict[str, Any]:
    """Do all that there is to do now.

    Parameters
    ----------
    archive
        The server.
    bundle, roster
        The study, and who its readers are.
    folder
        Of secrets: salt, key, record.
    now
        This moment; wash-outs are counted by it.
    tell
        Is called with each thing that is done, in words, without codes.

    Returns
    -------
    dict
        The progress document.

    Raises
    ------
    OverreadError
        A reader can see what he must not, or something of ours is missing. What was done before is done.
    ArchiveError
        The server refuses something.
    """
    with locked(folder):
        study = open_study(archive, bundle, roster, folder, now=now, new_salt=True)
        reading, record, manifest = study.reading, study.record, study.manifest
        holder = keys.key_project(manifest.project)
        logins = {login: "" for group in roster.groups.values() for login in group}
        closed = {manifest.project: "originals and results", holder: "the key"}
        check_secrecy(archive, logins, closed=closed)
        for line in (*collect(archive, study), *advance(archive, study)):
            tell(line)
        save_record(folder, record)
        _publish(archive, study, folder)
        readers, troubles = _give_out(archive, study, folder, tell)
        done = sum(study.said(one) is not None for one in study.allotted() if one.role == "adjudicator")
        gate_said = [said for one in study.allotted() if one.role == "gate" and (said := study.said(one)) is not None]
        document = documents.progress(
            record, now=study.now, gated=reading.gate is not None, readers=readers, adjudicated=done,
            troubles=troubles, gate_said=gate_said,
        )  # fmt: skip
        before = documents.read_document(archive, manifest.project, documents.PROGRESS)
        if {**before, "updated_at": ""} != {**document, "updated_at": ""}:
            documents.write_document(archive, manifest.project, documents.PROGRESS, document)
        return document


def collect(archive: Archive, study: Study) -> Iterator[str]:
    """Look for answers on what was given out and not read yet; what the gate refused is looked at again.

    Readers can write to the sessions of their own projects by REST: an answer whose time is none does not count, and
    is told, so that one of them holds up nobody else's.
    """
    out = set()
    for login, project in study.record.projects.items():
        study.worklists[login] = documents.read_document(archive, project, documents.WORKLIST)
        out |= {str(row["code"]) for row in study.worklists[login].get("readings", ())}
    for one in study.allotted():
        code = study.code(one)
        if code not in out:
            continue
        refused = one.role == "gate" and one.case in study.record.refused
        if code in study.record.said and not refused:
            continue
        project = study.record.projects[one.reader]
        holder = keys.key_project(study.manifest.project)
        found = []
        for answer in answers_on(archive, project=project, code=code, holder=holder):
            if answer.reader != one.reader or not answer.submitted_at:
                continue
            try:
                moment(answer.submitted_at)
            except DataError as error:
                yield f"{project}, {code}: an answer of {one.reader} does not count, for its submitted_at {error}"
            else:
                found.append(answer)
        if found:
            # what counts for the gate is the newest, for everything else what was said first
            answer = found[-1] if one.role == "gate" else found[0]
            study.record.said[code] = Said(answer.submitted_at, answer.data, answer.active_s)


def advance(archive: Archive, study: Study) -> Iterator[str]:
    """Take in who joined and left, new cases, the gate's decisions and what readers differ on; tell it in words."""
    record, reading = study.record, study.reading
    read = frozenset((one.reader, one.case) for one in study.allotted() if study.said(one) is not None)
    yield from record.seat(reading, study.roster, project=study.manifest.project, read=read)
    study.exams = {
        exam.number: exam
        for exam in exams_of(archive, study.manifest, result_type=study.bundle.datatype.xsi_type)
    }  # fmt: skip
    new = [exam for exam in study.exams.values() if exam.number not in record.cases and exam.is_case(reading)]
    record.cases |= {exam.number: exam.label for exam in new}
    if new:
        yield f"{len(new)} new cases"
    yield from _through_the_gate(study)
    if reading.adjudicate:
        answers = {one: said.data if (said := study.said(one)) else None for one in study.allotted()}
        disputed = [case for case in differing(reading, answers) if case not in record.disputed]
        record.disputed += disputed
        if disputed:
            yield f"readers differ on {len(disputed)} cases"


def _through_the_gate(study: Study) -> Iterator[str]:
    gate, record = study.reading.gate, study.record
    if gate is None:
        return
    decided = [one for one in study.allotted() if one.role == "gate" and study.said(one) is not None]
    for one in sorted(decided, key=lambda one: (record.said[study.code(one)].submitted_at, one.case)):
        if one.case in record.passed:
            continue
        refusal = gate.refusal(record.said[study.code(one)].data)
        if refusal is None:
            record.passed.append(one.case)
            record.refused.pop(one.case, None)
            yield "a case passed the gate"
        elif record.refused.get(one.case) != refusal:
            record.refused[one.case] = refusal
            yield f"a case was refused by the gate: {refusal}"


def _publish(archive: Archive, study: Study, folder: Path) -> None:
    """Keep key and record where they outlive this machine: in a project of owners, before any code is given out."""
    project, key = study.manifest.project, study.key()
    text = keys.key_text(study.manifest.id, key)
    path = folder / keys.KEY
    if not path.exists() or path.read_text("utf-8") != text:
        keys.write_key(folder, study.manifest.id, key)
    place = f"/data/projects/{keys.key_project(project)}/resources/{keys.KEY_RESOURCE}/files/{keys.KEY}"
    answer = archive.get(place)
    if answer is None or answer.text != text:
        keys.publish_key(archive, project, study.manifest.id, key)
    publish_record(archive, project, study.record)


def _give_out(archive: FileArchive, study: Study, folder: Path, tell: Tell) -> tuple[list[dict[str, Any]], list[str]]:
    """Make projects, copies and worklists; return a line of progress for each reader, and what could not be copied."""
    record, present = study.record, study.record.present()
    allotted = study.allotted()
    at = study.released(allotted)
    ready = {one for one, when in at.items() if when is not None and when <= study.now}
    given = study.worklists
    forms: dict[str, tuple[str, int, str]] = {}
    for login, project in sorted(record.projects.items(), key=lambda item: item[1]):
        reader = login if login in present else None
        title = f"{study.manifest.title}: {project.rpartition('_')[2]}"
        ensure_project(archive, project, title=title, reader=reader, others=frozenset(record.projects))
        given.setdefault(login, {})
        if reader is not None:
            forms[login] = _form(archive, study, login, given[login])
    put_away(
        archive, record, holder=keys.key_project(study.manifest.project),
        home={study.code(one): record.projects[one.reader] for one in allotted},
        wanted=frozenset(study.code(one) for one in allotted if study.hidden(one)),
    )  # fmt: skip
    save_record(folder, record)
    uids, troubles = _copy(archive, study, ready, given, tell)
    lines = []
    for login, project in sorted(record.projects.items(), key=lambda item: item[1]):
        mine = [one for one in allotted if one.reader == login]
        role = mine[0].role if mine else _role(study, login)
        if login in present:
            document = _worklist(study, login, role, mine, at, ready, uids, given[login], forms[login])
            if document != given[login]:
                documents.write_document(archive, project, documents.WORKLIST, document)
        lines.append(_line(study, login, project, role, mine, at, uids))
    return lines, troubles


def _copy(
    archive: FileArchive, study: Study, ready: set[Allotted], given: Mapping[str, Mapping[str, Any]], tell: Tell
) -> tuple[dict[Allotted, str], list[str]]:
    """Make the copies that are missing; return the Study Instance UID of each that is whole."""
    present = study.record.present()
    known = {
        row["code"]: str(row.get("study_instance_uid")) for one in given.values() for row in one.get("readings", ())
    }
    sent = {one for one in study.allotted() if study.said(one) is not None}
    uids = {one: known[code] for one in ready | sent if (code := study.code(one)) in known}
    troubles: dict[str, str] = {}
    missing = [one for one in ready if one not in uids and one.reader in present]
    # Cases one after another, since originals are fetched once; within a case by code, since a copy's ID on the server
    # must not tell who drew what it holds.
    missing.sort(key=lambda one: (hashlib.sha256(one.case.encode()).digest(), study.code(one)))
    with originals(archive, study.manifest) as source:
        for one in missing:
            exam = study.exams.get(one.case)
            if exam is None:
                troubles[one.case] = f"{study.record.cases.get(one.case, one.case)}: it is not in the project any more"
            if exam is None or one.case in troubles:
                continue
            aided = one.arm == AIDED
            copy = Copy(study.record.projects[one.reader], study.code(one), exam, aided=aided, source=one.source)
            try:
                uids[one] = make_copy(
                    archive, copy, source, reading=study.reading, datatype=study.bundle.datatype, salt=study.salt
                )
            except DataError as error:
                troubles[one.case] = f"{exam.label}: {error}"
                tell(f"can't be given to readers: {troubles[one.case]}")
                continue
            tell(f"copied a case to {copy.project}")
    return uids, sorted(troubles.values())


def _worklist(  # noqa: PLR0917 - all of it is one reader's
    study: Study,
    login: str,
    role: str,
    mine: Sequence[Allotted],
    at: Mapping[Allotted, datetime | None],
    ready: set[Allotted],
    uids: Mapping[Allotted, str],
    before: Mapping[str, Any],
    form: tuple[str, int, str],
) -> dict[str, Any]:
    stamped = {row["code"]: row.get("released_at") for row in before.get("readings", ())}
    now = study.now.isoformat(timespec="seconds")
    out = [one for one in mine if (one in ready or study.said(one)) and one in uids]
    readings = []
    for position, one in enumerate(out, start=1):
        code = study.code(one)
        row = documents.worklist_row(
            one, code=code, uid=uids[one], position=position, released_at=stamped.get(code) or now
        )  # fmt: skip
        said = study.said(one)
        readings.append({**row, "submitted_at": said.submitted_at} if said else row)
    total = sum(not study.withheld(one) or study.said(one) is not None for one in mine)
    return documents.worklist(
        study.manifest, reader=login, role=role, mode=study.mode, form=form, total=total,
        next_from=_next(mine, at, study.now), readings=readings,
    )  # fmt: skip


def _line(  # noqa: PLR0917 - all of it is one reader's
    study: Study,
    login: str,
    project: str,
    role: str,
    mine: Sequence[Allotted],
    at: Mapping[Allotted, datetime | None],
    uids: Mapping[Allotted, str],
) -> dict[str, Any]:
    """Write a reader's line of the progress document."""
    said = [one for one in map(study.said, mine) if one is not None]
    times = [one.active_s for one in said if one.active_s is not None]
    later = [when for one in mine if (when := at[one]) is not None and when > study.now]
    following = _next(mine, at, study.now)
    return {
        "reader": login,
        "project": project,
        "role": role,
        "present": login in study.record.present(),
        "total": len(mine),
        "released": sum(one in uids for one in mine),
        "open": sum(one in uids and study.said(one) is None for one in mine),
        "submitted": len(said),
        "waiting_washout": len(later),
        "withheld": sum(study.withheld(one) and study.said(one) is None for one in mine),
        "next_period_from": following.date().isoformat() if following else None,
        "median_active_s": median(times) if times else None,
    }


def _next(mine: Sequence[Allotted], at: Mapping[Allotted, datetime | None], now: datetime) -> datetime | None:
    return min((when for one in mine if (when := at[one]) is not None and when > now), default=None)


def _role(study: Study, login: str) -> str:
    group = next((g for g, seats in study.record.seats.items() if any(s.reader == login for s in seats)), "")
    return study.reading.roles.get(group, "reader")


def _form(archive: Archive, study: Study, login: str, before: Mapping[str, Any]) -> tuple[str, int, str]:
    """Apply the form to a reader's project; its version is counted on from the worklist's."""
    role = _role(study, login)
    form = study.bundle.gate_form if role == "gate" else study.bundle.reading_form
    if form is None:
        raise OverreadError(f"the study has no form for {role}")
    types = session_types(study.manifest, study.bundle.model) or (SESSION_TYPES["MR"],)
    uuid = ensure_form(archive, study.record.projects[login], form, xsi_type=types[0])
    last = before.get("form_version")
    count = last if isinstance(last, int) else 0
    same = count > 0 and before.get("form_digest") == form.digest
    return uuid, count if same else count + 1, form.digest
