"""What the coordinator's service has to remember of a reader study: in what order things came, and what was said.

Everything else follows from it, the study and the salt. It lies in the folder of secrets and, as a copy that outlives
that machine, in the project of the key. It is written before anything is done by it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from overread.errors import DataError, OverreadError
from overread.study.allocation import Allotted, Seat, allot
from overread.study.reading import Reading, Roster
from overread.xnat.blinding.secrets import KEY_RESOURCE, key_project
from overread.xnat.connection import Archive, Request

RECORD: Final = "record.json"
_LOCK: Final = "lock"
_VERSION: Final = 1
_LETTERS: Final = {"reader": "R", "gate": "G", "adjudicator": "A"}


@dataclass
class Said:
    """An answer as it was found first: what decides about the gate, wash-outs and adjudication."""

    submitted_at: str
    data: dict[str, Any]
    active_s: float | None = None


@dataclass
class Record:
    """What is remembered.

    Parameters
    ----------
    study
        Its id.
    cases
        Session ID -> label, in the order in which they became cases.
    passed
        Cases that passed the gate, in order; empty without a gate.
    refused
        Case -> the answer by which the gate refused it.
    disputed
        Cases on which readers differed, in order.
    seats
        Group -> who is, or was, in it.
    projects
        Login -> the project in which he reads.
    said
        Code -> the answer.
    away
        Codes of copies that readers may not reach now: they are in the key's project.
    """

    study: str
    cases: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    disputed: list[str] = field(default_factory=list)
    seats: dict[str, list[Seat]] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1)

    @classmethod
    def parse(cls, text: str, *, source: str) -> Record:
        """Read it.

        Raises
        ------
        DataError
            It is none, or of another version.
        """
        try:
            document = json.loads(text)
            version = document.pop("version")
            seats = {
                group: [Seat(**{**seat, "returned": tuple(seat["returned"])}) for seat in given]
                for group, given in document.pop("seats").items()
            }
            said = {code: Said(**one) for code, one in document.pop("said").items()}
            found = cls(**document, seats=seats, said=said)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise DataError(f"{source} is no record of a reader study; restore it from the key's project") from None
        if version != _VERSION:
            raise DataError(f"{source} has version {version}, this program reads {_VERSION}; update the program")
        return found

    def allotted(self, reading: Reading) -> tuple[Allotted, ...]:
        """Return all readings, of those who left as well."""
        given = self.passed if reading.gate else list(self.cases)
        return allot(reading, given, self.seats, arrived=list(self.cases), disputed=self.disputed)

    def goes_on_from(self, before: Record) -> bool:
        """Tell whether this is what `before` was, or what became of it: what was decided once is never undone."""
        lists = ((list(self.cases), list(before.cases)), (self.passed, before.passed), (self.disputed, before.disputed))
        grown = all(now[: len(then)] == then for now, then in lists)
        seats = all(len(self.seats.get(group, ())) >= len(given) for group, given in before.seats.items())
        kept = before.projects.items() <= self.projects.items() and before.said.keys() <= self.said.keys()
        return grown and seats and kept

    def sequence(self, reading: Reading, role: str) -> Sequence[str]:
        """Return the cases that are dealt to a role, in order."""
        if role == "adjudicator":
            return self.disputed
        return self.passed if role == "reader" and reading.gate else list(self.cases)

    def present(self) -> dict[str, str]:
        """Return who reads now: login -> group."""
        return {seat.reader: group for group, given in self.seats.items() for seat in given if seat.last is None}

    def seat(self, reading: Reading, roster: Roster, *, project: str, read: frozenset[tuple[str, str]]) -> list[str]:
        """Give seats and projects to those who are new, and take them from those who left.

        Parameters
        ----------
        reading, roster
            The study, and who the readers are.
        project
            The study's project.
        read
            (login, case) of what has been read, at least in part.

        Returns
        -------
        list of str
            What was changed, in words.
        """
        told: list[str] = []
        for group, role in sorted(reading.roles.items()):
            now = len(self.sequence(reading, role))
            seats = self.seats.setdefault(group, [])
            wanted = roster.groups.get(group, ())
            dealt = self.allotted(reading)
            for index, seat in enumerate(seats):
                if seat.last is None and seat.reader not in wanted:
                    his = dict.fromkeys(one.case for one in dealt if one.reader == seat.reader and one.role == role)
                    unread = tuple(case for case in his if (seat.reader, case) not in read)
                    seats[index] = Seat(seat.reader, seat.first, now, unread)
                    told.append(f"{seat.reader} left {group}: {len(unread)} cases go to the others")
            there = {seat.reader for seat in seats if seat.last is None}
            for login in wanted:
                if login not in there:
                    seats.append(Seat(login, first=now))
                    told.append(f"{login} joined {group} after {now} cases")
                if login not in self.projects:
                    self.projects[login] = self._new_project(project, _LETTERS[role])
        return told

    def _new_project(self, project: str, letter: str) -> str:
        taken = set(self.projects.values())
        number = 1
        while f"{project}_{letter}{number:02d}" in taken:
            number += 1
        return f"{project}_{letter}{number:02d}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second service from working with the same folder.

    Raises
    ------
    OverreadError
        One does.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / _LOCK).open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OverreadError(f"another overread readers works with {folder}; wait until it has ended") from None
        yield


def load_record(archive: Archive, folder: Path, *, study: str, project: str) -> Record:
    """Return what is remembered: in the folder, or in the key's project where another machine has gone on.

    Raises
    ------
    DataError
        It can't be read, or is of another study; or two machines have gone on, each by itself.
    """
    path = folder / RECORD
    answer = archive.get(_place(project))
    published = Record.parse(answer.text, source=_place(project)) if answer is not None else Record(study)
    found = Record.parse(path.read_text("utf-8"), source=str(path)) if path.is_file() else published
    if published.study == found.study and not found.goes_on_from(published):
        if not published.goes_on_from(found):
            raise DataError(
                f"{path} and the record in {key_project(project)} have gone apart: two services worked for this study "
                f"at once. Stop one, take {path} away, and run the other again"
            )
        found = published
    if found.study != study:
        raise DataError(f"{folder} holds the record of study {found.study}, not of {study}; take that study's folder")
    return found


def save_record(folder: Path, record: Record) -> None:
    """Write it to the folder, as a whole."""
    beside = folder / f"{RECORD}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(record.text())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / RECORD)


def publish_record(archive: Archive, project: str, record: Record) -> None:
    """Keep a copy in the key's project, if it is not the same already."""
    answer = archive.get(_place(project))
    if answer is not None and answer.text == record.text():
        return
    query = {"inbody": "true", "overwrite": "true", "format": "JSON", "content": "RECORD"}
    archive.send(Request("PUT", _place(project), query, content=record.text().encode()))


def moment(text: str) -> datetime:
    """Read a time as pages write it.

    Raises
    ------
    DataError
        It is none, or has no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{text[:40]!r} is no time") from None
    if found.tzinfo is None:
        raise DataError(f"{text[:40]!r} has no time zone")
    return found


def _place(project: str) -> str:
    return f"/data/projects/{quote(key_project(project))}/resources/{KEY_RESOURCE}/files/{RECORD}"
