"""Whether all that Overread's own clients asked of the hub in a test run can be asked of XNAT as well.

The plugin of the test run lets every hub record (see `overread.hub.recording`), those of xdist's workers and those of
other processes too. At the end each request must be a route of XNAT 1.9 or of a plugin that the table names, with that
route's verb and parameters, or an exception that ``tests/contract/routes/not_xnats.tsv`` gives a reason for.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from overread.hub.app import one_path
from overread.hub.areas.missing.table import XnatRoute, xnat_routes
from overread.hub.recording import VARIABLE

EXCEPTIONS = Path(__file__).resolve().parents[1] / "contract/routes/not_xnats.tsv"
# What XNAT's SecureResource reads for every route below /data, and its guard for every request of a browser.
_EVERYWHERE = {
    "format", "XNAT_CSRF", "event_reason", "event_type", "event_action", "event_comment", "event_id", "inbody",
    "requested_screen", "sortBy", "sortOrder", "action", "limit", "offset",
}  # fmt: skip
_FIELDS, _ANY = "<fields>", "<any>"
_FIELD = re.compile(r"[A-Za-z]\w*:\w+(/[\w\[\]@=:]+)+|\w+")
_key = pytest.StashKey[tuple[str, ...]]()
_folder_key = pytest.StashKey[Path]()


@dataclass(frozen=True, order=True)
class OwnRequest:
    """One request of ours: who asked, what, and the names of its parameters."""

    client: str
    verb: str
    path: str
    query: tuple[str, ...]


@dataclass(frozen=True)
class Allowed:
    """A row of the exceptions."""

    client: str
    verb: str
    path: str
    why: str

    def covers(self, request: OwnRequest) -> bool:
        """Whether `request` is one of these."""
        route = XnatRoute(self.path, request.verb, "", "", "", "")
        return (
            self.client in {"*", request.client}
            and (self.verb == "*" or request.verb in self.verb.split())
            and route.matches(request.path.rstrip("/").split("/"))
        )


@cache
def exceptions() -> tuple[Allowed, ...]:
    """Return the exceptions."""
    with EXCEPTIONS.open(encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        return tuple(Allowed(**row) for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def problem(request: OwnRequest) -> str | None:
    """Say what XNAT would not understand of a request; None if it would, or if an exception covers it."""
    if any(allowed.covers(request) for allowed in exceptions()):
        return None
    segments = one_path(request.path).rstrip("/").split("/")
    paths = [route for route in xnat_routes() if route.matches(segments) and _fits_pattern(route, request.path)]
    routes = [route for route in paths if route.verb == ("GET" if request.verb == "HEAD" else request.verb)]
    if not paths:
        return "XNAT has no such route"
    if not routes:
        return f"XNAT knows {' and '.join(sorted({route.verb for route in paths}))} there, not {request.verb}"
    # the route with the fewest parameters answers; several may be equally exact, as `files` and `files/{path}` are
    fewest = min(route.path.count("{") for route in routes)
    candidates = [route for route in routes if route.path.count("{") == fewest]
    unknown = min((_unknown(request, route) for route in candidates), key=len)
    return f"XNAT reads no parameter {', '.join(unknown)} there" if unknown else None


def _fits_pattern(route: XnatRoute, path: str) -> bool:
    """Whether a path fits a pattern that the table leaves out: XNAT's schemas below /xapi all end in .xsd."""
    return not route.file.endswith("/SchemaOnlyApi.java") or path.endswith(".xsd")


def _unknown(request: OwnRequest, route: XnatRoute) -> list[str]:
    known = set(route.query.split())
    if _ANY in known:
        return []
    common = _EVERYWHERE if route.path.startswith("/data/") else {"XNAT_CSRF", "format"}
    return [
        name
        for name in request.query
        if name not in known and name not in common and not (_FIELDS in known and _FIELD.fullmatch(name))
    ]


def read(folder: Path) -> Iterator[OwnRequest]:
    """Yield what was recorded."""
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield OwnRequest(row["client"], row["verb"], row["path"], tuple(row["query"]))


def problems(requests: Iterable[OwnRequest]) -> tuple[str, ...]:
    """Say of each request that XNAT would not understand why, each once."""
    found = {
        f"{one.client}: {one.verb} {one.path}{'?' + '&'.join(one.query) if one.query else ''}: {said}"
        for one in sorted(set(requests))
        if (said := problem(one))
    }
    return tuple(sorted(found))


def pytest_configure(config: pytest.Config) -> None:
    """Let all hubs of this run, and of the workers it starts, record."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(tempfile.mkdtemp(prefix="overread-requests-"))
    os.environ[VARIABLE] = str(folder)
    config.stash[_folder_key] = folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare at the end; what XNAT lacks makes the run red."""
    folder = session.config.stash.get(_folder_key, None)
    if folder is None:
        return
    found = list(read(folder))
    session.config.stash[_key] = problems(found)
    if session.config.stash[_key] and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was asked that XNAT lacks."""
    if found := config.stash.get(_key, ()):
        terminalreporter.section("requests of ours that XNAT would not understand")
        for line in found:
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"Mend them, or give the reason in {EXCEPTIONS.name}.")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the records."""
    folder = config.stash.get(_folder_key, None)
    if folder is not None:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)
