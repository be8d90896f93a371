from __future__ import annotations

from datetime import UTC, datetime

import pytest

from overread.errors import DataError
from overread.study.modes import ModeChange, changes_text, mode_at, read_changes

CHANGES = (
    ModeChange("2026-03-01T10:00:00+00:00", "shadow", "assist", "ada", "the pilot went well"),
    ModeChange("2026-04-01T10:00:00+00:00", "assist", "shadow", "bob", "a new scanner came", (("rita", "member"),)),
)


@pytest.mark.parametrize(
    ("when", "mode"),
    [
        ("2026-02-28T23:59:00+00:00", "shadow"),
        ("2026-03-01T10:00:00+00:00", "assist"),
        ("2026-03-01T10:30:00+01:00", "shadow"),
        ("2026-03-31T10:00:00Z", "assist"),
        (datetime(2026, 4, 2, tzinfo=UTC), "shadow"),
        ("2026-04-02 08:00:00.123", "shadow"),
    ],
)
def test_mode_at_a_time(when: datetime | str, mode: str) -> None:
    assert mode_at(when, CHANGES, now="shadow") == mode


def test_without_changes_it_always_was_as_it_is() -> None:
    assert mode_at("2020-01-01T00:00:00Z", (), now="live") == "live"
    assert mode_at("nonsense", CHANGES, now="live") == "live"


def test_changes_survive_being_kept() -> None:
    assert read_changes(changes_text(CHANGES), source="x") == CHANGES
    assert read_changes("", source="x") == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"changes": [{}]}', '{"changes": [{"at": 1}]}', '{"changes": 3}'])
def test_a_broken_log_is_said_to_be_one(text: str) -> None:
    with pytest.raises(DataError, match="is no log of modes"):
        read_changes(text, source="x")
