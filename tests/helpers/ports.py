"""Free ports, so that tests never meet each other or a program that runs already."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a TCP port of the loopback that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
