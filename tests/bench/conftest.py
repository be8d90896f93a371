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
    yield found
    found["taken"] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[2], 1),
        **servers.versions(),
    }
    report.save(found)
