"""The runner on one Docker engine: a run is a container.

It has no network, no capability and no way to gain one, a root file system that it can't write to, an empty ``/tmp``,
limited memory, CPUs and processes, and a user of its own. It goes on when the hub ends, and the next hub takes it up.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs import engine as engines
from overread.hub.runs.engine_runner import (
    MIB,
    EngineRun,
    EngineRunner,
    log_configuration,
    moment,
    ulimits,
    unless_conflict,
    variables,
)
from overread.hub.runs.runner import End, Exit, Listener, Report, RunSpec, Stopped
from overread.hub.runs.watch import Watch, out_of_memory

if TYPE_CHECKING:
    from docker import APIClient

_LOG_AGAIN_S = 1.0


class DockerRunner(EngineRunner):
    """Runs commands as containers of one engine. See `EngineRunner` for its parameters."""

    backend = "docker"

    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        """Pull the image unless it is there."""
        found = self.engine.prepare(image, digest=digest, report=report, stopped=stopped)
        return digest or engines.split_name(image)[1] or found.digest

    def create(self, api: APIClient, spec: RunSpec) -> dict[str, Any]:
        """Create the container."""
        image = self.engine.find(spec.image, spec.image_digest)
        if image is None:
            raise PermanentRunnerError(f"Image {spec.image} {spec.image_digest} is not on the engine: it was removed.")
        name = engines.container_name(spec.run_id)
        with unless_conflict():
            api.create_container_from_config(self._configuration(spec, image.id), name=name)
        return dict(api.inspect_container(name))

    def find(self, api: APIClient, name: str) -> dict[str, Any] | None:
        """Return the container."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        try:
            return dict(api.inspect_container(name))
        except docker.errors.NotFound:
            return None

    def take_up(self, api: APIClient, spec: RunSpec, about: dict[str, Any], listener: Listener) -> str:
        """Start the container if that has not been done, and keep its logs."""
        handle = str(about["Id"])
        if handle in self.runs:
            return handle
        if about["State"]["Status"] == "created":  # also one whose hub ended between the two requests
            try:
                api.start(handle)
            except BaseException:
                self.discard(api, handle)
                raise
            about = api.inspect_container(handle)
        run = EngineRun(Watch(spec, listener), handle)
        run.watch.begin(elapsed_s=max(0.0, time.time() - moment(about["State"]["StartedAt"])))
        run.watch.capture(self._log(run, out=True), self._log(run, out=False))
        with self.lock:
            self.runs[handle] = run
        return handle

    def state(self, api: APIClient, run: EngineRun) -> Exit | None:
        """Look at the container."""
        about = self.find(api, run.id)
        if about is None:
            return self.gone(run)
        run.away_since = None
        state = about["State"]
        if state["Running"]:
            return None
        code = int(state["ExitCode"])
        if state.get("OOMKilled") and code != 0 and not run.told_to_end:
            run.finish()
            return Exit(End.TOO_MUCH, code, out_of_memory(run.watch.spec.limits))
        return self.ended(run, code)

    def end(self, api: APIClient, run: EngineRun) -> None:
        """Kill the container."""
        with unless_conflict():  # it has ended just now
            api.kill(run.id)

    def discard(self, api: APIClient, handle: str) -> None:
        """Remove the container."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        with contextlib.suppress(docker.errors.NotFound), unless_conflict():  # conflict: it is being removed
            api.remove_container(handle, force=True, v=True)

    def all(self, api: APIClient) -> list[tuple[str, str]]:
        """Return all containers with this hub's label."""
        found = api.containers(all=True, filters={"label": f"{engines.HUB_LABEL}={self.owner}"})
        return [(about["Labels"].get(engines.RUN_LABEL, ""), about["Id"]) for about in found]

    def _log(self, run: EngineRun, *, out: bool) -> Iterator[bytes]:
        """Yield what a container printed and prints, from its beginning, also across an engine that goes away."""
        seen = 0
        while True:
            skip = seen
            over = run.ended.is_set()
            try:
                with self.engine.asking("send the log") as api:
                    for chunk in api.logs(run.id, stdout=out, stderr=not out, stream=True, follow=True):
                        fresh = chunk[skip:]
                        skip = max(0, skip - len(chunk))
                        seen += len(fresh)
                        if fresh:
                            yield fresh
                    over = over or not api.inspect_container(run.id)["State"]["Running"]
            except TemporaryRunnerError:
                pass  # it is read again, up to where we were
            except PermanentRunnerError:  # the container is gone
                return
            if over:
                return
            run.ended.wait(_LOG_AGAIN_S)

    def _configuration(self, spec: RunSpec, image: str) -> dict[str, Any]:
        """Return the body of the engine's request for a new container."""
        limits, devices = spec.limits, spec.devices
        command: dict[str, Any] = {"Cmd": shlex.split(spec.command_line)}
        if spec.override_entrypoint:
            command = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": [spec.command_line]}
        host: dict[str, Any] = {
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={limits.tmp_mb}m"},  # noqa: S108 - in the container
            "GroupAdd": [str(os.getegid())],  # the hub's files are readable for its group
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": self.engine.settings.seen_by_engine(mount.source),
                    "Target": mount.target,
                    "ReadOnly": not mount.writable,
                }
                for mount in spec.mounts
            ],
            "PidsLimit": limits.processes,
            "Ulimits": ulimits(limits),
            "LogConfig": {"Type": "json-file", "Config": log_configuration(limits)},
            "DeviceRequests": engines.gpu_requests(devices.gpus),
        }
        if limits.memory_mb is not None:
            host |= {"Memory": limits.memory_mb * MIB, "MemorySwap": limits.memory_mb * MIB}
        if spec.reserve_memory_mb is not None:
            host["MemoryReservation"] = spec.reserve_memory_mb * MIB
        if limits.cpus is not None:
            host["NanoCpus"] = round(limits.cpus * 1e9)
        if limits.shm_mb is not None:
            host["ShmSize"] = limits.shm_mb * MIB
        if devices.runtime:
            host["Runtime"] = devices.runtime
        return command | {
            "Image": image,
            "User": self.engine.user(),
            "Env": [f"{name}={value}" for name, value in variables(spec).items()],
            "WorkingDir": spec.working_directory,
            "Labels": engines.labels(self.owner, spec.run_id),
            "HostConfig": host,
        }
