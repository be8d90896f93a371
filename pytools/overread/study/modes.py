"""In which mode a study was when: shadow, assist or live; who changed it, and why.

The changes stand in the study's project (configuration ``overread/modes``), so results and answers from before and
after a change can be told apart by their time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from overread.errors import DataError

Mode = Literal["shadow", "assist", "live"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
MODES_CONFIG: Final = "overread/modes"
_VERSION: Final = 1


@dataclass(frozen=True)
class ModeChange:
    """One change of mode.

    Parameters
    ----------
    at
        When, ISO 8601 in UTC.
    before, after
        From which mode to which.
    by, reason
        Login, and why.
    withdrawn
        (login, group) of those who lost their role in the study's project when it went into shadow.
    """

    at: str
    before: str
    after: str
    by: str
    reason: str
    withdrawn: tuple[tuple[str, str], ...] = ()


def read_changes(text: str | None, *, source: str) -> tuple[ModeChange, ...]:
    """Read the changes of a study, oldest first; none where nothing is kept.

    Raises
    ------
    DataError
        It is no such document.
    """
    if not text or not text.strip():
        return ()
    try:
        document = json.loads(text)
        rows = [
            ModeChange(**{**row, "withdrawn": tuple((str(a), str(b)) for a, b in row["withdrawn"])})
            for row in document["changes"]
        ]
        for row in rows:
            _moment(row.at)
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{source} is no log of modes; see its former versions, and restore it") from None
    return tuple(rows)


def changes_text(changes: Sequence[ModeChange]) -> str:
    """Return changes as the document that is kept."""
    return json.dumps({"version": _VERSION, "changes": [asdict(change) for change in changes]}, indent=1)


def mode_at(when: datetime | str, changes: Sequence[ModeChange], *, now: str) -> str:
    """Return the mode in which a study was at a time.

    Parameters
    ----------
    when
        A time with its zone; one without is taken as UTC, a text that is none as now.
    changes
        Oldest first.
    now
        The mode in which the study is; it always was when nothing is kept.

    Examples
    --------
    >>> change = ModeChange("2026-03-01T10:00:00+00:00", "shadow", "assist", "ada", "the pilot went well")
    >>> mode_at("2026-02-28T23:00:00+00:00", [change], now="assist")
    'shadow'
    """
    if isinstance(when, str):
        try:
            when = _moment(when)
        except ValueError:
            return now
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    found = changes[0].before if changes else now
    for change in changes:
        if _moment(change.at) <= when:
            found = change.after
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
