"""One cache of images' Python environments for all hubs of a test run, those of other processes too.

Building one takes seconds of processor time, and dozens of hubs want the same few. Locks keep two from building one.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

from overread.hub.runs.environments import CACHE_VARIABLE

_given_key = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder to all hubs of this run, and of the workers it starts; one that is named already is kept."""
    if not hasattr(config, "workerinput") and CACHE_VARIABLE not in os.environ:
        config.stash[_given_key] = os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="overread-environments-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if folder := config.stash.get(_given_key, ""):
        del os.environ[CACHE_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
