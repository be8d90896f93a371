"""Writes down what Overread's own clients ask of this server: names of routes and parameters, never a value of one.

It is for tests: with ``OVERREAD_RECORD_REQUESTS`` set to a folder, each process of the hub appends to a file of its own
there. Whoever runs the tests compares what was asked with the routes that XNAT has: nothing of ours may work on the hub
alone. Requests of other programs are not recorded.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "OVERREAD_RECORD_REQUESTS"
_AGENT = "overread"
_PAGES = ("/overread/", "/overread")


class Recorded:
    """ASGI middleware that records requests of our own clients.

    Parameters
    ----------
    app
        What answers.
    folder
        Where the file goes.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{os.getpid()}.jsonl"
        self._lock = threading.Lock()
        self._known: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a request, and pass it on."""
        if scope["type"] == "http" and (client := own_client(Headers(scope=scope))):
            self._record(client, scope)
        await self._app(scope, receive, send)

    def _record(self, client: str, scope: Scope) -> None:
        names = sorted({name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)})
        line = json.dumps({"client": client, "verb": scope["method"], "path": scope["path"], "query": names})
        with self._lock:
            if line in self._known:
                return
            self._known.add(line)
            with self._file.open("a", encoding="utf-8") as sink:
                sink.write(line + "\n")


def own_client(headers: Mapping[str, str]) -> str | None:
    """Name our client that sent a request: by its User-Agent, or by the page of ours that it is from.

    Returns
    -------
    str or None
        ``toolkit``, ``demo``, ... or ``page /overread/review``; None for everybody else.
    """
    agent = headers.get("user-agent", "")
    if agent.startswith(f"{_AGENT}-"):
        return agent.removeprefix(f"{_AGENT}-").split("/")[0]
    page = headers.get("x-overread-page") or urlsplit(headers.get("referer", "")).path
    if page.startswith(_PAGES[0]) or page == _PAGES[1]:
        return "page " + "/".join(page.split("/")[:3])
    return None
