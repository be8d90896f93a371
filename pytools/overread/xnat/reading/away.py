"""Copies that a reader may not reach now: they are in the key's project, which has owners only.

In shadow that is every copy that shows a result. Where a reader meets a case again (the other arm, a repeat, another
source), it is every copy that he has sent as well: he could look up what he said. A copy goes there and back as a
whole, with its answers, by XNAT's own change of the project to which a session belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from overread.study.reading import Reading
from overread.xnat.connection import Archive, Request
from overread.xnat.reading.cases import listed_ids, rows
from overread.xnat.reading.record import Record


def hides_sent(reading: Reading) -> bool:
    """Tell whether a reader may meet a case again, and so must not look up what he said of it."""
    return reading.crossover is not None or reading.repeats is not None or len(reading.sources) > 1


def put_away(archive: Archive, record: Record, *, holder: str, home: Mapping[str, str], wanted: frozenset[str]) -> None:
    """Move copies so that those of `wanted`, and no others, are away.

    It may be cut off and called again. A reading of `wanted` need not have a copy yet.

    Parameters
    ----------
    archive
        The server.
    record
        Its ``away`` is brought up to date; whoever calls saves it.
    holder
        The key's project.
    home
        Code -> the reading project to which the copy belongs.
    wanted
        Codes of the readings that are to be away.
    """
    going = wanted - set(record.away)
    for project in sorted({home[code] for code in going}):
        there = _sessions(archive, project)
        for code in sorted(going & there.keys()):
            _move(archive, there[code], holder)
    coming = [code for code in record.away if code not in wanted]
    there = _sessions(archive, holder) if coming else {}
    for code in coming:
        if code in there and code in home:
            _move(archive, there[code], home[code])
    record.away = sorted(wanted)


def _sessions(archive: Archive, project: str) -> dict[str, str]:
    """Return label -> ID of a project's sessions."""
    return dict(listed_ids(rows(archive, f"/data/projects/{quote(project)}/experiments", {"columns": "ID,label"})))


def _move(archive: Archive, session: str, project: str) -> None:
    archive.send(Request("PUT", f"/data/experiments/{quote(session)}/projects/{quote(project)}", {"primary": "true"}))
