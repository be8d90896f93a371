"""The hub's door: open at once, and nothing is refused while the hub is being loaded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from overread.hub.frontdoor import FrontDoor

HEAVY_FOR_THE_DOOR = {
    "alembic", "argon2", "highdicom", "numpy", "overread.hub.app", "overread.hub.models", "pydantic", "pydicom",
    "pynetdicom", "sqlalchemy", "starlette",
}  # fmt: skip
HEAVY_FOR_THE_HUB = {
    "SimpleITK", "alembic", "docker", "highdicom", "jinja2", "jsonschema", "ldap3", "matplotlib", "nibabel",
    "onnxruntime", "pandas", "psycopg", "pydicom.sr", "scipy", "tensorflow", "torch", "xnat",
}  # fmt: skip


def imported(code: str, names: set[str]) -> list[str]:
    probe = f"import sys\n{code}\nprint(*sorted({names!r} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()


def test_the_door_opens_without_what_takes_long_to_load() -> None:
    code = "import uvicorn, overread.cli.hub, overread.hub.config, overread.hub.frontdoor"
    assert imported(code, HEAVY_FOR_THE_DOOR) == []


def test_the_hub_is_loaded_without_what_few_requests_need() -> None:
    code = "import overread.hub.app, overread.hub.bootstrap, overread.hub.upkeep.upgrade"
    assert imported(code, HEAVY_FOR_THE_HUB) == []


class Life:
    """A door with a hub behind it that is loaded once it may be."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_load = threading.Event()
        self.said: list[str] = []
        self._failure = failure
        self.door = FrontDoor(self._load, on_failure=lambda: self.said.append("failed"))

    def _load(self) -> Any:
        self.may_load.wait(30)
        if self._failure is not None:
            raise self._failure
        return self._app, self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self.said.append("begun")
        yield
        self.said.append("ended")

    async def _app(self, scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"hub's {scope['path']}".encode()})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        outbox: asyncio.Queue[Any] = asyncio.Queue()
        task = asyncio.create_task(self.door({"type": "lifespan"}, inbox.get, outbox.put))
        await inbox.put({"type": "lifespan.startup"})
        assert (await outbox.get())["type"] == "lifespan.startup.complete"
        try:
            yield
        finally:
            self.may_load.set()
            await inbox.put({"type": "lifespan.shutdown"})
            assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
            await task

    async def get(self, path: str) -> tuple[int, str]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        await self.door({"type": "http", "path": path, "method": "GET"}, receive, send)
        return sent[0]["status"], sent[1]["body"].decode().strip()


def test_it_answers_that_it_lives_and_lets_all_else_wait() -> None:
    life = Life()

    async def course() -> None:
        async with life.running():
            assert await life.get("/healthz") == (200, "ok")
            page = asyncio.create_task(life.get("/data/projects"))
            await asyncio.sleep(0)
            assert (page.done(), life.said) == (False, [])
            life.may_load.set()
            assert await page == (200, "hub's /data/projects")
            assert await life.get("/healthz") == (200, "hub's /healthz")
            assert life.said == ["begun"]

    asyncio.run(course())
    assert (life.said, life.door.failure) == (["begun", "ended"], None)


def test_who_waits_is_told_when_it_cant_be_loaded() -> None:
    problem = ValueError("no tables")
    life = Life(problem)

    async def course() -> None:
        async with life.running():
            page = asyncio.create_task(life.get("/data/projects"))
            await asyncio.sleep(0)
            life.may_load.set()
            assert (await page)[0] == 503

    asyncio.run(course())
    assert (life.said, life.door.failure) == (["failed"], problem)


def test_an_end_before_the_hub_is_loaded_waits_for_it_and_ends_it() -> None:
    life = Life()

    async def course() -> None:
        async with life.running():
            pass

    asyncio.run(course())
    assert life.said == ["begun", "ended"]
