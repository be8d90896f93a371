"""Which runner a hub has: told at its start, else by the settings of ``/xapi/docker/server``, else processes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overread.errors import SpecError
from overread.hub.models import SiteSetting
from overread.hub.runs.cgroups import hierarchy
from overread.hub.runs.engine import DEFAULT_HOST, Engine, EngineSettings
from overread.hub.runs.environments import Environments, cache_folder
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.runner import Runner

if TYPE_CHECKING:
    from overread.hub.core import Hub

SETTING = "dockerServer"
BACKENDS = ("process", "docker", "swarm")


def stored_settings(hub: Hub) -> dict[str, Any]:
    """Return what a client said of the engine; nothing on a fresh hub."""
    with hub.database.read() as db:
        setting = db.get(SiteSetting, SETTING)
        return dict(json.loads(setting.value)) if setting is not None else {}


def backend_of(given: Mapping[str, Any]) -> str:
    """Return the backend that settings name, "" if they name none; ``swarm-mode`` is the old word for it.

    Raises
    ------
    SpecError
        This hub has no such backend.
    """
    backend = str(given.get("backend") or ("swarm" if given.get("swarm-mode") else ""))
    if backend and backend not in BACKENDS:
        raise SpecError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}.")
    return backend


def engine_settings(hub: Hub, given: Mapping[str, Any]) -> EngineSettings:
    """Return how the engine is reached: as the hub was told at its start, else by settings, else by DOCKER_HOST."""
    host = str(given.get("host") or "")
    if "://" not in host:  # "local" is what a hub without engine shows
        host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    return EngineSettings(
        host=hub.config.docker_host or host,
        cert_path=str(given.get("cert-path") or ""),
        container_user=str(given.get("container-user") or ""),
        hub_prefix=str(given.get("path-translation-xnat-prefix") or ""),
        engine_prefix=str(given.get("path-translation-docker-prefix") or ""),
        constraints=tuple(_constraint(one) for one in given.get("swarm-constraints") or () if not one["user-settable"]),
    )


def choose_runner(hub: Hub, given: Mapping[str, Any]) -> Runner:
    """Return the hub's runner. An engine need not answer yet: runs wait for it."""
    from overread.hub.runs.docker import DockerRunner  # noqa: PLC0415 - a hub without engine does not pay for it
    from overread.hub.runs.swarm import SwarmRunner  # noqa: PLC0415

    backend, owner = hub.config.runner or backend_of(given) or "process", hub.layout.identity
    if backend == "process":
        folder = cache_folder(hub.config.environments or hub.layout.environments)
        return ProcessRunner(hub.images, Environments(folder), owner=owner, groups=hierarchy())
    kind = {"docker": DockerRunner, "swarm": SwarmRunner}[backend]
    return kind(Engine(engine_settings(hub, given)), owner=owner)


def _constraint(one: Mapping[str, Any]) -> str:
    return f"{one['attribute']} {one['comparator']} {(one.get('values') or [''])[0]}"
