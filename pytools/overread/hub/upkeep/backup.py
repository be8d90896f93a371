"""A home is copied while its hub serves, and made anew from such a copy.

A backup is a folder: ``database.sqlite`` or ``database.dump`` (Postgres), ``home/`` with the files, ``files.tsv`` with
their MD5 (as in the database, so that both can be compared), and ``backup.json``, which is written last: without it a
backup is not whole. A restored home holds ``restoring`` until it is whole, and no hub serves from it before.

The database comes first, then the files that it names, so a file is never missing for being too new. What was moved
or replaced meanwhile is missing or differs: then a newer copy of the database is made, and what it names besides is
copied, until both agree. The receiver's spool comes before the database: an object that lies in it is copied from
there, or known to the database already. So do the lines of the audit trail.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import make_url, text

from overread.errors import OverreadError
from overread.hub import migrations
from overread.hub.database import Database, open_engine, url_of
from overread.hub.faults import is_full
from overread.hub.layout import sync_file, sync_folder
from overread.hub.upkeep.inventory import Named, named_files
from overread.hub.upkeep.upgrade import copy_sqlite

if TYPE_CHECKING:
    from overread.hub.core import Hub

MARK: Final = "restoring"
"""Name of the file that a half restored home holds."""
_LAST, _LIST, _SQLITE, _DUMP = "backup.json", "files.tsv", "database.sqlite", "database.dump"
_NOTED: Final = "backups.jsonl"
"""In the home: a line for each backup that was made of it."""
_SHOWN: Final = 20
_WHOLE: Final = ("auth", "plugins", "refused", "runs", "audit/pruned")
_BEFORE: Final = ("spool/ready", "audit")
_ROUNDS: Final = 20
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Backup:
    """What a backup holds: number of files and bytes of theirs, when it was made, and of which database."""

    files: int
    size: int
    created: str
    database: str
    tables: str


def make_backup(hub: Hub, target: Path) -> Backup:
    """Copy a hub's home to the new folder `target`. The hub may serve meanwhile.

    Raises
    ------
    OverreadError
        `target` holds something, a file is damaged, the hub changes faster than it can be copied, or a disk is full.
        Nothing is left in `target` then.
    """
    if target.exists() and any(target.iterdir()):
        raise OverreadError(f"{target} is not empty: name a new folder.")
    try:
        return _make_backup(hub, target)
    except Exception as problem:
        for path in list(target.iterdir()) if target.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not is_full(problem) and not isinstance(problem, sqlite3.OperationalError):
            raise
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise OverreadError(
            f"The backup could not be written to {target} ({why}): nothing of it was left there. Free space, or name a"
            " folder on another disk."
        ) from problem


def _make_backup(hub: Hub, target: Path) -> Backup:
    copied: dict[str, tuple[int, str]] = {}
    (target / "home").mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)
    for _ in range(_ROUNDS):
        for folder in _BEFORE:
            _copy_below(hub, folder, target, copied)
        named = _copy_database(hub, target)
        if not _copy_named(hub, named, target, copied):
            break
    else:
        raise OverreadError("Files that the database names can't be copied as it has them: run overread hub check.")
    for path in set(copied) - set(named):
        if not path.startswith(_BEFORE):
            (target / "home" / path).unlink()
            del copied[path]
    for folder in _WHOLE:
        _copy_below(hub, folder, target, copied)
    lines = (f"{digest}\t{size}\t{json.dumps(path)}\n" for path, (size, digest) in sorted(copied.items()))
    _write(target / _LIST, "".join(lines))
    backup = Backup(
        files=len(copied),
        size=sum(size for size, _ in copied.values()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        database="postgres" if hub.database.is_postgres else "sqlite",
        tables=migrations.newest(),
    )
    _write(target / _LAST, json.dumps(backup.__dict__))
    sync_folder(target)
    with (hub.layout.home / _NOTED).open("a", encoding="utf-8") as noted:
        noted.write(json.dumps(backup.__dict__ | {"folder": str(target.resolve())}) + "\n")
    return backup


def past_backups(home: Path) -> list[dict[str, Any]]:
    """Return the last backups that were made of a home, the newest first, with folder and whether that is there."""
    path = home / _NOTED
    lines = path.read_text("utf-8").splitlines()[-_SHOWN:] if path.exists() else []
    found = [json.loads(line) for line in reversed(lines) if line.endswith("}")]
    return [one | {"present": (Path(one["folder"]) / _LAST).exists()} for one in found]


def _copy_database(hub: Hub, target: Path) -> dict[str, Named]:
    """Copy the database as it is at one moment; return the files that it names then."""
    if not hub.database.is_postgres:
        copy = target / _SQLITE
        copy_sqlite(hub.layout.database, copy)
        database = Database(url_of(copy))
        try:
            with database.read() as db:
                named = {one.path: one for one in named_files(db, hub) if isinstance(one, Named)}
        finally:
            database.close()
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        return named
    with hub.database.read() as db:
        snapshot = db.scalar(text("SELECT pg_export_snapshot()"))
        _run_postgres("pg_dump", hub.config.database, "--format=custom", f"--snapshot={snapshot}",
                      f"--file={target / _DUMP}")  # fmt: skip
        return {one.path: one for one in named_files(db, hub) if isinstance(one, Named)}


def _copy_named(hub: Hub, named: dict[str, Named], target: Path, copied: dict[str, tuple[int, str]]) -> list[str]:
    """Copy what is named and not copied yet; return what is not there as it is named."""
    missing = []
    for path, one in named.items():
        if copied.get(path) == (one.size, one.digest):
            continue
        found = _copy(hub.layout.home / path, target / "home" / path)
        if found is not None:
            copied[path] = found
        if one.needed and found != (one.size, one.digest):
            missing.append(path)
    return missing


def _copy_below(hub: Hub, folder: str, target: Path, copied: dict[str, tuple[int, str]]) -> None:
    for path in _files(hub.layout.home / folder):
        name = path.relative_to(hub.layout.home).as_posix()
        if name not in copied and (found := _copy(path, target / "home" / name)) is not None:
            copied[name] = found


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.is_file():
                yield path


def _copy(source: Path, target: Path) -> tuple[int, str] | None:
    """Copy a file, synced; return its size and MD5, None if it is gone."""
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        with source.open("rb") as reading:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as writing:
                while piece := reading.read(_CHUNK):
                    digest.update(piece)
                    size += len(piece)
                    writing.write(piece)
                writing.flush()
                os.fchmod(
                    writing.fileno(), stat.S_IMODE(os.fstat(reading.fileno()).st_mode)
                )  # source may be gone by now
                os.fsync(writing.fileno())
    except FileNotFoundError:
        return None
    return size, digest.hexdigest()


def restore(source: Path, home: Path, *, database: str = "") -> Backup:
    """Make the home `home` from a backup, and compare every file with its MD5.

    Parameters
    ----------
    source
        The backup.
    home
        An empty folder, or none.
    database
        URL of an empty Postgres database, for a backup of one; "" for SQLite.

    Raises
    ------
    OverreadError
        The backup is not whole or damaged, `home` or the database holds something.
    """
    try:
        backup = Backup(**json.loads((source / _LAST).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise OverreadError(f"{source} is no whole backup: it has no {_LAST}.") from None
    except (ValueError, TypeError):
        raise OverreadError(f"{source / _LAST} can't be read: the backup is damaged.") from None
    if backup.tables > migrations.newest():
        raise OverreadError(f"The backup is of a newer Overread (tables {backup.tables}): use that one.")
    if home.exists() and any(home.iterdir()):
        raise OverreadError(f"{home} is not empty: name a new folder.")
    if (backup.database == "postgres") != bool(database):
        how = "give --database with the URL of an empty one" if not database else "leave out --database"
        raise OverreadError(f"The backup is of a hub with {backup.database}: {how}.")
    if database:
        _check_empty(database)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    _write(home / MARK, f"from {source}\n")
    for line in (source / _LIST).read_text("utf-8").splitlines():
        digest, size, name = line.split("\t")
        path = json.loads(name)
        if _copy(source / "home" / path, home / path) != (int(size), digest):
            raise OverreadError(f"The backup is damaged: {path} is not the file that was copied.")
    if database:
        _run_postgres("pg_restore", database, "--no-owner", "--exit-on-error", str(source / _DUMP))
    else:
        _copy(source / _SQLITE, home / "hub.sqlite")
    (home / MARK).unlink()
    sync_folder(home)
    return backup


def _check_empty(url: str) -> None:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if migrations.state_of(connection) is not migrations.State.EMPTY:
                raise OverreadError("The database holds a hub's tables: name an empty one.")
    finally:
        engine.dispose()


def _run_postgres(program: str, url: str, *options: str) -> None:
    """Run one of Postgres' own programs; a password goes by the environment."""
    parsed = make_url(url)
    environment = dict(os.environ)
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)
    plain = parsed.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    try:
        done = subprocess.run(
            [program, f"--dbname={plain}", *options], env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise OverreadError(f"{program} is not installed: it comes with Postgres' client programs.") from None
    if done.returncode:
        raise OverreadError(f"{program} failed: {done.stderr.strip().partition(chr(10))[0]}")


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(content, "utf-8")
    sync_file(partial)
    partial.replace(path)
    sync_folder(path.parent)
