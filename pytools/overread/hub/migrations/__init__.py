"""Versions of the tables: which one a database has, and the way to the one that this code needs.

Each version is a module in ``versions/`` (Alembic). A database's version stands in its table ``alembic_version``; one
with tables but without a version is Overread 0.1.0's, which kept none. An empty database gets the tables of the models
at once. Alembic itself is imported when there is something to migrate, not at every start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert, inspect, select

from overread.errors import OverreadError
from overread.hub.models import Base

if TYPE_CHECKING:
    from alembic.config import Config

FIRST: Final = "0001"
"""Version of tables that say none."""
_FOLDER: Final = Path(__file__).parent
_FILE: Final = re.compile(r"v(\d{4})_\w+\.py")
_VERSION: Final = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True, nullable=False)
)


class State(Enum):
    """How a database's tables stand to this code."""

    EMPTY = "empty"
    CURRENT = "current"
    OUTDATED = "outdated"
    NEWER = "newer"


class OutdatedError(OverreadError):
    """The tables are of an older version of Overread: they must be upgraded first."""


def newest() -> str:
    """Return the version that this code needs, such as ``0002``."""
    return max(found[1] for path in (_FOLDER / "versions").iterdir() if (found := _FILE.fullmatch(path.name)))


def version_of(connection: Connection) -> str | None:
    """Return the version of a database's tables; None if it has none."""
    tables = set(inspect(connection).get_table_names())
    if _VERSION.name in tables:
        found = connection.scalar(select(_VERSION.c.version_num))
        if found is not None:
            return str(found)
    return FIRST if Base.metadata.tables.keys() & tables else None


def state_of(connection: Connection) -> State:
    """Say how a database's tables stand to this code."""
    version = version_of(connection)
    if version is None:
        return State.EMPTY
    if version == newest():
        return State.CURRENT
    return State.OUTDATED if version < newest() else State.NEWER


def ensure_current(engine: Engine) -> None:
    """Give an empty database its tables, and refuse one of another version.

    Raises
    ------
    OutdatedError
        It is older.
    OverreadError
        It is newer.
    """
    with engine.connect() as connection:
        state, version = state_of(connection), version_of(connection)
    if state is State.NEWER:
        raise OverreadError(
            f"The database is of a newer Overread (tables {version}, this one knows {newest()}): start that one."
        )
    if state is State.OUTDATED:
        raise OutdatedError(
            f"The database's tables are of an older Overread ({version}, this one needs {newest()}): "
            "make a backup (overread hub backup), then run overread hub upgrade."
        )
    if state is State.EMPTY:
        with engine.execution_options(overread_writes=True).begin() as connection:
            if state_of(connection) is State.EMPTY:  # another process may have been faster
                create(connection)


def create(connection: Connection) -> None:
    """Make all tables, as the newest version has them."""
    Base.metadata.create_all(connection)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(insert(_VERSION).values(version_num=newest()))


def upgrade(engine: Engine, *, to: str = "head") -> None:
    """Bring a database's tables to a version, in one transaction."""
    from alembic import command  # noqa: PLC0415 - takes a tenth of a second

    with engine.execution_options(overread_writes=True).connect() as connection, _unchecked(connection):
        config = alembic_config()
        config.attributes["connection"] = connection
        if version_of(connection) == FIRST and not inspect(connection).has_table(_VERSION.name):
            _VERSION.create(connection)
            connection.execute(insert(_VERSION).values(version_num=FIRST))
        command.upgrade(config, to)


@contextmanager
def _unchecked(connection: Connection) -> Iterator[None]:
    """Keep what is done if it ends well. Let SQLite check foreign keys at the end alone.

    A table that SQLite makes anew takes the place of one that others point to.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:  # it hears this between transactions only
        for statement in ("COMMIT", "PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE"):
            connection.exec_driver_sql(statement)
    try:
        yield
        if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise OverreadError("The upgrade was not kept: rows would point to nothing. The database is as it was.")
        connection.commit()
    finally:
        connection.rollback()
        if is_sqlite:
            for statement in ("COMMIT", "PRAGMA foreign_keys=ON", "BEGIN"):
                connection.exec_driver_sql(statement)


def alembic_config() -> Config:
    """Return Alembic's settings."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return config
