"""A container engine that speaks Docker's API: how it is reached, what its refusals mean, which images it has.

Both runners that use one (`docker`, `swarm`) go through here. Nothing is imported from the SDK before it is needed: a
hub without an engine does not pay for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.errors import PermanentRunnerError, RunnerError, TemporaryRunnerError
from overread.hub.runs.logs import one_line
from overread.hub.runs.runner import Mount, Report, Stopped, check_digest

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
HUB_LABEL, RUN_LABEL = "org.overread.hub", "org.overread.run"

_ANSWER_S = 60
_SERVER_FAULT = 500
CONFLICT = 409
_OPEN_LOGS = 256
"""Connections kept for runs that go on at a time: each has two, for its logs."""
_USER = "1000"
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")  # Swarm takes names of DNS only
_LONGEST_NAME = 63  # Swarm's limit
NEVER_RIGHT = ("executable file not found", "no such file or directory", "invalid mount", "invalid reference format")
_NO_SUCH_IMAGE = ("manifest unknown", "not found", "access denied", "does not exist", "unauthorized")


@dataclass(frozen=True)
class EngineSettings:
    """How an engine is reached and used; the words of XNAT's ``/xapi/docker/server``.

    Parameters
    ----------
    host
        ``unix:///...`` or ``tcp://host:port``.
    cert_path
        Folder with ``ca.pem``, ``cert.pem`` and ``key.pem`` for TLS; "" for none.
    container_user
        ``uid``, ``uid:gid`` or a name; "" for the hub's own user, and for user 1000 if that is root.
    hub_prefix, engine_prefix
        Where the engine sees the hub's folders elsewhere than the hub does: the first is replaced by the second.
    constraints
        On which hosts of a Swarm all runs may run, such as ``node.labels.gpu == yes``.
    """

    host: str = DEFAULT_HOST
    cert_path: str = ""
    container_user: str = ""
    hub_prefix: str = ""
    engine_prefix: str = ""
    constraints: tuple[str, ...] = ()

    def seen_by_engine(self, path: Path) -> str:
        """Return the engine's path of a folder of the hub."""
        if self.hub_prefix and path.is_relative_to(self.hub_prefix):
            return str(Path(self.engine_prefix or "/") / path.relative_to(self.hub_prefix))
        return str(path)


@dataclass(frozen=True)
class EngineImage:
    """An image of an engine.

    Parameters
    ----------
    id
        The engine's own digest of it, ``sha256:...``.
    names
        ``repository/name:version``.
    digests
        Digests under which registries know it.
    labels
        Its labels.
    """

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    labels: dict[str, str]

    @property
    def digest(self) -> str:
        """The digest to pin: the registry's, else the engine's own."""
        return self.digests[0] if self.digests else self.id


