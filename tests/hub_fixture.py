"""A real hub on a free port, in a thread of the test process.

``start_hub(tmp_path)`` gives one; the fixture ``hub`` gives one for each test. Requests travel over real HTTP, so
that the server's own behaviour (headers, lengths, redirects) is part of what is tested.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from helpers.postgres import database_of
from overread.hub import bootstrap
from overread.hub.app import assemble, create_app
from overread.hub.config import HubConfig
from overread.hub.core import Hub

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 90.0


@dataclass
class RunningHub:
    """A hub that serves at `url`; `password` is that of ``admin``."""

    url: str
    hub: Hub
    password: str
    server: uvicorn.Server
    thread: threading.Thread

    def client(self, login: str | None = "admin", password: str | None = None, **options: Any) -> httpx.Client:
        """Return a client with Basic credentials; `login` None gives one without any."""
        if login is not None:
            options["auth"] = (login, self.password if password is None else password)
        return httpx.Client(base_url=self.url, timeout=30.0, **options)

    def stop(self) -> None:
        """Stop serving and wait until all services have ended."""
        self.server.should_exit = True
        self.thread.join(timeout=STOP_TIMEOUT_S)
        assert not self.thread.is_alive(), f"the hub did not stop within {STOP_TIMEOUT_S} s"


def start_hub(tmp_path: Path, *, change: Callable[[Hub], object] | None = None, **config: Any) -> RunningHub:
    """Start a hub with its home at ``tmp_path/home``; `config` are fields of `HubConfig`.

    `change` is called with the assembled hub before it starts, such as `helpers.fake_runner.use_runner`.
    """
    settings: dict[str, Any] = {"home": tmp_path / "home", "dicom_port": 0, "tick_s": 0.05} | config
    settings.setdefault("database", database_of(settings["home"]))
    hub = assemble(Hub(HubConfig(**settings)))
    if change is not None:
        change(hub)
    password = bootstrap.prepare(hub)
    assert password is not None, "OVERREAD_ADMIN_PASSWORD must not be set while testing"
    server = uvicorn.Server(uvicorn.Config(create_app(hub), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, name="hub", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert thread.is_alive(), "the hub ended while starting"
        assert time.monotonic() < deadline, f"the hub did not start within {START_TIMEOUT_S} s"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return RunningHub(f"http://127.0.0.1:{port}", hub, password, server, thread)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    """A fresh hub for one test."""
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    running = start_hub(tmp_path)
    yield running
    running.stop()
