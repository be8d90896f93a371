"""Archives exams as soon as they are whole, on an XNAT that would wait minutes: over REST alone.

XNAT leaves a session in RECEIVING until nothing has come for whole minutes, one value for all. Here each session of a
study's project is judged by the study's own rules (`overread.study.completion`) and archived at once. It keeps nothing:
what it knows of a session it sees anew after a restart, and two of them at a time only get in each other's way.

Times are those of this machine since a change was seen; of the server's clock only differences are used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydicom.datadict import tag_for_keyword

from overread.errors import ArchiveError, Conflict, Denied, NotFound, SpecError
from overread.study.completion import decide
from overread.study.manifest import StudyManifest, load_stored_study
from overread.study.rules import accepts, needed_keywords
from overread.study.selection import KEYWORDS, SeriesSummary
from overread.xnat.connection import Archive, Request
from overread.xnat.state import SITE_CONFIG, STUDY_CONFIG

_RECEIVING, _READY = "RECEIVING", "READY"
_SERIES_UID = "SeriesInstanceUID"
_FRAMES = "NumberOfFrames"


@dataclass(frozen=True)
class Told:
    """What was done with a session, or why nothing was.

    Parameters
    ----------
    session
        Its path in the prearchive: no name of a patient.
    what
        ``archived``, ``waits``, ``left``.
    reason
        In words.
    """

    session: str
    what: str
    reason: str


@dataclass
class _Seen:
    """What is known of a session in the prearchive."""

    mark: str
    changed_at: float
    age_s: float
    judged: str = ""
    told: str = ""
    receiving: bool = True


@dataclass
class Watcher:
    """Looks at the prearchive, again and again.

    Parameters
    ----------
    studies
        The studies whose sessions are followed; None: all that the server's table names, read anew at each look.
    """

    studies: Sequence[StudyManifest] | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def look(self, archive: Archive, *, now: float) -> tuple[Told, ...]:
        """Look once at all studies, and archive what is whole.

        Parameters
        ----------
        archive
            The server.
        now
            Seconds on a clock that is never set.

        Returns
        -------
        tuple of Told
            What is new since the last look.

        Raises
        ------
        Unavailable
            The server went away; look again later.
        Denied
            The user may not see the prearchive of a study.
        """
        told: list[Told] = []
        there: set[str] = set()
        for study in self.studies if self.studies is not None else site_studies(archive):
            for row in _rows(archive, f"/data/prearchive/projects/{quote(study.project)}"):
                url = str(row.get("url") or "")
                if row.get("project") != study.project or not url.startswith(f"/prearchive/projects/{study.project}/"):
                    continue
                there.add(url)
                found = self._session(archive, study, row, url, now)
                seen = self._seen[url]
                if found is not None and seen.told != f"{found.what} {found.reason}":
                    seen.told = f"{found.what} {found.reason}"
                    told.append(found)
        self._seen = {url: seen for url, seen in self._seen.items() if url in there}
        return tuple(told)

    def _session(
        self, archive: Archive, study: StudyManifest, row: Mapping[str, Any], url: str, now: float
    ) -> Told | None:
        mark, status = f"{row.get('lastmod')} {row.get('status') == _RECEIVING}", str(row.get("status"))
        seen = self._seen.get(url)
        if seen is None:
            seen = self._seen[url] = _Seen(mark, now, _age_s(row))
        elif mark not in {seen.mark, seen.judged}:
            seen.mark, seen.changed_at, seen.age_s = mark, now, _age_s(row)
        seen.receiving = status == _RECEIVING
        if status not in {_RECEIVING, _READY}:
            return None  # somebody is at it, or a person must look: XNAT says why
        if str(row.get("prevent_auto_commit")).lower() == "true":
            return Told(url, "left", "it is kept open until somebody commits it")
        complete = study.arrival.complete
        quiet_s = now - seen.changed_at
        if quiet_s < complete.quiet_s and seen.age_s + quiet_s < complete.give_up_s:
            return None
        try:
            return self._judge(archive, study, url, now)
        except NotFound:
            return None  # archived or moved by somebody else, just now
        except Conflict as error:
            return Told(url, "left", str(error))

    def _judge(self, archive: Archive, study: StudyManifest, url: str, now: float) -> Told:
        seen = self._seen[url]
        if seen.receiving and seen.judged != seen.mark:
            # what series there are is known once XNAT has read them into the session's document
            archive.send(Request("POST", f"/data{url}", {"action": "build"}))
            seen.judged = seen.mark = _mark(archive, url) or seen.mark
        keywords = needed_keywords(study) | KEYWORDS
        series = tuple(summary for _, summary in scan_series(archive, url, keywords))
        accepted = accepts(study.arrival.accept, [one.header for one in series])
        if not accepted.ok:
            return Told(url, "left", f"study {study.id} does not take it: {accepted.reason}")
        decision = decide(
            study.arrival.complete, study.arrival.series, series,
            now=now, first_object_at=seen.changed_at - seen.age_s, last_object_at=seen.changed_at,
        )  # fmt: skip
        if decision.state == "wait":
            return Told(url, "waits", decision.reason)
        archive.send(Request("POST", f"/data{url}", {"action": "commit", "auto-archive": "true"}))
        return Told(url, "archived", decision.reason)


def site_studies(archive: Archive) -> Iterator[StudyManifest]:
    """Yield the studies that `overread study apply` has put on a server.

    Raises
    ------
    ArchiveError
        The site's table, or the manifest of a study, can't be read.
    """
    query = {"contents": "true", "accept-not-found": "true"}
    answer = archive.get(f"/data/config/{SITE_CONFIG}", query)
    table = answer.value() if answer else {}
    if not isinstance(table, dict):
        raise ArchiveError(f"/data/config/{SITE_CONFIG} is no table of studies; apply a study again")
    for name, entry in sorted(table.items()):
        project = entry.get("project") if isinstance(entry, dict) else None
        stored = archive.get(f"/data/projects/{quote(str(project))}/config/{STUDY_CONFIG}", query)
        if stored is None or not stored.text.strip():
            continue
        try:
            yield load_stored_study(stored.text, source=f"study {name}")
        except SpecError as error:
            raise ArchiveError(f"the stored manifest of {name} can't be read: {error}; apply the study again") from None


def watch(
    connect: Callable[[Callable[[Archive], None]], None],
    watcher: Watcher,
    *,
    every_s: float,
    tell: Callable[[Told | str], None],
    stopped: Callable[[float], bool],
) -> None:
    """Look until it is stopped; a network or a server that is away for a while is waited for.

    Parameters
    ----------
    connect
        Opens a connection and calls what it is given with it.
    watcher
        Who looks.
    every_s
        Seconds between two looks; after a fault up to sixteen times as long.
    tell
        Is called with each thing that is new.
    stopped
        Waits so many seconds, and returns True when it is time to end.

    Raises
    ------
    Denied
        The login is refused at the first time.
    """
    faults, once_in = 0, False

    def looking(archive: Archive) -> None:
        nonlocal faults, once_in
        once_in = True
        while True:
            for found in watcher.look(archive, now=time.monotonic()):
                tell(found)
            faults = 0
            if stopped(every_s):
                raise _Stop

    while True:
        try:
            connect(looking)
        except _Stop:
            return
        except ArchiveError as error:
            if isinstance(error, Denied) and not once_in:
                raise
            tell(str(error))
        faults += 1
        if stopped(every_s * 2 ** min(faults, 4)):
            return


class _Stop(Exception):  # noqa: N818 - no error
    """It is time to end."""


def _mark(archive: Archive, url: str) -> str:
    row = next(iter(_rows(archive, f"/data{url}")), None)
    return f"{row.get('lastmod')} {row.get('status') == _RECEIVING}" if row else ""


def _age_s(row: Mapping[str, Any]) -> float:
    """Seconds from the first to the last change of a session, on the server's clock."""
    try:
        first, last = (datetime.fromisoformat(str(row.get(key))) for key in ("uploaded", "lastmod"))
    except ValueError:
        return 0.0
    return max(0.0, (last - first).total_seconds())