class Engine:
    """One engine. Connects when it is first used, and again whenever that failed.

    Parameters
    ----------
    settings
        How it is reached.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._client: APIClient | None = None
        self._lock = threading.Lock()

    @property
    def api(self) -> APIClient:
        """The SDK's client, connected."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    @contextmanager
    def asking(self, what: str) -> Iterator[APIClient]:
        """Yield the client; whatever it raises becomes one of our errors.

        Raises
        ------
        TemporaryRunnerError
            The engine does not answer, or has a fault of its own.
        PermanentRunnerError
            It refused.
        """
        import docker.errors  # noqa: PLC0415 - see the module
        import requests.exceptions  # noqa: PLC0415
        import urllib3.exceptions  # noqa: PLC0415

        try:
            yield self.api
        except docker.errors.APIError as problem:
            said = one_line(str(problem.explanation or problem))
            fault = (problem.status_code or _SERVER_FAULT) >= _SERVER_FAULT
            permanent = not fault or any(words in said.lower() for words in NEVER_RIGHT)
            kind = PermanentRunnerError if permanent else TemporaryRunnerError
            raise kind(f"The container engine could not {what}: {said}") from problem
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as problem:
            raise TemporaryRunnerError(
                f"The container engine at {self.settings.host} does not answer ({one_line(str(problem))})."
            ) from problem

    def ping(self) -> None:
        """Return if it answers.

        Raises
        ------
        RunnerError
            It does not.
        """
        with self.asking("answer") as api:
            api.ping()

    def images(self) -> list[EngineImage]:
        """Return all images that have a name."""
        with self.asking("list its images") as api:
            found = [_image(row) for row in api.images()]
        return sorted((image for image in found if image.names), key=lambda image: image.names)

    def find(self, name: str, digest: str = "") -> EngineImage | None:
        """Return the image of this name and digest, or of this digest alone, if the engine has it."""
        repository, pinned = split_name(name)
        wanted = digest or pinned
        for reference in (name, f"{_without_tag(repository)}@{wanted}", wanted) if wanted else (name,):
            image = self._inspect(reference)
            if image is not None and (not wanted or wanted in (*image.digests, image.id)):
                return image
        return None

    def prepare(self, name: str, *, digest: str, report: Report, stopped: Stopped) -> EngineImage:
        """Return an image that the engine has, pulling it if need be. See `Runner.prepare`."""
        plain, pinned = split_name(name)
        wanted = digest or pinned
        found = self.find(plain, wanted)
        if found is not None:
            return found
        other = self._inspect(plain)
        try:
            self._pull(f"{_without_tag(plain)}@{wanted}" if wanted else plain, report=report, stopped=stopped)
        except PermanentRunnerError:
            if other is not None:  # there is one of that name: say that it is another one
                check_digest(plain, wanted, (other.id, *other.digests))
            raise
        found = self.find(plain, wanted)
        if found is None:
            raise PermanentRunnerError(f"Image {name} was pulled, but it has not the digest {wanted}.")
        return found

    def user(self) -> str:
        """Return the user of containers, ``uid:gid``: never root unless it is asked for."""
        if self.settings.container_user:
            return self.settings.container_user
        own = os.geteuid()
        return f"{own or _USER}:{os.getegid()}"

    def open_to_container(self, mounts: tuple[Mount, ...]) -> None:
        """Give what the container writes to its user.

        Raises
        ------
        PermanentRunnerError
            The hub may not give a folder away.
        """
        owner, _, group = self.user().partition(":")
        if os.geteuid() != 0:
            if owner not in ("", str(os.geteuid())):
                raise PermanentRunnerError(
                    f"Containers are to run as user {owner}, the hub runs as {os.geteuid()} and can't give them its "
                    "folders. Set container-user to the hub's own user, or run the hub as root."
                )
            return
        if not owner.isdigit():
            raise PermanentRunnerError(f"container-user {self.user()}: give numbers, such as 1000:1000.")
        for mount in mounts:
            if mount.writable:
                for path in (mount.source, *mount.source.rglob("*")):
                    os.chown(path, int(owner), int(group) if group.isdigit() else -1, follow_symlinks=False)

    def _connect(self) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - see the module
        from docker.tls import TLSConfig  # noqa: PLC0415

        folder = self.settings.cert_path
        tls: Any = False
        if folder:
            pair = (f"{folder}/cert.pem", f"{folder}/key.pem")
            tls = TLSConfig(client_cert=pair, ca_cert=f"{folder}/ca.pem", verify=True)
        return APIClient(
            base_url=self.settings.host, version="auto", timeout=_ANSWER_S, tls=tls, max_pool_size=_OPEN_LOGS
        )

    def _inspect(self, reference: str) -> EngineImage | None:
        import docker.errors  # noqa: PLC0415 - see the module

        with self.asking("look for the image") as api:
            try:
                return _image(api.inspect_image(reference))
            except docker.errors.NotFound:
                return None

    def _pull(self, reference: str, *, report: Report, stopped: Stopped) -> None:
        import docker.errors  # noqa: PLC0415 - see the module

        report(f"Pulling {reference}")
        fault = ""
        try:
            with self.asking("pull the image") as api:
                try:
                    for event in api.pull(*_repository_and_tag(reference), stream=True, decode=True):
                        if stopped():
                            raise TemporaryRunnerError("Pulling the image was given up because the run was ended.")
                        fault = fault or str(event.get("error") or "")
                except docker.errors.NotFound as problem:
                    fault = str(problem.explanation)
        except PermanentRunnerError as problem:
            fault = str(problem)
        except TemporaryRunnerError as problem:
            if stopped():
                raise
            fault = str(problem)
        if fault:
            kind: type[RunnerError] = (
                PermanentRunnerError
                if any(words in fault.lower() for words in _NO_SUCH_IMAGE)
                else TemporaryRunnerError
            )
            raise kind(
                f"Image {reference} is not on the engine and can't be pulled: {one_line(fault)} "
                "Check its name and the registry, or load it with docker load."
            )


def split_name(name: str) -> tuple[str, str]:
    """Return an image's name without digest, and the digest ("" if it has none)."""
    plain, _, digest = name.partition("@")
    return plain, digest


def container_name(run_id: str) -> str:
    """Return the name of a run's container or service: one name, so that an engine never has two of one run."""
    tail = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"overread-{_UNSAFE.sub('-', run_id)}"[: _LONGEST_NAME - 9] + f"-{tail}"


def labels(owner: str, run_id: str) -> dict[str, str]:
    """Return the labels by which a run is found again."""
    return {HUB_LABEL: owner, RUN_LABEL: run_id}


def gpu_requests(gpus: str) -> list[dict[str, Any]]:
    """Return the engine's device requests for what ``docker run --gpus`` takes.

    Raises
    ------
    PermanentRunnerError
        `gpus` is neither ``all`` nor a number nor ``device=...``.
    """
    text = gpus.strip().strip("\"'")
    request: dict[str, Any] = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
    if not text:
        return []
    if text == "all":
        return [request | {"Count": -1, "DeviceIDs": None}]
    if text.isdigit():
        return [request | {"Count": int(text), "DeviceIDs": None}] if int(text) else []
    if text.startswith("device="):
        return [request | {"Count": 0, "DeviceIDs": text.removeprefix("device=").split(",")}]
    raise PermanentRunnerError(f'gpus is "all", a number or "device=0,1", not {gpus!r}.')


def _image(about: dict[str, Any]) -> EngineImage:
    config = about.get("Config") or {}
    digests = [str(one).partition("@")[2] for one in about.get("RepoDigests") or ()]
    return EngineImage(
        id=str(about["Id"]),
        names=tuple(sorted(str(name) for name in about.get("RepoTags") or () if "<none>" not in name)),
        digests=tuple(one for one in digests if one.startswith("sha256:")),
        labels=dict(config.get("Labels") or about.get("Labels") or {}),
    )


def _without_tag(name: str) -> str:
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _repository_and_tag(reference: str) -> tuple[str, str]:
    plain, digest = split_name(reference)
    repository = _without_tag(plain)
    return repository, digest or plain[len(repository) + 1 :] or "latest"
