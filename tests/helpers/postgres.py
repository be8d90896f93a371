"""A PostgreSQL server of Debian's for a test run, and a fresh database in it for each hub.

``--postgres`` lets every hub that a test starts keep its data there.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import psycopg

_ACCOUNT = "postgres"
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=300")
_START_TIMEOUT_S = 30.0
_numbers = itertools.count(1)


@cache
def programs() -> Path | None:
    """Return the folder of the newest server that is installed; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def why_no_postgres() -> str | None:
    """Say why no server can be started here; None if one can."""
    if programs() is None:
        return "no PostgreSQL server is installed: install Debian's postgresql"
    return None


class PostgresServer:
    """A server of its own in a temporary folder, reached by a socket in that folder. It survives nothing, on purpose.

    Its collation is a human one, so that a test sees it if the order of a list depends on it.
    """

    def __init__(self) -> None:
        found = programs()
        assert found is not None, why_no_postgres()
        self._programs = found
        # It does not run as root; as anyone else it runs as we do.
        self._user: dict[str, Any] = (
            {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self.folder = Path(tempfile.mkdtemp(prefix="overread-pg-"))
        if self._user:
            shutil.chown(self.folder, _ACCOUNT, _ACCOUNT)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        subprocess.run(
            [self._programs / "initdb", "--pgdata", data, "--auth=trust", "--encoding=UTF8", f"--username={_ACCOUNT}",
             "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en", "--no-sync"],
            check=True, capture_output=True, cwd="/", **self._user,
        )  # fmt: skip
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (self.folder / "log").open("wb") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-k", self.folder, *settings],
                stdout=log, stderr=log, cwd="/", **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self._info("postgres")).close()
            except psycopg.OperationalError:
                assert process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)
            else:
                return process

    def _info(self, name: str) -> str:
        return f"host={self.folder} user={_ACCOUNT} dbname={name}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"hub{next(_numbers)}"
        with psycopg.connect(self._info("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{_ACCOUNT}@/{name}?host={self.folder}"

    def stop(self) -> None:
        """End it and remove its folder."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Shared:
    server: PostgresServer | None = None
    for_all = False
    databases: ClassVar[dict[Path, str]] = {}


def shared() -> PostgresServer:
    """Return the one server of this test run, started when it is first asked for."""
    if _Shared.server is None:
        _Shared.server = PostgresServer()
    return _Shared.server


def stop_shared() -> None:
    """End it."""
    if _Shared.server is not None:
        _Shared.server.stop()
        _Shared.server = None


def use_for_all_hubs() -> None:
    """Give each home of this test run a database of its own in the shared server (``--postgres``)."""
    _Shared.for_all = True


def database_of(home: Path) -> str:
    """Return the database's URL of a home that a test makes: "" for SQLite in it."""
    if not _Shared.for_all:
        return ""
    if home not in _Shared.databases:
        _Shared.databases[home] = shared().new_database()
    return _Shared.databases[home]