def scan_series(archive: Archive, url: str, keywords: frozenset[str]) -> Iterator[tuple[str, SeriesSummary]]:
    """Read what a study's rules need of each scan of a session.

    Parameters
    ----------
    archive
        The server.
    url
        The session, in the prearchive (``/prearchive/projects/P/…``) or the archive (``/archive/projects/P/…``).
    keywords
        Of DICOM, that the rules look at.

    Yields
    ------
    str and SeriesSummary
        The scan's ID, and its series.
    """
    asked = keywords | {_SERIES_UID, _FRAMES}
    wanted = {f"{tag >> 16:04X}{tag & 0xFFFF:04X}": k for k in asked if (tag := tag_for_keyword(k))}
    for scan in _rows(archive, f"/data{url}/scans"):
        name = quote(str(scan.get("ID")))
        files = _rows(archive, f"/data{url}/scans/{name}/resources/DICOM/files")
        header: dict[str, Any] = {}
        for row in _rows(archive, "/data/services/dicomdump", {"src": f"{url}/scans/{name}"}):
            digits = "".join(c for c in str(row.get("tag1") or "") if c.isalnum()).upper()
            if digits in wanted and not row.get("tag2"):
                value = str(row.get("value") or "")
                header[wanted[digits]] = value.split("\\") if "\\" in value else value
        uid = str(header.pop(_SERIES_UID, "") or name)
        # The first instance speaks for all: rules count the slices of a multi-frame object as images.
        frames = str(header.get(_FRAMES) or "")
        each = int(frames) if re.fullmatch(r"[1-9]\d{0,4}", frames) else 1
        yield str(scan.get("ID")), SeriesSummary(uid, len(files) * each, header)


def _rows(archive: Archive, path: str, query: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
    answer = archive.get(path, {"format": "json", **(query or {})})
    document = answer.value() if answer else {}
    rows = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in rows if isinstance(row, Mapping)]
