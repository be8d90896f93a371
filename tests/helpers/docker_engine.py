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
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 60.0
_BUILD_TIMEOUT_S = 1800
_DATA_BYTES = 6 * 2**30
"""Room for the images of the tests: they take less than half of it."""
_USUAL_ADDRESS = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Engine:
    """A reachable engine.

    Parameters
    ----------
    client
        The Docker SDK's client, connected.
    pulls
        Whether the engine pulls base images itself; where not, :func:`helpers.base_image.import_stand_in` comes first.
    address
        Where it listens.
    """

    client: docker.DockerClient
    pulls: bool
    address: str


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
            yield Engine(existing, pulls=True, address=os.environ.get("DOCKER_HOST", _USUAL_ADDRESS))
        return
    with engine_folder() as root, own_engine(root) as own:
        yield Engine(own.client, pulls=False, address=own.address)


@contextlib.contextmanager
def engine_folder() -> Iterator[Path]:
    """Yield a folder for an engine's files; nothing of it is left afterwards, no mount and no file."""
    root = Path(tempfile.mkdtemp(prefix="ow-engine-", dir="/tmp"))  # a socket's path has at most 107 characters
    _mount_memory(root)
    try:
        yield root
    finally:
        _unmount_from(root)
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
    address = os.environ.get("DOCKER_HOST", _USUAL_ADDRESS)
    if not _listens(address):
        return None
    try:
        return docker.DockerClient(base_url=address, timeout=_BUILD_TIMEOUT_S)
    except DockerException:
        return None


def _listens(address: str) -> bool:
    """Whether somebody listens at a Unix socket; the SDK, when nobody does, leaves sockets open behind it.

    Addresses of another kind are left to the SDK.
    """
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(parts.path) == 0


@dataclass(frozen=True)
class OwnEngine:
    """An engine of the tests' own.

    Parameters
    ----------
    client
        The Docker SDK's client, connected.
    address
        Where it listens.
    process
        Its process.
    """

    client: docker.DockerClient
    address: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def own_engine(root: Path, *, namespace: str = "", bridge: bool = False) -> Iterator[OwnEngine]:
    """Run an engine in a folder.

    Parameters
    ----------
    root
        Its folder, see :func:`engine_folder`.
    namespace
        Network namespace that it lives in; "" for this machine's own.
    bridge
        Whether its containers have a network unless they are denied one.
    """
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
        *([] if bridge else ["--bridge=none"]),
        "--iptables=false",
        "--ip-forward=false",
    ]
    if namespace:  # `ip netns exec` would hide the cgroups
        command = ["nsenter", f"--net=/var/run/netns/{namespace}", *command]
    log = root / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        client = _wait_until_ready(process, address, log)
        with contextlib.closing(client):
            yield OwnEngine(client, address, process)
            for container in client.containers.list(all=True) if process.poll() is None else ():
                container.remove(force=True)
    finally:
        _stop(process)
        _end_orphans(root, cgroup)
        _remove_cgroups(cgroup)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> docker.DockerClient:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if _listens(address):
            return docker.DockerClient(
                base_url=address, timeout=_BUILD_TIMEOUT_S
            )  # asks for the version, so it answers
        time.sleep(0.2)
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


def _end_orphans(root: Path, cgroup: str) -> None:
    """End what outlives an engine that was killed: its containers, and the processes that hold them for it."""
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while orphans := _orphans(root, cgroup):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Processes of the engine in {root} do not end: {sorted(orphans)}")
        for process_id in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        time.sleep(0.1)


def _orphans(root: Path, cgroup: str) -> set[int]:
    """List processes in the engine's cgroups, and those whose command line names its folder."""
    held = Path("/sys/fs/cgroup").glob(f"**/{cgroup}/**/cgroup.procs")
    found = {int(line) for procs in held for line in procs.read_text().split()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{root}/".encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found


def _remove_cgroups(name: str) -> None:
    for folder in sorted(Path("/sys/fs/cgroup").glob(f"**/{name}"), key=lambda path: len(path.parts), reverse=True):
        for child in sorted(folder.rglob("*"), reverse=True):
            if child.is_dir():
                child.rmdir()
        folder.rmdir()


def _mount_memory(root: Path) -> None:
    """Keep the engine's files in memory where there is plenty: tens of thousands of small files, soon deleted again."""
    free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    if int(free.split()[1]) * 1024 > 2 * _DATA_BYTES:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DATA_BYTES}", "overread-engine", str(root)], check=False)


def _unmount_from(root: Path) -> None:
    """Let go of what is mounted at `root` and below it (an engine that was killed leaves mounts), innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if Path(point).is_relative_to(root)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)
