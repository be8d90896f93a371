"""Backup of a hub that serves, restore, check and upgrade of a home."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.archive import add_project, add_session
from helpers.postgres import shared
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.models import Project

FILES = {"a.txt": b"A" * 1000, "deep/b.bin": bytes(range(256)) * 50, "ö.txt": b""}
HOMES = ("sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres")))


@pytest.fixture(params=HOMES)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub with a session that has files."""
    database = shared().new_database() if request.param == "postgres" else ""
    hub = start_hub(tmp_path, database=database)
    add_project(hub.hub)
    session = add_session(hub.hub)
    with hub.client() as client:
        for name, content in FILES.items():
            where = f"/data/experiments/{session}/resources/NOTES/files/{name}"
            assert client.put(where, params={"inbody": "true"}, content=content or b"x").status_code in {200, 201}
    yield hub
    hub.stop()


def overread(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["hub", *arguments], env={"OVERREAD_DATABASE_URL": None})


def options(hub: RunningHub) -> list[str]:
    home = ["--home", str(hub.hub.config.home)]
    return [*home, "--database", hub.hub.config.database] if hub.hub.config.database else home


def test_a_backup_of_a_hub_that_serves_is_restored_whole(running: RunningHub, tmp_path: Path) -> None:
    made = overread("backup", *options(running), "--to", str(tmp_path / "backup"))
    assert made.exit_code == 0, made.output
    with running.client() as client:  # what comes later is not in it
        assert client.put("/data/projects/LATER").status_code == 200
    place = ["--home", str(tmp_path / "second" / "home")]
    database = ""
    if running.hub.config.database:
        database = shared().new_database()
        place += ["--database", database]
    restored = overread("restore", "--from", str(tmp_path / "backup"), *place)
    assert restored.exit_code == 0, restored.output
    checked = overread("check", *place, "--digests")
    assert checked.exit_code == 0, checked.output
    hub = Hub(HubConfig(home=tmp_path / "second" / "home", database=database))
    with hub.database.read() as db:
        assert db.get(Project, "P") is not None
        assert db.get(Project, "LATER") is None
    hub.database.close()
    before, after = (content_of(home) for home in (running.hub.config.home, tmp_path / "second" / "home"))
    assert before == after
    assert len(after) >= len(FILES)


def content_of(home: Path) -> dict[str, bytes]:
    """Read all files of an archive, but catalogs, which are written anew when somebody asks."""
    found = (path for path in (home / "archive").rglob("*") if path.is_file() and "_catalog" not in path.name)
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of a small hub."""
    hub = start_hub(tmp_path, database="")
    add_project(hub.hub)
    session = add_session(hub.hub)
    with hub.client() as client:
        where = f"/data/experiments/{session}/resources/NOTES/files/a.txt"
        assert client.put(where, params={"inbody": "true"}, content=b"A").status_code in {200, 201}
    assert overread("backup", "--home", str(tmp_path / "home"), "--to", str(tmp_path / "backup")).exit_code == 0
    hub.stop()
    return tmp_path / "backup"


def refused(result: Result, *words: str) -> None:
    """One line, and exit code 1."""
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1, result.output
    for word in words:
        assert word in result.output


def test_what_is_not_whole_or_not_empty_is_refused(backup: Path, tmp_path: Path) -> None:
    home = tmp_path / "new"
    refused(overread("restore", "--from", str(backup), "--home", str(backup)), "not empty")
    refused(overread("backup", "--home", str(tmp_path / "home"), "--to", str(backup)), "not empty")
    refused(overread("backup", "--home", str(tmp_path), "--to", str(tmp_path / "b2")), "no hub's home")
    (backup / "backup.json").rename(backup / "kept.json")  # as a backup that was interrupted leaves it
    refused(overread("restore", "--from", str(backup), "--home", str(home)), "no whole backup")
    assert not home.exists()


def test_a_damaged_backup_makes_a_home_that_no_hub_serves_from(backup: Path, tmp_path: Path) -> None:
    home = tmp_path / "new"
    (file,) = (backup / "home" / "archive").rglob("a.txt")
    file.write_bytes(b"B")
    refused(overread("restore", "--from", str(backup), "--home", str(home)), "damaged", "a.txt")
    refused(overread("check", "--home", str(home)), "restored in part")


def test_check_tells_what_does_not_agree(backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overread.cli.hub_upkeep._LOOK_AGAIN_S", 0)
    home = tmp_path / "home"
    (file,) = (home / "archive").rglob("a.txt")
    assert overread("check", "--home", str(home)).exit_code == 0
    file.with_name("stranger.txt").write_text("x")
    file.write_bytes(b"B")
    told = overread("check", "--home", str(home))
    assert told.exit_code == 1
    assert "stranger.txt: the file belongs to no resource" in told.output
    assert "a.txt" not in told.output, "same size: only a look at the content tells"
    assert "its MD5 is another" in overread("check", "--home", str(home), "--digests").output
    file.unlink()
    assert "a.txt: the file is missing" in overread("check", "--home", str(home)).output


def test_the_home_of_the_first_release_is_upgraded_after_a_copy(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "archive").mkdir(parents=True)
    old = sqlite3.connect(home / "hub.sqlite")
    old.executescript((Path(__file__).parent / "homes" / "0.1.0.sql").read_text())
    old.close()
    refused(overread("backup", "--home", str(home), "--to", str(tmp_path / "backup")), "overread hub upgrade")
    done = overread("upgrade", "--home", str(home))
    assert done.exit_code == 0, done.output
    (copy,) = home.glob("hub.sqlite.before-*")
    kept = sqlite3.connect(copy)
    assert not kept.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
    assert kept.execute("SELECT label FROM experiment ORDER BY id").fetchall() == [("EXAM1",), ("RESULT1",)]
    kept.close()
    assert overread("upgrade", "--home", str(home)).output == "The database is up to date.\n"
    hub = Hub(HubConfig(home=home))
    with hub.database.read() as db:
        assert db.get_one(Project, "BTS").aliases == ["brain", "tumour"]
    hub.database.close()
