"""Old lines of the audit trail are put away, not lost; failed logins are forgotten in time."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from overread.hub.app import assemble
from overread.hub.audit import Entry, note
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.errors import HubError
from overread.hub.models import AuditEvent, SiteSetting, User
from overread.hub.policy import check_preference
from overread.hub.upkeep import housekeeping
from overread.hub.upkeep.housekeeping import Housekeeping

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def hub_with_lines(home: Path, *, retention: str) -> Hub:
    hub = assemble(Hub(HubConfig(home=home, dicom_port=0)))
    with hub.database.write() as db:
        db.add(SiteSetting(name="auditRetention", value=json.dumps(retention)))
        for days in (400, 399, 10, 1):
            note(db, Entry("ada", "view", item=f"{days} days ago", time=NOW - timedelta(days=days)))
    return hub


def items_of(hub: Hub) -> list[str]:
    with hub.database.read() as db:
        return list(db.scalars(select(AuditEvent.item).order_by(AuditEvent.pk)))


def put_away(hub: Hub) -> list[str]:
    files = sorted((hub.layout.audit / "pruned").glob("*.jsonl.gz"))
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
    return [json.loads(line)["item"] for line in lines]


def test_old_lines_are_put_away_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 1)
    hub = hub_with_lines(tmp_path, retention="365 days")
    Housekeeping(hub, now=lambda: NOW).look()
    assert put_away(hub) == ["400 days ago", "399 days ago"]
    assert items_of(hub) == ["10 days ago", "1 days ago", "audit trail", "audit trail"]
    hub.database.close()


def test_without_a_limit_all_lines_stay(tmp_path: Path) -> None:
    hub = hub_with_lines(tmp_path, retention="")
    Housekeeping(hub, now=lambda: NOW).look()
    assert put_away(hub) == []
    assert len(items_of(hub)) == 4
    hub.database.close()


def test_no_line_leaves_the_database_when_its_file_can_not_be_written(tmp_path: Path) -> None:
    hub = hub_with_lines(tmp_path, retention="365 days")
    (hub.layout.audit / "pruned").write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        Housekeeping(hub, now=lambda: NOW).look()
    assert len(items_of(hub)) == 4
    hub.database.close()


def test_failed_logins_are_counted_anew_but_a_lock_lasts(tmp_path: Path) -> None:
    hub = assemble(Hub(HubConfig(home=tmp_path, dicom_port=0)))
    locked_until = NOW + timedelta(minutes=5)
    with hub.database.write() as db:
        db.add(User(login="ada", password_hash="x", failed_logins=3))
        db.add(User(login="eve", password_hash="x", failed_logins=20, locked_until=locked_until))
    clock = [0.0]
    keeper = Housekeeping(hub, clock=lambda: clock[0], now=lambda: NOW)

    def counts() -> dict[str, int]:
        with hub.database.read() as db:
            return {user.login: user.failed_logins for user in db.scalars(select(User))}

    clock[0] = 3599.0
    keeper.look()
    assert counts() == {"ada": 3, "eve": 20}
    clock[0] = 3600.0
    keeper.look()
    assert counts() == {"ada": 0, "eve": 20}
    hub.database.close()


def test_the_limit_is_a_day_or_more() -> None:
    check_preference("auditRetention", "")
    check_preference("auditRetention", "90 days")
    for wrong in ("5 minutes", "for ever"):
        with pytest.raises(HubError):
            check_preference("auditRetention", wrong)
