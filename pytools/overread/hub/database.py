"""Engine and transactions.

A transaction says at its start whether it writes. SQLite lets one writer in at a time: a writer takes the lock at
once (``BEGIN IMMEDIATE``), so that no transaction that began by reading fails later for a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.orm import Session

from overread.hub.models import Base, Sequence

_BUSY_TIMEOUT_MS = 60_000


def open_engine(url: str) -> Engine:
    """Open the database at `url` and make what is missing of its tables."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    Base.metadata.create_all(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("overread_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Database:
    """Hands out transactions on one engine."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        # SQLite lets writers that wait sleep and try again, up to 0.1 s each time, and some wait for ever. Threads of
        # one process rather queue here.
        self._writing = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Begin a transaction that only reads. Nothing of it is kept."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Begin a transaction that is kept when the block ends well, and forgotten when it raises.

        Callables given to `after_commit` run once it is kept, those given to `undo` if it is not.
        """
        with Session(self.engine.execution_options(overread_writes=True), expire_on_commit=False) as session:
            try:
                with self._writing, session.begin():
                    yield session
            except BaseException:
                for action in reversed(session.info.pop("undo", [])):
                    action()
                raise
            for action in session.info.pop("after_commit", []):
                action()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def after_commit(db: Session, action: Callable[[], None]) -> None:
    """Run `action` once the transaction of `db` is kept, never otherwise."""
    db.info.setdefault("after_commit", []).append(action)


def undo(db: Session, action: Callable[[], None]) -> None:
    """Run `action` if the transaction of `db` is not kept: what was done to files is put back, the last thing first."""
    db.info.setdefault("undo", []).append(action)


def next_number(db: Session, name: str) -> int:
    """Return the next number of the counter `name`, beginning at 1."""
    row = db.scalar(select(Sequence).where(Sequence.name == name))
    if row is None:
        row = Sequence(name=name, value=0)
        db.add(row)
    row.value += 1
    db.flush()
    return row.value
