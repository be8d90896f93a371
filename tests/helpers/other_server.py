"""A server in front of the hub that answers some requests otherwise: an older XNAT, one without a plugin, a broken one.

It stands for differences of real installations that the hub does not have.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_OWN = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "content-encoding"})


@contextmanager
def in_front_of(url: str, answers: Mapping[str, tuple[int, Any]]) -> Iterator[str]:
    """Serve the hub at `url`, but for `answers`; yields the address.

    Parameters
    ----------
    url
        The hub.
    answers
        ``"GET /path"`` -> status and body: text, or what is sent as JSON. Everything else is the hub's.
    """
    with httpx.Client(base_url=url, timeout=60.0, follow_redirects=False) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                other = answers.get(f"{self.command} {self.path.partition('?')[0]}")
                if other is not None:
                    status, value = other
                    content = value if isinstance(value, str) else json.dumps(value)
                    self.give(status, {}, content.encode())
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
                got = client.request(self.command, self.path, content=body, headers=headers)
                given = {k: v for k, v in got.headers.multi_items() if k.lower() not in _OWN}
                self.give(got.status_code, given, got.content)

            def give(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
