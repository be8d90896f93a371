"""A container engine for the tests.

Where a Docker engine answers, it is used as it is and pulls the real base images. Where none does, but the machine lets
us (root, ``dockerd``, ``debootstrap``), an engine of the tests' own is started in a folder of its own and stopped by
its process id afterwards. It has no bridge and writes no firewall rule: builds use the host's network, runs have none.
Such an engine can pull nothing: :mod:`helpers.base_image` makes what the Dockerfiles start from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 60.0
_BUILD_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Engine:
    """A reachable engine.

    Parameters
    ----------
    client
        The Docker SDK's client, connected.
    pulls
        Whether the engine pulls base images itself; where not, :func:`helpers.base_image.import_stand_in` comes first.
    """

    client: docker.DockerClient
    pulls: bool


def why_no_engine() -> str | None:
    """Say what keeps this machine from running containers; ``None`` if nothing does."""
    if _existing_client() is not None:
        return None
    if os.geteuid() != 0:
        return "no Docker engine answers, and starting one needs root"
    missing = [program for program in ("dockerd", "debootstrap", "tar") if shutil.which(program) is None]
    return f"no Docker engine answers, and {', '.join(missing)} is not installed" if missing else None


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Yield the engine that answers already, else one of our own that ends with the block."""
    existing = _existing_client()
    if existing is not None:
        with contextlib.closing(existing):
            yield Engine(existing, pulls=True)
        return
    root = Path(tempfile.mkdtemp(prefix="ow-engine-", dir="/tmp"))  # a socket's path has at most 107 characters
    try:
        with _own_engine(root) as client:
            yield Engine(client, pulls=False)
    finally:
        _unmount_below(root)
        shutil.rmtree(root)


def build(
    engine: Engine, context: Path, *, dockerfile: str, tag: str, arguments: Mapping[str, str] | None = None
) -> str:
    """Build an image as ``docker build --network host`` does and return its id; a failure raises with the log."""
    lines: list[str] = []
    steps = engine.client.api.build(
        path=str(context),
        dockerfile=dockerfile,
        tag=tag,
        network_mode="host",
        rm=True,
        forcerm=True,
        decode=True,
        buildargs=dict(arguments or {}),
        timeout=_BUILD_TIMEOUT_S,
    )
    for step in steps:
        lines.append(str(step.get("stream") or step.get("error") or ""))
        if "error" in step:
            raise RuntimeError(f"{dockerfile} does not build:\n{''.join(lines)[-8000:]}")
    return str(engine.client.images.get(tag).id)


def _existing_client() -> docker.DockerClient | None:
    try:
        return _connect(docker.DockerClient.from_env(timeout=_BUILD_TIMEOUT_S))
    except DockerException:
        return None


def _connect(client: docker.DockerClient) -> docker.DockerClient:
    """Return the client if its engine answers, else close it and raise ``DockerException``."""
    try:
        client.ping()
    except Exception as error:
        client.close()
        raise DockerException(f"no engine answers: {error}") from error
    return client


@contextlib.contextmanager
def _own_engine(root: Path) -> Iterator[docker.DockerClient]:
    address = f"unix://{root}/docker.sock"
    cgroup = root.name
    command = [
        "dockerd",
        f"--data-root={root}/data",
        f"--exec-root={root}/exec",
        f"--pidfile={root}/docker.pid",
        f"--host={address}",
        f"--cgroup-parent=/{cgroup}",
        "--storage-driver=overlay2",
        "--default-ulimit=nofile=1024:1024",  # else "setrlimit RLIMIT_NOFILE: operation not permitted"
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
    ]
    log = root / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        client = _wait_until_ready(process, address, log)
        with contextlib.closing(client):
            yield client
            for container in client.containers.list(all=True):
                container.remove(force=True)
    finally:
        _stop(process)
        _remove_cgroups(cgroup)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> docker.DockerClient:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(DockerException):
            return _connect(docker.DockerClient(base_url=address, timeout=_BUILD_TIMEOUT_S))
        time.sleep(0.5)
    state = f"ended with code {process.returncode}" if process.poll() is not None else "does not answer"
    raise RuntimeError(f"dockerd {state}:\n{log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine by its process id: it stops its own containerd."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove_cgroups(name: str) -> None:
    for folder in sorted(Path("/sys/fs/cgroup").glob(f"**/{name}"), key=lambda path: len(path.parts), reverse=True):
        for child in sorted(folder.rglob("*"), reverse=True):
            if child.is_dir():
                child.rmdir()
        folder.rmdir()


def _unmount_below(root: Path) -> None:
    """Let go of the mounts that an engine which was killed leaves behind, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if Path(point).is_relative_to(root)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)
