"""What is measured goes to ``bench/results.json``, and from there to ``docs/reference/performance.md``."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator
from typing import Any

import pytest

from bench import report, servers

Results = dict[str, Any]


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    """What has been measured so far, by earlier runs too; what a test adds is kept when it ends."""
    found = report.load()
    before = dict(found)
    yield found
    load = round(os.getloadavg()[2], 1)
    measured = [key for key in found if found[key] is not before.get(key)]
    found["loads"] = found.get("loads", {}) | dict.fromkeys(measured, load)
    found["taken"] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **servers.versions(),
    }
    report.save(found)
