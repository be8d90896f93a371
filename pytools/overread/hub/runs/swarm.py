"""The runner on a Swarm of several hosts: a run is a service with one task that is never restarted.

The hub speaks to a manager of the Swarm. Every host on which runs may go must see the hub's archive and run folders at
the same paths (a shared file system), as for XNAT's Container Service. Swarm itself starts nothing twice: a task whose
host is lost ends the run as `End.LOST`, and the hub's queue begins it anew, under another service.

A service can't be without a network. Each run gets an internal one of its own, in which nobody else is and from which
no way leads out. Swarm knows no ``no-new-privileges`` before engine 25; without any capability, nothing is gained by
becoming root either.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs import engine as engines
from overread.hub.runs.engine import Engine
from overread.hub.runs.engine_runner import (
    FROM_OUTSIDE,
    MIB,
    PATIENCE_S,
    EngineRun,
    EngineRunner,
    log_configuration,
    lost,
    moment,
    ulimits,
    unless_conflict,
    variables,
)
from overread.hub.runs.logs import one_line
from overread.hub.runs.runner import End, Exit, Limits, Listener, Progress, Report, RunSpec, Stopped
from overread.hub.runs.watch import Watch, out_of_memory

if TYPE_CHECKING:
    from docker import APIClient

_LOG_EVERY_S = 1.0
_LOG_ANSWER_S = 4.0
_HEAD_BYTES = 8
_WAITING = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting")
_NETWORK_LABEL = "org.overread.network"
_SIGKILL_AFTER_NS = 2_000_000_000
_BY_ITSELF = "task: non-zero exit"
_KILLED = 137
_DATE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ")


class SwarmRunner(EngineRunner):
    """Runs commands as services of a Swarm. See `EngineRunner` for its parameters."""

    backend = "swarm"

    def __init__(self, engine: Engine, *, owner: str, patience_s: float = PATIENCE_S) -> None:
        super().__init__(engine, owner=owner, patience_s=patience_s)
        self._networks: set[str] = set()  # of services that are gone

    def ping(self) -> None:
        """Return if the engine answers and manages a Swarm."""
        with self.engine.asking("tell its Swarm") as api:
            if not api.info()["Swarm"].get("ControlAvailable"):
                raise PermanentRunnerError(
                    f"The engine at {self.engine.settings.host} manages no Swarm: run `docker swarm init` there, or "
                    "name a manager's address."
                )

    def prepare(self, image: str, *, digest: str = "", report: Report, stopped: Stopped) -> str:
        """See to it that the image is there, or that hosts can pull it; each host pulls what it runs itself."""
        wanted = digest or engines.split_name(image)[1]
        found = self.engine.find(image, wanted)
        if found is not None:
            return wanted or found.digest
        plain = engines.split_name(image)[0]
        known = self._registry_digest(f"{plain}@{wanted}" if wanted else plain)
        if not known:  # the manager's engine says why it can't be had
            known = self.engine.prepare(image, digest=wanted, report=report, stopped=stopped).digest
        return wanted or known

    def create(self, api: APIClient, spec: RunSpec) -> dict[str, Any]:
        """Create the service, and its network."""
        name = engines.container_name(spec.run_id)
        there = self.find(api, name)
        if there is not None:
            return there
        template = self._template(spec)
        marks = engines.labels(self.owner, spec.run_id)
        network = api.create_network(
            f"{name[:40]}-{uuid.uuid4().hex[:12]}", driver="overlay", internal=True, attachable=False, labels=marks
        )["Id"]
        with unless_conflict():
            api.create_service(
                template,
                name=name,
                labels=marks | {_NETWORK_LABEL: network},
                mode={"Replicated": {"Replicas": 1}},
                networks=[{"Target": network}],
                endpoint_spec={"Mode": "dnsrr"},
            )
        return dict(api.inspect_service(name))

    def find(self, api: APIClient, name: str) -> dict[str, Any] | None:
        """Return the service."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        try:
            return dict(api.inspect_service(name))
        except docker.errors.NotFound:
            return None

    def take_up(self, api: APIClient, spec: RunSpec, about: dict[str, Any], listener: Listener) -> str:  # noqa: ARG002
        """Keep the service's logs. Its time counts from the moment at which a host runs it."""
        handle = str(about["ID"])
        if handle in self.runs:
            return handle
        run = EngineRun(Watch(spec, listener), handle)
        run.watch.begin()
        run.watch.capture(self._log(run, out=True), self._log(run, out=False))
        with self.lock:
            self.runs[handle] = run
        return handle

    def state(self, api: APIClient, run: EngineRun) -> Exit | None:
        """Look at the service's task, and at the host that has it."""
        if self.find(api, run.id) is None:
            return self.gone(run)
        tasks = api.tasks(filters={"service": run.id})
        if not tasks:
            return None
        task = max(tasks, key=lambda one: str(one["CreatedAt"]))
        status = task["Status"]
        state = status["State"]
        if state in _WAITING:
            said = one_line(str(status.get("Err") or status.get("Message") or state))
            run.watch.tell(Progress(0.0, f"waiting for a host: {said}"))
        elif state == "running" and not run.begun:
            run.begun = True
            run.watch.begin(elapsed_s=max(0.0, time.time() - moment(status["Timestamp"])))
        if state in _WAITING or state == "running":
            return self._host_lost(api, run, str(task.get("NodeID") or ""))
        return self._task_ended(run, state, status)

    def end(self, api: APIClient, run: EngineRun) -> None:
        """Remove the service, and its log with it: its host kills the container."""
        run.finish()
        self.discard(api, run.id)

    def discard(self, api: APIClient, handle: str) -> None:
        """Remove the service, and its network as soon as nothing uses it."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        with contextlib.suppress(docker.errors.NotFound):
            network = api.inspect_service(handle)["Spec"]["Labels"].get(_NETWORK_LABEL)
            api.remove_service(handle)
            if network:
                self._networks.add(network)
        self._remove_networks(api)

    def all(self, api: APIClient) -> list[tuple[str, str]]:
        """Return all services with this hub's label."""
        mine = {"label": f"{engines.HUB_LABEL}={self.owner}"}
        found = api.services(filters=mine)
        used = {about["Spec"]["Labels"].get(_NETWORK_LABEL) for about in found}
        self._networks |= {one["Id"] for one in api.networks(filters=mine) if one["Id"] not in used}
        self._remove_networks(api)
        return [(about["Spec"]["Labels"].get(engines.RUN_LABEL, ""), about["ID"]) for about in found]

    def _remove_networks(self, api: APIClient) -> None:
        """Remove networks of services that are gone; those which a task still uses, next time."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        for network in list(self._networks):
            try:
                api.remove_network(network)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError:
                continue
            self._networks.discard(network)

    def _host_lost(self, api: APIClient, run: EngineRun, host: str) -> Exit | None:
        """Return the end of a run whose host has been down for too long."""
        import docker.errors  # noqa: PLC0415 - see `engine`

        try:
            state = api.inspect_node(host)["Status"]["State"] if host else "ready"
        except docker.errors.NotFound:
            state = "removed from the Swarm"
        if state == "ready":
            run.away_since = None
            return None
        if not run.is_away(patience_s=self.patience_s):
            return None
        run.finish()
        return Exit(End.LOST, -1, f"The host of the run is {state}.")

    def _task_ended(self, run: EngineRun, state: str, status: dict[str, Any]) -> Exit:
        code = int((status.get("ContainerStatus") or {}).get("ExitCode") or 0)
        said = one_line(str(status.get("Err") or status.get("Message") or ""))
        if state == "complete":
            return self.ended(run, 0)
        if state == "failed" and said.startswith(_BY_ITSELF):
            limits = run.watch.spec.limits
            if code == _KILLED and limits.memory_mb is not None and not run.told_to_end and not run.was_away:
                run.finish()  # Swarm does not tell who killed it
                return Exit(
                    End.TOO_MUCH, code, f"{out_of_memory(limits)} (Or it was killed by hand: exit code {code}.)"
                )
            return self.ended(run, code)
        run.finish()
        if run.told_to_end:
            return run.watch.exit(-1)
        if any(words in said.lower() for words in engines.NEVER_RIGHT):
            return Exit(End.EXITED, -1, f"The host could not start the run: {said}")
        return lost(code) if code in FROM_OUTSIDE else Exit(End.LOST, -1, f"The host gave the run up ({state}): {said}")

    def _registry_digest(self, image: str) -> str:
        try:
            with self.engine.asking("ask the registry") as api:
                return str(api.inspect_distribution(image)["Descriptor"]["digest"])
        except (PermanentRunnerError, TemporaryRunnerError):
            return ""

    def _log(self, run: EngineRun, *, out: bool) -> Iterator[bytes]:
        """Yield what the service printed and prints. Following a service's log never ends, so it is asked for."""
        since, known = "", 0
        while True:
            over = run.ended.is_set()
            found: list[tuple[str, bytes]] = []
            with (
                contextlib.suppress(TemporaryRunnerError, PermanentRunnerError),
                self.engine.asking("send a log") as api,
            ):
                start = int(moment(since)) if since else 0
                lines = _frames(_read_log(api, run.id, out=out, since=start))
                found = [dated for line in lines if (dated := _dated(line)) is not None]
            at_since = 0
            for when, text in sorted(found, key=lambda one: one[0]):
                at_since = at_since + 1 if when == since else at_since
                if when < since or (when == since and at_since <= known):
                    continue
                since, known = when, known + 1 if when == since else 1
                at_since = known
                yield text
            if over:
                return
            run.ended.wait(_LOG_EVERY_S)

    def _template(self, spec: RunSpec) -> dict[str, Any]:
        """Return the service's task."""
        limits, devices = spec.limits, spec.devices
        if devices.gpus:
            raise PermanentRunnerError(
                f"gpus {devices.gpus!r} can't be asked for on a Swarm: have the command say generic-resources."
            )
        command: dict[str, Any] = {"Args": shlex.split(spec.command_line)}
        if spec.override_entrypoint:
            command = {"Command": ["/bin/sh", "-c"], "Args": [spec.command_line]}
        container = command | {
            "Image": self._reference(spec),
            "User": self.engine.user(),
            "Groups": [str(os.getegid())],  # the hub's files are readable for its group
            "Env": [f"{name}={value}" for name, value in variables(spec).items()],
            "Labels": engines.labels(self.owner, spec.run_id),
            "ReadOnly": True,
            "CapabilityDrop": ["ALL"],
            "Privileges": {"NoNewPrivileges": True},
            "Ulimits": ulimits(limits),
            "StopGracePeriod": _SIGKILL_AFTER_NS,
            "DNSConfig": {"Nameservers": ["127.0.0.1"]},  # no name is asked for outside on its behalf
            "Mounts": [*self._mounts(spec), *_memory_mounts(limits)],
        }
        if spec.working_directory:
            container["Dir"] = spec.working_directory
        bounds: dict[str, Any] = {"Pids": limits.processes}
        reserved: dict[str, Any] = {}
        if limits.memory_mb is not None:
            bounds["MemoryBytes"] = limits.memory_mb * MIB
        if limits.cpus is not None:
            bounds["NanoCPUs"] = round(limits.cpus * 1e9)
        if spec.reserve_memory_mb is not None:
            reserved["MemoryBytes"] = spec.reserve_memory_mb * MIB
        if devices.generic_resources:
            reserved["GenericResources"] = [_generic(kind, value) for kind, value in devices.generic_resources.items()]
        return {
            "ContainerSpec": container,
            "Resources": {"Limits": bounds, "Reservations": reserved},
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": [*self.engine.settings.constraints, *devices.constraints]},
            "LogDriver": {"Name": "json-file", "Options": log_configuration(limits)},
        }

    def _reference(self, spec: RunSpec) -> str:
        """Return how hosts are told the image: by a digest that all of them understand."""
        plain, pinned = engines.split_name(spec.image)
        digest = spec.image_digest or pinned
        found = self.engine.find(spec.image, digest)
        if found is not None and digest == found.id and digest not in found.digests:
            return found.id  # it came from no registry: every host must have been given the same one
        return f"{plain}@{digest}" if digest else plain

    def _mounts(self, spec: RunSpec) -> list[dict[str, Any]]:
        return [
            {
                "Type": "bind",
                "Source": self.engine.settings.seen_by_engine(mount.source),
                "Target": mount.target,
                "ReadOnly": not mount.writable,
            }
            for mount in spec.mounts
        ]


