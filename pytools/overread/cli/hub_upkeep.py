"""``overread hub backup``, ``restore``, ``upgrade`` and ``check``: what an administrator does to a home."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from overread.errors import OverreadError

_LOOK_AGAIN_S = 2.0


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--home``."""
    return click.option(
        "--home", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of all the hub keeps."
    )(function)


def database_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--database``."""
    return click.option(
        "--database",
        default="",
        envvar="OVERREAD_DATABASE_URL",
        metavar="URL",
        help="Postgres instead of SQLite in the home, such as postgresql+psycopg://user@host/name "
        "(or OVERREAD_DATABASE_URL, which hides a password from the list of processes).",
    )(function)


@contextmanager
def _hub(home: Path, database: str) -> Iterator[Any]:
    from overread.hub.config import HubConfig  # noqa: PLC0415 - `overread --help` stays light
    from overread.hub.core import Hub  # noqa: PLC0415

    if not (home / "archive").is_dir():
        raise OverreadError(f"{home} is no hub's home.")
    hub = Hub(HubConfig(home=home, database=database))
    try:
        yield hub
    finally:
        hub.database.close()


@click.command("backup")
@home_option
@database_option
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A new folder for the backup.")
def backup(*, home: Path, database: str, target: Path) -> None:
    """Copy a home, also while its hub serves."""
    from overread.hub.upkeep.backup import make_backup  # noqa: PLC0415

    with _hub(home, database) as hub:
        made = make_backup(hub, target)
    click.echo(f"{made.files} files, {made.size} bytes and the database are in {target}")


@click.command("restore")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True), required=True, help="A backup's folder."
)
@home_option
@database_option
def restore(*, source: Path, home: Path, database: str) -> None:
    """Make a home from a backup, and compare all digests."""
    from overread.hub.upkeep.backup import restore as make  # noqa: PLC0415

    made = make(source, home, database=database)
    click.echo(f"{made.files} files and the database as of {made.created} are in {home}")


@click.command("upgrade")
@home_option
@database_option
def upgrade(*, home: Path, database: str) -> None:
    """Bring the database of a stopped hub up to this version."""
    from overread.cli.hub import alone_in  # noqa: PLC0415
    from overread.hub.config import HubConfig  # noqa: PLC0415
    from overread.hub.upkeep.upgrade import upgrade as bring  # noqa: PLC0415

    with alone_in(home):
        copy = bring(HubConfig(home=home, database=database))
    click.echo("The database is up to date." + (f" As it was before, it is in {copy}." if copy else ""))


@click.command("check")
@home_option
@database_option
@click.option("--digests", is_flag=True, help="Also read every file and compare its MD5.")
def check(*, home: Path, database: str, digests: bool) -> None:
    """Compare database, ledger and disk; exit code 1 if they disagree. Nothing is changed."""
    from overread.hub.upkeep.check import check as look  # noqa: PLC0415

    with _hub(home, database) as hub:
        found = look(hub, digests=digests)
        if found:  # a hub that serves may have been in the middle of something
            time.sleep(_LOOK_AGAIN_S)
            found = sorted(set(found) & set(look(hub, digests=digests)))
    for finding in found:
        click.echo(str(finding))
    if found:
        raise OverreadError(f"{len(found)} things do not agree.")
    click.echo("Database, ledger and disk agree.")
