"""The hub with real engines: a run that outlives its hub, one that outlives its host, and which image ran."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.archive import add_project, add_session
from helpers.arrivals import wait_until
from helpers.docker_engine import Engine
from helpers.runs import launch, wait_for
from helpers.swarm import Swarm, swarm
from helpers.tiny_image import TINY, copy_tiny, import_tiny
from hub_fixture import start_hub
from overread.hub import bootstrap
from overread.hub.items.announce import announce
from overread.hub.models import Experiment
from overread.hub.runs.swarm import SwarmRunner

pytestmark = [pytest.mark.slow, pytest.mark.needs("busybox")]

LINE = (
    "test -s /input/SCANS/1/DICOM/a.dcm && echo begun && /bin/busybox mkdir -p /output/report"
    " && echo x >> /output/report/starts.txt"
    " && while test #mode# = held -a ! -e /output/go; do sleep 1; done"
)
"""A run that reads its input, notes that it began, and, if told so, waits until it is let go."""
SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"


def command() -> dict[str, Any]:
    return {
        "name": "tiny", "version": "1.0", "type": "docker", "image": TINY, "command-line": LINE,
        "override-entrypoint": True,
        "mounts": [
            {"name": "in", "path": "/input", "writable": False}, {"name": "out", "path": "/output", "writable": True},
        ],
        "inputs": [{"name": "mode", "type": "string", "default-value": "quick"}],
        "outputs": [{"name": "report", "mount": "out", "path": "report", "required": True}],
        "xnat": [{
            "name": "tiny-session", "contexts": ["xnat:imageSessionData"],
            "external-inputs": [
                {"name": "session", "type": "Session", "required": True, "provides-files-for-command-mount": "in"},
            ],
            "output-handlers": [
                {"name": "store", "accepts-command-output": "report", "type": "Resource", "label": "REPORT",
                 "as-a-child-of": "session"},
            ],
        }],
    }  # fmt: skip


class Site:
    """A hub on an engine, its administrator, one exam."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder, self.config = folder, {"retry_delay_s": 0.5} | config
        self.hub = start_hub(folder, **self.config)
        self.client = self.hub.client()
        add_project(self.hub.hub)
        self.session = add_session(self.hub.hub, event="")
        number = self.client.post("/xapi/commands", json=command()).json()
        self.wrapper = int(self.client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
        for place in ("", "/projects/P"):
            assert self.client.put(f"/xapi{place}/wrappers/{self.wrapper}/enabled").status_code == 200

    def restart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """End the hub, and start another one in its home."""
        password = self.hub.password
        self.stop()
        monkeypatch.setattr(bootstrap, "prepare", lambda _hub: password)
        self.hub = start_hub(self.folder, **self.config)
        self.client = self.hub.client()

    def stop(self) -> None:
        self.client.close()
        self.hub.stop()

    def run(self) -> dict[str, Any]:
        """The one run."""
        (found,) = self.client.get("/xapi/projects/P/containers").json()
        return dict(found)

    def begun(self) -> Path:
        """Wait until the run is under way; return the folder that it writes."""
        wait_until(lambda: "begun" in self.client.get("/xapi/containers/1/logs/stdout").text, timeout_s=90)
        wait_until(lambda: self.run()["status"] == "Running", timeout_s=30)  # the log may be quicker
        run = self.run()
        return next(Path(mount["xnat-host-path"]) for mount in run["mounts"] if mount["writable"])

    def report(self) -> str:
        """What the run stored."""
        url = f"/data/experiments/{self.session}/resources/REPORT/files/starts.txt"
        answer: httpx.Response = self.client.get(url)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.mark.needs("docker-engine")
def test_a_run_on_docker_outlives_its_hub(
    docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_tiny(docker_engine.client.api)
    site = Site(tmp_path, runner="docker", docker_host=docker_engine.address)
    assert launch(site.client, site.wrapper, site.session, mode="held").status_code == 200
    output = site.begun()
    site.restart(monkeypatch)
    (output / "go").touch()
    (run,) = wait_for(site.client, timeout_s=90)
    assert run["status"] == "Complete", run
    assert site.report() == "x\n", "it was begun once"
    assert "Taken up" in [line["status"] for line in run["history"]]
    site.stop()


@pytest.mark.needs("docker-engine")
def test_automation_goes_by_the_digest_of_the_image_on_docker(docker_engine: Engine, tmp_path: Path) -> None:
    digest = import_tiny(docker_engine.client.api)
    site = Site(tmp_path, runner="docker", docker_host=docker_engine.address)
    wanted = {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": ["P"]}
    action = f"org.nrg.containers.services.CommandActionProvider:{site.wrapper}"
    made = site.client.post(
        "/xapi/events/subscription", json={"name": "s", "action-key": action, "event-filter": wanted, "attributes": {}}
    )
    assert made.status_code == 201, made.text

    def happen() -> None:
        with site.hub.hub.database.write() as db:
            announce(db, site.hub.hub, db.get_one(Experiment, site.session), "CREATED", user="admin")

    happen()
    (run,) = wait_for(site.client, timeout_s=90)
    assert (run["status"], run["image-digest"]) == ("Complete", digest)
    happen()
    assert len(wait_for(site.client)) == 1, "the same series and image"
    site.stop()


@pytest.fixture
def two_hosts_of_its_own() -> Iterator[Swarm]:
    """A Swarm that this file may break."""
    with swarm() as running:
        import_tiny(running.manager.client.api)
        copy_tiny(running.manager.client.api, running.worker.client.api)
        yield running


@pytest.mark.needs("swarm")
def test_a_run_whose_host_is_lost_is_run_again_by_the_hub(two_hosts_of_its_own: Swarm, tmp_path: Path) -> None:
    hosts = two_hosts_of_its_own
    manager = hosts.manager.client.nodes.get(hosts.node(hosts.manager))
    manager.update({"Availability": "drain", "Role": "manager"})  # so that the run goes to the worker
    site = Site(tmp_path, runner="swarm", docker_host=hosts.manager.address)
    assert isinstance(site.hub.hub.runs.runner, SwarmRunner)
    site.hub.hub.runs.runner.patience_s = 3
    assert launch(site.client, site.wrapper, site.session, mode="held").status_code == 200
    output = site.begun()
    hosts.worker.process.kill()
    hosts.worker.process.wait()
    manager.reload()
    manager.update({"Availability": "active", "Role": "manager"})
    wait_until(lambda: "Retry" in str(site.run()["history"]), timeout_s=180)
    wait_until(lambda: site.run()["status"] == "Running", timeout_s=90)
    time.sleep(1)
    again = next(Path(mount["xnat-host-path"]) for mount in site.run()["mounts"] if mount["writable"])
    (again / "go").touch()
    (run,) = wait_for(site.client, timeout_s=90)
    assert run["status"] == "Complete", run
    assert site.report() == "x\n", "what was stored is of the second attempt alone"
    assert output.parent == again.parent
    site.stop()