def _memory_mounts(limits: Limits) -> list[dict[str, Any]]:
    sizes = {"/tmp": limits.tmp_mb}  # noqa: S108 - in the container
    if limits.shm_mb is not None:
        sizes["/dev/shm"] = limits.shm_mb  # noqa: S108 - in the container
    return [
        {"Type": "tmpfs", "Target": target, "TmpfsOptions": {"SizeBytes": size_mb * MIB, "Mode": 0o1777}}
        for target, size_mb in sizes.items()
    ]


def _generic(kind: str, value: str) -> dict[str, Any]:
    if value.isdigit():
        return {"DiscreteResourceSpec": {"Kind": kind, "Value": int(value)}}
    return {"NamedResourceSpec": {"Kind": kind, "Value": value}}


def _read_log(api: APIClient, handle: str, *, out: bool, since: int) -> bytes:
    """Return a service's log. The SDK would wait without end for the part of a host that is lost."""
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/services/{handle}/logs",
        params={"stdout": int(out), "stderr": int(not out), "since": since, "timestamps": 1},
        timeout=_LOG_ANSWER_S,
    )
    answer.raise_for_status()
    return answer.content


def _frames(log: bytes) -> Iterator[bytes]:
    """Yield the lines of a log: each has a head of eight bytes, the last four of them its length."""
    place = 0
    while place + _HEAD_BYTES <= len(log):
        end = place + _HEAD_BYTES + int.from_bytes(log[place + 4 : place + _HEAD_BYTES], "big")
        yield log[place + _HEAD_BYTES : end]
        place = end


def _dated(line: bytes) -> tuple[str, bytes] | None:
    """Return the time of a line of a log, in digits of equal number, and the line; None for what Swarm itself says."""
    found = _DATE.match(line)
    if found is None:
        return None
    return f"{found[1].decode()}.{(found[2] or b'').decode().ljust(9, '0')}Z", line[found.end() :]
