"""The table of XNAT's routes that lies beside this file; ``tests/contract/routes/extract.py`` writes it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("xnat_routes.tsv")


@dataclass(frozen=True)
class XnatRoute:
    """A verb and a path that XNAT or one of its plugins answers.

    ``query`` are the parameters it reads, ``source`` and ``file`` say where that is written, ``sure`` how we know:
    ``read`` by a script in the source, ``hand`` by a person in the source, ``noted`` from notes alone.
    """

    path: str
    verb: str
    query: str
    source: str
    file: str
    sure: str

    def matches(self, segments: list[str]) -> bool:
        """Whether a path of these segments is one of this route's."""
        mine = self.path.split("/")
        if mine[-1].endswith(":path}"):
            mine = mine[:-1]
            if len(segments) <= len(mine):
                return False
            segments = segments[: len(mine)]
        return len(mine) == len(segments) and all(
            one == other or (one.startswith("{") and other != "") for one, other in zip(mine, segments, strict=True)
        )


@cache
def xnat_routes() -> tuple[XnatRoute, ...]:
    """Return the table. It is read when it is first asked for, so that the hub starts without it."""
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        return tuple(XnatRoute(**row) for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def find(verb: str, path: str) -> XnatRoute | None:
    """Return the route that answers `verb` on `path` in XNAT, the one with the fewest parameters; None if none does."""
    segments = path.rstrip("/").split("/")
    found = [route for route in xnat_routes() if route.verb == verb and route.matches(segments)]
    return min(found, key=lambda route: route.path.count("{"), default=None)
