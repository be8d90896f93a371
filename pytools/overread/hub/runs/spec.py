"""What a runner is told about one run of the hub."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.hub.runs.priorities import limit_of
from overread.hub.runs.runner import Devices, Limits, Mount, RunSpec

if TYPE_CHECKING:
    from overread.hub.core import Hub

_MB = 1024**2


def run_folder(hub: Hub, container_id: int) -> Path:
    """Return the folder of a run: ``mounts/`` while it goes on or when it failed, ``log/`` for good."""
    return hub.layout.runs / str(container_id)


def run_name(hub: Hub, container_id: int) -> str:
    """Return a run's name, unique among all hubs."""
    return f"{hub.layout.identity}#{container_id}"


def run_spec(
    hub: Hub, container_id: int, resolved: Mapping[str, Any], folder: Path, *, image_digest: str, gpu: str | None
) -> RunSpec:
    """Return what a runner is told.

    Parameters
    ----------
    hub
        The hub.
    container_id
        The run.
    resolved
        Its resolved command.
    folder
        Its folder.
    image_digest
        Of the image that was prepared for it.
    gpu
        The GPU of its slot; None in a slot without one.
    """
    shm_bytes = int(resolved.get("shm-size") or 0)
    return RunSpec(
        run_id=run_name(hub, container_id),
        image=str(resolved["docker-image"]),
        image_digest=image_digest,
        command_line=str(resolved["command-line"] or ""),
        environment=resolved["env"],
        mounts=tuple(
            Mount(mount["name"], Path(mount["xnat-host-path"]), mount["container-path"], mount["writable"])
            for mount in resolved["mounts"]
        ),
        log_folder=folder / "log",
        limits=Limits(
            timeout_s=limit_of(resolved, at_most_s=hub.config.run_timeout_s),
            memory_mb=int(resolved.get("limit-memory") or 0) or None,
            cpus=float(resolved.get("limit-cpu") or 0) or None,
            shm_mb=math.ceil(shm_bytes / _MB) or None,
        ),
        working_directory=str(resolved.get("working-directory") or ""),
        override_entrypoint=bool(resolved.get("override-entrypoint")),
        devices=devices_of(resolved, gpu),
        reserve_memory_mb=int(resolved.get("reserve-memory") or 0) or None,
    )


def devices_of(resolved: Mapping[str, Any], gpu: str | None) -> Devices:
    """Return the devices of a run: in a GPU's slot that GPU, unless its command names others; else no GPU at all.

    A Swarm gives GPUs out itself, by ``generic-resources``.
    """
    wanted, runtime = str(resolved.get("gpus") or ""), str(resolved.get("runtime") or "")
    generic = {str(name): str(count) for name, count in (resolved.get("generic-resources") or {}).items()}
    if gpu is None:
        return Devices(runtime="" if runtime == "nvidia" else runtime, generic_resources=generic)
    if wanted == "1" or (not wanted and runtime == "nvidia"):
        wanted = f"device={gpu}"
    return Devices(gpus=wanted, runtime=runtime, generic_resources=generic)
