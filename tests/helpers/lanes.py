"""How a test run is shared between workers (``-n 2``): file by file, the longest first.

A file's tests stay together, so its fixtures are made once. So do all files that use an engine, since two Swarms on one
machine would meet, and all that use the one demo of the end-to-end tests, which takes a minute to come up.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from helpers.requirements import REPOSITORY

_SHARED = {
    "the engines": re.compile(r'needs\([^)]*"(docker-engine|swarm)"'),
    "the demo": re.compile(r"\(line: Line\b"),
}
"""What files share, and how their source shows it."""


@cache
def lane(file: str) -> str:
    """Name what the tests of a file, by its path in the repository, have to share a worker with."""
    source = (REPOSITORY / file).read_text("utf-8")
    return next((name for name, sign in _SHARED.items() if sign.search(source)), file)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives whole lanes to workers, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return lane(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes | None:
    """Take the place of xdist's own ways, unless one is asked for by ``--dist``."""
    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False  # the order is that of `helpers.requirements`
    return Lanes(config, log)
