"""A home's database is brought to the tables that this version of Overread needs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from overread.hub import migrations
from overread.hub.database import open_engine, url_of
from overread.hub.layout import Layout, sync_file, sync_folder

if TYPE_CHECKING:
    from overread.hub.config import HubConfig


def upgrade(config: HubConfig) -> Path | None:
    """Upgrade the database of a hub that does not run, if it needs it. One that is upgraded already is let be.

    Returns
    -------
    pathlib.Path or None
        The copy of SQLite's file that was made before; None if nothing was done, or for Postgres.
    """
    layout = Layout(config.home.resolve())
    engine = open_engine(config.database or url_of(layout.database))
    try:
        with engine.connect() as connection:
            outdated = migrations.state_of(connection) is migrations.State.OUTDATED
            version = migrations.version_of(connection)
        if not outdated:
            return None
        copy = None
        if not config.database:
            copy = layout.home / f"{layout.database.name}.before-{migrations.newest()}-was-{version}"
            copy_sqlite(layout.database, copy)
        migrations.upgrade(engine)
    finally:
        engine.dispose()
    return copy


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database that others may be writing to, as it is at one moment; the copy is synced."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(partial)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    sync_file(partial)
    partial.replace(target)
    sync_folder(target.parent)
