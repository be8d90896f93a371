"""Requests put straight into an ASGI application: no sockets, so that thousands of them cost little."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlencode

import httpx
from starlette.types import ASGIApp


class Direct:
    """Calls an application in an event loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        raw_query: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        login: tuple[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer; `login` is a name and password for Basic authentication, `raw_query` an encoded query."""
        sent = {"host": "hub.test", "content-length": str(len(content))} | dict(headers or {})
        if login is not None:
            sent["authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": (raw_query or urlencode(query or {}, doseq=True)).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        return self._runner.run(self._call(scope, content))

    async def _call(self, scope: dict[str, Any], content: bytes) -> httpx.Response:
        messages: list[MutableMapping[str, Any]] = []

        sent = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()  # the client stays and says no more
            sent = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        start = messages[0]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        names = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return httpx.Response(
            start["status"], headers=[pair for pair in names if pair[0] != "content-encoding"], content=body
        )
