"""The hub's door, open before the hub is: loading SQLAlchemy, pydicom and all areas takes longer than opening a port.

Whoever asks whether the process lives (``/healthz``) is answered at once. Every other request waits until the hub is
loaded, instead of being refused. This module imports nothing of that, see ``test_frontdoor``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

Load = Callable[[], tuple["ASGIApp", AbstractAsyncContextManager[Any]]]


class FrontDoor:
    """An ASGI application that stands before another one until that is loaded, and passes all on from then.

    Parameters
    ----------
    load
        Called in a thread of its own once the port is open. Returns the application, and what begins and ends with it.
    on_failure
        Called if it can't be loaded, with what was raised in `failure`. Who waits is told 503.
    """

    def __init__(self, load: Load, on_failure: Callable[[], None]) -> None:
        self._load, self._on_failure = load, on_failure
        self._app: ASGIApp | None = None
        self._loaded, self._ending = asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if self._app is None:
            if scope["type"] == "lifespan":
                await self._live(receive, send)
                return
            if scope["type"] == "http" and scope["path"] == "/healthz" and scope["method"] in {"GET", "HEAD"}:
                await _say(send, 200, b"ok\n")
                return
            await self._loaded.wait()
        if self._app is None:
            await _say(send, 503, b"The hub could not start; its log says why.\n")
            return
        await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        hub = asyncio.create_task(self._serve())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ending.set()
        await hub
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self) -> None:
        try:
            app, life = await asyncio.to_thread(self._load)
            async with life:
                self._app = app
                self._loaded.set()
                await self._ending.wait()
        except Exception as problem:  # noqa: BLE001 - whatever it was, who started the hub gets it
            self.failure = problem
            self._loaded.set()
            self._on_failure()


async def _say(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
