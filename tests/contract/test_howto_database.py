"""The commands of docs/how-to/database.md, run as they stand there but for folders and databases."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from helpers.archive import add_project, add_session
from helpers.postgres import shared
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.models import Project

pytestmark = pytest.mark.slow

VARIABLE = "OVERREAD_DATABASE_URL"


class Page:
    """Runs the page's commands one after the other."""

    def __init__(self, repository: Path, folder: Path) -> None:
        text = (repository / "docs/how-to/database.md").read_text("utf-8")
        self.commands = re.findall(r"^\$ overread (.+)$", text, re.MULTILINE)
        self.folder = folder

    def run(self, word: str, database: str) -> Result:
        """Run the next command, which must be `word`."""
        line = self.commands.pop(0)
        assert line.startswith(f"hub {word} "), line
        line = line.replace("/srv/overread-new", f"{self.folder}/new").replace("/srv/overread", f"{self.folder}/home")
        line = line.replace("/backup/monday", f"{self.folder}/monday")
        done = CliRunner().invoke(main, shlex.split(line), env={VARIABLE: database or None})
        assert done.exit_code == 0, done.output
        return done


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres", "pg_dump"))])
def databases(request: pytest.FixtureRequest) -> tuple[str, str]:
    """URLs of the hub's database and of an empty one."""
    return ("", "") if request.param == "sqlite" else (shared().new_database(), shared().new_database())


@pytest.fixture
def serving(databases: tuple[str, str], tmp_path: Path) -> Iterator[RunningHub]:
    running = start_hub(tmp_path, database=databases[0])
    add_project(running.hub)
    add_session(running.hub)
    yield running
    if running.thread.is_alive():
        running.stop()


def test_every_command_of_the_page(
    serving: RunningHub, databases: tuple[str, str], tmp_path: Path, repository: Path
) -> None:
    page = Page(repository, tmp_path)
    used, empty = databases
    page.run("backup", used)
    assert (tmp_path / "monday" / "backup.json").exists()
    assert "agree" in page.run("check", used).output
    page.run("restore", empty)
    assert "agree" in page.run("check", empty).output
    serving.stop()
    assert "up to date" in page.run("upgrade", used).output
    assert page.commands == []
    restored = Hub(HubConfig(home=tmp_path / "new", database=empty))
    with restored.database.read() as db:
        assert [project.id for project in db.scalars(select(Project))] == ["P"]
    restored.database.close()
