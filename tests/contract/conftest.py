"""The hub's fixture, a project with a subject and a session, and the portable tests' server, for this folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from helpers.server import Server, fresh_project
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


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """What the portable tests speak to: the module's hub, or the server that ``--xnat-url`` names."""
    url = request.config.getoption("--xnat-url")
    if url:
        login, password = (request.config.getoption(f"--xnat-{name}") for name in ("user", "password"))
        made = Server(url.rstrip("/"), login, password, embedded=False)
    else:
        running: RunningHub = request.getfixturevalue("shared_hub")
        made = Server(running.url, "admin", running.password, embedded=True)
    yield made
    made.leave()


@pytest.fixture
def root(server: Server) -> Iterator[httpx.Client]:
    """The server's administrator."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def project(server: Server) -> Iterator[str]:
    """ID of a project of the module's own."""
    with fresh_project(server) as made:
        yield made


@pytest.fixture
def exam(root: httpx.Client, project: str) -> str:
    """Accession ID of a fresh CT session of the project; its subject's label is S_ and its own."""
    label = f"E{secrets.token_hex(4)}"
    answer = root.put(
        f"/data/projects/{project}/subjects/S_{label}/experiments/{label}",
        params={"xsiType": "xnat:ctSessionData", "xnat:ctSessionData/UID": f"2.25.{secrets.randbits(100)}"},
    )
    assert answer.status_code == 201, answer.text
    return answer.text
