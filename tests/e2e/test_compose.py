"""The stack of compose/ with the hub in XNAT's place, on a real engine: from TLS to backup and restore."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from docker.models.containers import Container

from helpers.arrivals import ROUTING
from helpers.base_image import import_stand_in
from helpers.docker_engine import Engine, build
from helpers.exam_files import write_series
from helpers.ports import free_port
from helpers.requirements import REPOSITORY
from helpers.service_images import import_service_images
from helpers.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd
from helpers.tiny_image import TINY, import_tiny
from overread.synthetic.phantoms import make_mr_series

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("docker-engine", "docker-compose", "storescu", "openssl", "plugins", "ohif", "slapd"),
]

COMPOSE = REPOSITORY / "compose"
USER_ID = 1000
TIMEOUT_S = 300
COMMAND = {
    "name": "look",
    "version": "1.0",
    "type": "docker",
    "image": TINY,
    "command-line": 'sh -c "cat /input/SCANS/*/DICOM/*.dcm > /output/found.txt"',
    "mounts": [
        {"name": "in", "writable": False, "path": "/input"},
        {"name": "out", "writable": True, "path": "/output"},
    ],
    "outputs": [{"name": "found", "required": True, "mount": "out", "path": "found.txt"}],
    "xnat": [
        {
            "name": "look-session",
            "contexts": ["xnat:mrSessionData"],
            "external-inputs": [
                {"name": "session", "type": "Session", "required": True, "provides-files-for-command-mount": "in"}
            ],
            "output-handlers": [
                {
                    "name": "keep",
                    "accepts-command-output": "found",
                    "type": "Resource",
                    "label": "FOUND",
                    "as-a-child-of": "session",
                }
            ],
        }
    ],
}


@dataclass(frozen=True)
class Stack:
    """A stack with ports, folders and secrets of its own."""

    root: Path
    environment: dict[str, str]
    https_port: int
    dicom_port: int

    def __call__(self, program: str, *arguments: str) -> str:
        """Run one of compose/bin."""
        done = subprocess.run(
            [str(COMPOSE / "bin" / program), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}{self._logs()}"
        return done.stdout

    def _logs(self) -> str:
        command = [str(COMPOSE / "bin" / "stack"), "logs", "--tail=40"]
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        ).stdout

    def client(self) -> httpx.Client:
        """A client that trusts the stack's certificate and no other."""
        trust = ssl.create_default_context(cafile=str(self.root / "secrets" / "tls_certificate.pem"))
        password = (self.root / "secrets" / "admin_password").read_text()
        return httpx.Client(
            base_url=f"https://localhost:{self.https_port}", auth=("admin", password), verify=trust, timeout=60
        )

    def new_home(self) -> None:
        """Make an empty home that the hub's user owns."""
        home = self.root / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        os.chown(home, USER_ID, USER_ID)


