"""Engine and transactions, on SQLite or Postgres.

A transaction says at its start whether it writes, and one writes at a time. On SQLite a writer takes the lock at once
(``BEGIN IMMEDIATE``), so that no transaction that began by reading fails later for a lock. On Postgres it takes an
advisory lock and then sees all that earlier writers kept: no transaction fails for another, and none has to be tried
again. Readers wait for nobody and see one state of the database from their first statement to their last.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Engine, Table, bindparam, create_engine, event, insert, make_url, update
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from overread.errors import OverreadError
from overread.hub import migrations
from overread.hub.models import Sequence

log = logging.getLogger(__name__)

_LOCK_TIMEOUT_MS: Final = 60_000
_WRITE_LOCK: Final = 0x6F766572  # Postgres' advisory lock of whoever writes: the number means nothing
_POOL_SIZE, _POOL_OVERFLOW = 10, 40  # more than there are threads that answer
_MOST_HELD: Final = 256
_COUNTERS: Final = cast("Table", Sequence.__table__)
_COUNT_UP: Final[Any] = (
    update(_COUNTERS)
    .where(_COUNTERS.c.name == bindparam("counter"))
    .values(value=_COUNTERS.c.value + 1)
    .returning(_COUNTERS.c.value)
)
_DRIVER: Final = "postgresql+psycopg"


def open_engine(url: str) -> Engine:
    """Return an engine for the database at `url`, without a look at what is in it.

    Raises
    ------
    OverreadError
        This is no URL of SQLite or of Postgres (``postgresql+psycopg://user@host/name``).
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername=_DRIVER)
        engine = _postgres(parsed) if parsed.drivername == _DRIVER else _sqlite(parsed)
    except (ArgumentError, NoSuchModuleError) as problem:
        raise OverreadError(
            "The database's URL is neither Postgres' nor SQLite's: write postgresql+psycopg://user@host/name."
        ) from problem
    except ModuleNotFoundError as problem:
        raise OverreadError(
            "Postgres needs psycopg, which is not installed; install it with: pip install 'overread[postgres]'"
        ) from problem
    event.listen(engine, "begin", _begin)
    return engine


def _postgres(url: URL) -> Engine:
    from psycopg.adapt import Loader  # noqa: PLC0415 - it comes with an extra

    class Number(Loader):
        """Postgres gives sums as numeric: back to whole numbers, as they went in."""

        def load(self, data: Any) -> int | float:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdigit() else float(text)

    engine = create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_pre_ping=True,  # Postgres may have been started anew
        json_serializer=_json_without_nul,
        connect_args={"options": f"-c lock_timeout={_LOCK_TIMEOUT_MS}"},
    )
    event.listen(engine, "connect", lambda connection, _record: connection.adapters.register_loader("numeric", Number))
    return engine


def _sqlite(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        raise ArgumentError(url.drivername)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_LOCK_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("overread_writes", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")


def _json_without_nul(value: Any) -> str:
    """Write JSON that Postgres takes: it has no NUL in text."""
    text = json.dumps(value)
    return json.dumps(_without_nul(value)) if "\\u0000" in text else text


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(one) for one in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(one) for key, one in value.items()}
    return value


class Database:
    """Hands out transactions on one engine.

    Parameters
    ----------
    url
        Where the database is. An empty one gets its tables.

    Raises
    ------
    OverreadError
        It can't be reached, or its tables are of an older or a newer version of Overread.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        try:
            migrations.ensure_current(self.engine)
        except OperationalError as problem:
            self.close()
            raise OverreadError(f"The database can't be used: {_first_line(problem)}") from problem
        except OverreadError:
            self.close()
            raise
        plain = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self.engine.execution_options(**plain) if self.is_postgres else self.engine
        # Waiting for SQLite's lock means to sleep and try again, up to 0.1 s each time, and some wait for ever; waiting
        # for Postgres' takes a connection. Threads of one process rather queue here.
        self._writing = threading.RLock()

    @property
    def is_postgres(self) -> bool:
        """Whether this is Postgres, else it is SQLite."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Begin a transaction that only reads. Nothing of it is kept."""
        with Session(self._reading) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Begin a transaction that is kept when the block ends well, and forgotten when it raises.

        Callables given to `after_commit` run once it is kept, those given to `undo` if it is not.
        """
        with Session(self.engine.execution_options(overread_writes=True), expire_on_commit=False) as session:
            held: list[object] = []  # a session forgets what nobody holds, and asks for it anew
            event.listen(session, "loaded_as_persistent", lambda _session, one: _hold(held, one))
            # Files are put in order before the next one writes: it may put its own under the same names.
            with self._writing:
                try:
                    with session.begin():
                        yield session
                except BaseException:
                    for action in reversed(session.info.pop("undo", [])):
                        action()
                    raise
                _run_all(session.info.pop("after_commit", []))
            _run_all(session.info.pop("at_leisure", []))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _run_all(actions: list[Callable[[], None]]) -> None:
    """Run what follows a transaction that is kept: one that fails neither stops the others nor makes it look lost."""
    for action in actions:
        try:
            action()
        except Exception:
            log.exception("a change is kept, but what was to follow it failed")


def _hold(held: list[object], one: object) -> None:
    if len(held) < _MOST_HELD:
        held.append(one)


def url_of(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{file}"


def _first_line(problem: OperationalError) -> str:
    return str(problem.orig).strip().partition("\n")[0]


def after_commit(db: Session, action: Callable[[], None], *, at_leisure: bool = False) -> None:
    """Run `action` once the transaction of `db` is kept, never otherwise.

    Nobody else of this process writes meanwhile, unless it is done `at_leisure`: for what takes long and touches
    nothing that another could.
    """
    db.info.setdefault("at_leisure" if at_leisure else "after_commit", []).append(action)


def undo(db: Session, action: Callable[[], None]) -> None:
    """Run `action` if the transaction of `db` is not kept: what was done to files is put back, the last thing first."""
    db.info.setdefault("undo", []).append(action)


def next_number(db: Session, name: str) -> int:
    """Return the next number of the counter `name`, beginning at 1."""
    number: int | None = db.scalar(_COUNT_UP, {"counter": name})
    if number is None:
        number = 1
        db.execute(insert(_COUNTERS).values(name=name, value=number))
    return number
