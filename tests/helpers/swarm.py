"""A Swarm of two hosts on one machine: an engine in each of two network namespaces, joined by a bridge.

Never an engine that was there before: joining a Swarm would change it. Nothing is left afterwards, also on failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from helpers.docker_engine import OwnEngine, engine_folder, own_engine

_PROGRAMS = ("dockerd", "ip", "nsenter", "iptables")
_NETWORK = "10.99.37"


@dataclass(frozen=True)
class Swarm:
    """A manager, to which the hub speaks, and a worker."""

    manager: OwnEngine
    worker: OwnEngine

    def node(self, engine: OwnEngine) -> str:
        """Return the Swarm's id of a host."""
        return str(engine.client.info()["Swarm"]["NodeID"])


def why_no_swarm() -> str | None:
    """Say what keeps this machine from running one; ``None`` if nothing does."""
    if os.geteuid() != 0:
        return "a Swarm of two engines needs root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(missing)} is not installed" if missing else None


@contextlib.contextmanager
def swarm() -> Iterator[Swarm]:
    """Run two engines that have joined."""
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(_hosts(2))
        engines = [
            stack.enter_context(own_engine(stack.enter_context(engine_folder()), namespace=host, bridge=True))
            for host in hosts
        ]
        manager, worker = engines
        manager.client.swarm.init(advertise_addr=f"{_NETWORK}.1", listen_addr=f"{_NETWORK}.1:2377")
        manager.client.swarm.reload()
        token = manager.client.swarm.attrs["JoinTokens"]["Worker"]
        worker.client.swarm.join(
            remote_addrs=[f"{_NETWORK}.1:2377"],
            join_token=token,
            advertise_addr=f"{_NETWORK}.2",
            listen_addr=f"{_NETWORK}.2:2377",
        )
        yield Swarm(manager, worker)


@contextlib.contextmanager
def _hosts(count: int) -> Iterator[list[str]]:
    """Make network namespaces that reach one another."""
    mark = f"ow{os.getpid() % 100000}"
    bridge = f"{mark}b"
    with contextlib.ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", bridge)
        _ip("link", "set", bridge, "up")
        names = []
        for number in range(1, count + 1):
            name, link = f"{mark}-{number}", f"{mark}v{number}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", link, "master", bridge, "up")
            _ip("-n", name, "address", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            names.append(name)
        yield names


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