@pytest.fixture(scope="module")
def stack(docker_engine: Engine) -> Iterator[Stack]:
    if docker_engine.pulls:
        build(docker_engine, REPOSITORY, dockerfile="compose/hub/Dockerfile", tag="overread/hub:0.1.0")
    else:
        import_stand_in(docker_engine, cache=REPOSITORY / "build" / "ci-cache", find_links="")
        import_service_images(docker_engine)
        build(docker_engine, REPOSITORY, dockerfile="compose/hub/Dockerfile", tag="overread/hub:0.1.0")
    import_tiny(docker_engine.client.api)
    # below /tmp, and open to the hub's user: it is not the one who runs the tests
    root = Path("/tmp") / f"overread-stack-{os.getpid()}"
    root.mkdir(mode=0o755)
    socket = urlsplit(docker_engine.address).path
    https_port, dicom_port = free_port(), free_port()
    settings = {
        "STACK": "hub",
        "SITE_URL": f"https://localhost:{https_port}",
        "HTTPS_ADDRESS": "127.0.0.1",
        "HTTPS_PORT": str(https_port),
        "DICOM_ADDRESS": "127.0.0.1",
        "DICOM_PORT": str(dicom_port),
        "SECRETS": str(root / "secrets"),
        "OVERREAD_HOME": str(root / "home"),
        "OVERREAD_BACKUPS": str(root / "backups"),
        "DOCKER_SOCKET": socket,
        "DOCKER_GROUP": str(Path(socket).stat().st_gid),
        "DATABASE_MEMORY": "512m",
        "WEB_MEMORY": "1g",
    }
    (root / "env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    project = f"overread-test-{os.getpid()}"
    made = Stack(
        root,
        {
            "ENV_FILE": str(root / "env"),
            "DOCKER_HOST": docker_engine.address,
            "PROJECT": project,
        },
        https_port,
        dicom_port,
    )
    try:
        made("new-secrets", str(root / "secrets"))
        (root / "backups").mkdir()
        os.chown(root / "backups", USER_ID, USER_ID)
        made.new_home()
        made("stack", "up", "-d", "--no-build")
        wait_until(lambda: answers(made))
        yield made
    finally:
        made("stack", "down", "--volumes", "--timeout", "10")
        shutil.rmtree(root)


def answers(stack: Stack) -> bool:
    """Say whether the stack serves."""
    try:
        with stack.client() as client:
            return client.get("/data/projects").status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(ready: Callable[[], Any]) -> Any:
    """Return what `ready` says once it is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := ready()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def test_browsers_come_in_by_tls_alone(stack: Stack, docker_engine: Engine) -> None:
    published = {
        mapping["HostPort"]
        for container in containers(stack, docker_engine)
        for mappings in container.attrs["NetworkSettings"]["Ports"].values()
        for mapping in mappings or ()
    }
    assert published == {str(stack.https_port), str(stack.dicom_port)}
    with stack.client() as client:
        answer = client.get("/xapi/siteConfig/siteUrl")
        assert answer.text.strip('"') == f"https://localhost:{stack.https_port}"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert client.get("/overread/review/index.html").status_code == 200
        assert client.get("/viewer/app-config.js").status_code == 200
        assert {client.get(path).status_code for path in ("/metrics", "/readyz", "/healthz")} == {404}
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"https://localhost:{stack.https_port}/", timeout=20)


def test_no_service_may_more_than_it_needs(stack: Stack, docker_engine: Engine) -> None:
    hosts = {
        each.attrs["Config"]["Labels"]["com.docker.compose.service"]: each.attrs
        for each in containers(stack, docker_engine)
    }
    assert sorted(hosts) == ["database", "proxy", "web"]
    for name in ("proxy", "web"):
        assert hosts[name]["HostConfig"]["CapDrop"] == ["ALL"]
        assert hosts[name]["HostConfig"]["ReadonlyRootfs"]
        assert hosts[name]["Config"]["User"] not in {"", "0", "root"}
    secrets = [path.read_text().strip() for path in (stack.root / "secrets").iterdir()]
    for attributes in hosts.values():
        assert not [secret for secret in secrets if secret in str(attributes)]  # neither settings nor command lines


def test_an_exam_arrives_is_processed_and_survives_the_loss_of_the_stack(stack: Stack, tmp_path: Path) -> None:
    exam = write_series(tmp_path / "exam", make_mr_series(shape=(6, 16, 16)))
    with stack.client() as client:
        assert client.put("/data/projects/BTS").status_code == 200
        receiver = {"aeTitle": "BTS", "port": 8104, **ROUTING}
        assert client.post("/xapi/dicomscp", json=receiver).status_code == 200
        command = ["storescu", "-aec", "BTS", "+sd", "127.0.0.1", str(stack.dicom_port), str(exam)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        received = wait_until(lambda: client.get("/data/prearchive/projects/BTS").json()["ResultSet"]["Result"])
        source = received[0]["url"]
        archived = client.post("/data/services/archive", data={"src": source})
        assert archived.status_code == 200, archived.text
        (session,) = client.get("/data/projects/BTS/experiments").json()["ResultSet"]["Result"]
        files = f"/data/experiments/{session['ID']}/scans/1/files"
        digests = digests_of(client, files)
        assert len(digests) == 6
        stored = sum(int(row["Size"]) for row in client.get(files).json()["ResultSet"]["Result"])

        made = client.post("/xapi/commands", json=COMMAND)
        assert made.status_code in {200, 201}, made.text
        (wrapper,) = client.get(f"/xapi/commands/{made.text}").json()["xnat"]
        for place in ("", "/projects/BTS"):
            assert client.put(f"/xapi{place}/wrappers/{wrapper['id']}/enabled").status_code == 200
        launched = client.post(
            f"/xapi/projects/BTS/wrappers/{wrapper['id']}/root/session/launch",
            json={"session": f"/archive/experiments/{session['ID']}"},
        )
        assert launched.status_code == 200, launched.text
        run = wait_until(lambda: ended(client))
        assert run["status"] == "Complete", run
        (found,) = client.get(f"/data/experiments/{session['ID']}/resources/FOUND/files").json()["ResultSet"]["Result"]
        assert int(found["Size"]) == stored

    stack("backup", "first")
    stack("stack", "down", "--volumes", "--timeout", "10")
    stack.new_home()
    stack("restore", "first")
    stack("stack", "up", "-d", "--no-build")
    wait_until(lambda: answers(stack))
    with stack.client() as client:
        assert digests_of(client, files) == digests
        assert client.get(f"/data/experiments/{session['ID']}/resources/FOUND/files").status_code == 200


def test_people_of_the_hospitals_directory_log_in(stack: Stack, docker_engine: Engine) -> None:
    """A real slapd outside the stack, asked over TLS through the network by which the hub reaches the hospital."""
    (outside,) = docker_engine.client.networks.list(names=[f"{stack.environment['PROJECT']}_outside"])
    gateway = str(outside.attrs["IPAM"]["Config"][0]["Gateway"])
    directory = Slapd(gateway)
    try:
        authority = stack.root / "home" / "ldap-ca.pem"
        shutil.copy(directory.authority, authority)
        authority.chmod(0o444)
        password = stack.root / "secrets" / "ldap_password"
        password.chmod(0o644)
        password.write_text(ADMIN_PASSWORD)
        settings = {
            "LDAP_URL": f"ldaps://{gateway}:{directory.ldaps_port}/{BASE}",
            "LDAP_BIND_DN": ADMIN,
            "LDAP_SEARCH_BASE": "ou=people",
            "LDAP_SEARCH_FILTER": "(uid={0})",
            "LDAP_AUTO_ENABLED": "true",
            "LDAP_CA": str(authority),
        }
        with (stack.root / "env").open("a") as file:
            file.write("".join(f"{key}={value}\n" for key, value in settings.items()))
        stack("stack", "up", "-d", "--no-build")
        wait_until(lambda: answers(stack))
        with stack.client() as client:
            assert client.get("/data/auth", auth=("ada", "ada-password")).text == "User 'ada' is logged in"
            assert client.get("/data/projects", auth=("ada", "wrong")).status_code == 401
            directory.end()
            assert client.get("/data/projects", auth=("bob", "bob-password")).status_code == 503
            assert client.get("/data/projects").status_code == 200  # accounts of the hub's own go on
    finally:
        directory.stop()


def test_xnats_image_is_not_built_of_what_nobody_pinned(docker_engine: Engine, tmp_path: Path) -> None:
    """Its first stage, on the real engine: without the WAR it goes no further, and says why."""
    if not docker_engine.pulls:
        import_stand_in(docker_engine, cache=REPOSITORY / "build" / "ci-cache", find_links="")
    for name in ("artifacts.tsv", "check-artifacts"):
        shutil.copy(COMPOSE / "xnat" / name, tmp_path / name)
    text = (COMPOSE / "xnat" / "Dockerfile").read_text().replace("COPY compose/xnat/", "COPY ")
    stage = text[text.index("FROM ") : text.index("# The classes of our plugins")]
    (tmp_path / "Dockerfile").write_text(stage.replace("compose/xnat/", ""))
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "xnat-web.war").write_bytes(b"not pinned")
    with pytest.raises(RuntimeError, match=r"xnat-web.war 1\.9\.3 has no digest in artifacts.tsv"):
        build(docker_engine, tmp_path, dockerfile="Dockerfile", tag="overread/xnat-artifacts:test")
    rows = (tmp_path / "artifacts.tsv").read_text().splitlines()
    for line in rows:
        if line and not line.startswith("#"):
            (tmp_path / "artifacts" / line.split("\t")[0]).write_bytes(b"not pinned")
    arguments = {"ALLOW_UNPINNED": "yes"}
    assert build(
        docker_engine, tmp_path, dockerfile="Dockerfile", tag="overread/xnat-artifacts:test", arguments=arguments
    )


def containers(stack: Stack, engine: Engine) -> list[Container]:
    """The stack's containers."""
    label = f"com.docker.compose.project={stack.environment['PROJECT']}"
    found: list[Container] = engine.client.containers.list(filters={"label": label})
    return found


def digests_of(client: httpx.Client, files: str) -> dict[str, str]:
    """Digest of each file below a REST path."""
    return {row["Name"]: row["digest"] for row in client.get(files).json()["ResultSet"]["Result"]}


def ended(client: httpx.Client) -> dict[str, Any] | None:
    """The one run, once it has ended."""
    runs: list[dict[str, Any]] = client.get("/xapi/containers").json()
    return next((run for run in runs if run["status"] in {"Complete", "Failed"}), None)
