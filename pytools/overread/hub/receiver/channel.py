"""The channel between the hub and one of its receiving processes: lines of JSON, and open connections.

A message is ``{"kind": ..., ...}``. Connections travel beside their line (SCM_RIGHTS), in order.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

_CHUNK: Final = 65536
_MAX_DESCRIPTORS: Final = 16


class Channel:
    """One end.

    Parameters
    ----------
    end
        A connected Unix stream socket; closed by `close`.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._descriptors: deque[int] = deque()

    def send(self, kind: str, *, connection: socket.socket | None = None, **content: Any) -> None:
        """Send a message, with an open connection if there is one.

        Raises
        ------
        OSError
            The other end is gone.
        """
        line = json.dumps({"kind": kind, **content}).encode() + b"\n"
        with self._lock:
            if connection is None:
                self._end.sendall(line)
                return
            sent = socket.send_fds(self._end, [line], [connection.fileno()])
            self._end.sendall(line[sent:])

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the other end is gone."""
        rest = b""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._end, _CHUNK, _MAX_DESCRIPTORS)
            except OSError:
                return
            self._descriptors.extend(descriptors)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def connection(self) -> socket.socket:
        """Return the connection that came with the message just read."""
        return socket.socket(fileno=self._descriptors.popleft())

    def close(self) -> None:
        """Close this end."""
        with contextlib.suppress(OSError):  # the other end is gone already
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
