"""Images per second, beside receivers that are not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import pytest

from bench import report, servers
from bench.conftest import Results
from bench.exams import CtExams
from bench.servers import Server
from helpers.arrivals import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.needs("storescu")]

ROUNDS: Final = int(os.environ.get("OVERREAD_BENCH_ROUNDS", "5"))
IMAGES: Final = 100


def send(server: Server, folders: list[Path]) -> float:
    """Send each folder over an association of its own; return how long it took, s."""
    began = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["storescu", "-R", "-pdu", str(servers.PDU_BYTES), "-aec", server.title, "127.0.0.1",
             str(server.dicom_port), "+sd", str(folder)],
            env={**os.environ, **servers.NO_DELAY},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for folder in folders
    ]  # fmt: skip
    said = [sender.communicate()[1] for sender in senders]
    took_s = time.perf_counter() - began
    assert [sender.returncode for sender in senders] == [0] * len(senders), f"{server.name}: {said}"
    return took_s


def test_images_per_second(tmp_path: Path, results: Results) -> None:
    exams = CtExams()
    with ExitStack() as running:
        hub = running.enter_context(servers.hub(tmp_path / "hub"))
        servers.add_receiver(hub)
        peers = [hub, running.enter_context(servers.storescp(tmp_path / "storescp"))]
        if (program := servers.orthanc_program()) is not None:
            peers.append(running.enter_context(servers.orthanc(tmp_path / "orthanc", program)))
        ready = tmp_path / "hub" / "home" / "spool" / "ready"
        found: Results = {"image_bytes": exams.image_bytes, "images": IMAGES}
        rates: dict[str, dict[str, list[float]]] = {"1": {}, "4": {}}
        filed: dict[str, list[float]] = {"1": [], "4": []}
        cpu: dict[str, list[float]] = {}
        sent = 0
        for number in range(ROUNDS + 1):
            for associations in (1, 4):
                folders = [
                    exams.write(tmp_path / f"exam-{number}-{associations}-{k}", images=IMAGES)
                    for k in range(associations)
                ]
                images = associations * IMAGES
                sent += images
                for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    began, cpu_s = time.perf_counter(), peer.cpu_s()
                    rate = images / send(peer, folders)
                    if peer is hub:
                        wait_until(lambda: not any(ready.iterdir()), timeout_s=120)
                        filed_per_s = images / (time.perf_counter() - began)
                    if number:  # the first round warms up
                        rates[str(associations)].setdefault(peer.name, []).append(rate)
                        cpu.setdefault(peer.name, []).append(1000 * (peer.cpu_s() - cpu_s) / images)
                        if peer is hub:
                            filed[str(associations)].append(filed_per_s)
                for folder in folders:
                    shutil.rmtree(folder)
        found["images_per_s"], found["filed_per_s"], found["cpu_ms_per_image"] = rates, filed, cpu
        found["memory_mb"] = {peer.name: peer.memory_bytes() / 2**20 for peer in peers}
        found["resident_mb"] = hub.resident_bytes() / 2**20
        check_all_came(peers, sent)
    results["ingest"] = found
    if report.ORTHANC not in rates["1"]:
        pytest.skip("Orthanc is not installed: measured beside storescp alone")


def check_all_came(peers: list[Server], sent: int) -> None:
    """What was acknowledged is there: a receiver that loses objects is no measure."""
    for peer in peers:
        if peer.name == report.ORTHANC:
            there = httpx.get(f"http://127.0.0.1:{peer.http_port}/statistics").json()["CountInstances"]
        elif peer.name == report.US:
            with peer.client() as client:
                rows = client.get(f"/data/prearchive/projects/{servers.PROJECT}?format=json").json()
            there = len(rows["ResultSet"]["Result"]) * IMAGES
        else:
            continue
        assert there == sent, f"{peer.name} has {there} of {sent}"


def test_start_of_the_hub(tmp_path: Path, results: Results) -> None:
    seconds, page_s, cpu_s = [], [], []
    for _ in range(ROUNDS + 1):
        with servers.hub(tmp_path / "hub") as hub:
            seconds.append(hub.start_s)
            page_s.append(hub.page_s)
            cpu_s.append(hub.cpu_s())
    # the first one made the home
    results["start"] = {"seconds": seconds[1:], "page_s": page_s[1:], "cpu_s": cpu_s[1:]}
    assert median(seconds) > 0
