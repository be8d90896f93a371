"""The hub's fixture, and a project with a subject, a session and a scan, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub_fixture import RunningHub, hub, start_hub
from plugin_jar import make_plugin_jar

__all__ = ["hub"]


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One hub for a module of tests, with the hand-made plugin and the project P."""
    folder: Path = tmp_path_factory.mktemp("hub")
    make_plugin_jar(folder / "home" / "plugins")
    running = start_hub(folder)
    with running.client() as client:
        assert client.put("/data/projects/P").status_code == 200
    yield running
    running.stop()


@pytest.fixture
def admin(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    """The shared hub's administrator."""
    with shared_hub.client() as client:
        yield client


@pytest.fixture
def session(admin: httpx.Client, request: pytest.FixtureRequest) -> str:
    """ID of a fresh CT session of project P, named after the test."""
    label = "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]
    answer = admin.put(
        f"/data/projects/P/subjects/{label}/experiments/{label}",
        params={"xsiType": "xnat:ctSessionData", "UID": f"1.2.{abs(hash(label)) % 10**12}"},
    )
    assert answer.status_code == 201
    return answer.text
