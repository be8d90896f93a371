"""Lists, searches, files and start-up with 10,000 sessions and 100,000 files."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest

from bench import servers
from bench.conftest import Results
from bench.servers import Server
from helpers import bulk
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SESSIONS, FILES_EACH, CLIENTS, TIMES = 10_000, 10, 4, 40
PROJECT: Final = "MANY"
LIST: Final = f"/data/projects/{PROJECT}/experiments?format=json"


def test_many_sessions(tmp_path: Path, results: Results) -> None:
    resting = assemble(Hub(HubConfig(home=tmp_path / "hub" / "home", dicom_port=0)))
    bulk.fill(resting, PROJECT, sessions=SESSIONS, files=FILES_EACH, on_disk=True)
    resting.database.close()
    with servers.hub(tmp_path / "hub") as hub:
        pass  # the account is made
    with servers.hub(tmp_path / "hub") as hub:
        with hub.client() as client:
            assert len(rows(client.get(LIST))) == SESSIONS
            assert len(rows(client.get(f"{LIST}&label=*_0012*"))) == 10
            assert len(client.get(series_of(17)).json()) == 1
        results["many"] = {
            "sessions": SESSIONS,
            "files": SESSIONS * FILES_EACH,
            "start_s": hub.page_s,
            **measured(hub, "list", lambda _number: LIST),
            **measured(hub, "page", lambda number: f"{LIST}&limit=100&offset={number * 100}&sortBy=label"),
            **measured(hub, "search", lambda number: f"{LIST}&label=*_{number:04d}*"),
            **measured(hub, "qido", series_of),
            "lists_per_s": per_second(hub, lambda n: f"/data/experiments/E{PROJECT}_{n:05d}/scans?format=json"),
            "files_per_s": per_second(
                hub, lambda n: f"/data/experiments/E{PROJECT}_{n:05d}/scans/1/resources/DICOM/files/3.dcm"
            ),
        }


def series_of(number: int) -> str:
    return f"/xapi/dicomweb/projects/{PROJECT}/studies/{bulk.study_uid(PROJECT, number)}/series"


def rows(answer: httpx.Response) -> list[object]:
    assert answer.status_code == 200, answer.text
    found: list[object] = answer.json()["ResultSet"]["Result"]
    return found


def measured(hub: Server, name: str, path_of: Callable[[int], str]) -> dict[str, float]:
    """Return the time that 95 of 100 requests stay below, and the hub's processor time for one, ms.

    The answer is read to its end.
    """
    times = []
    with hub.client() as client:
        client.get("/data/auth")
        cpu_s = hub.cpu_s()
        for number in range(TIMES):
            began = time.perf_counter()
            answer = client.get(path_of(number))
            times.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, answer.text
    return {
        f"{name}_p95_ms": sorted(times)[int(0.95 * TIMES)],
        f"{name}_cpu_ms": 1000 * (hub.cpu_s() - cpu_s) / TIMES,
    }


def per_second(hub: Server, path_of: Callable[[int], str], each: int = 150) -> float:
    """Return requests per second of several clients at once."""

    def ask(client_number: int) -> None:
        with hub.client() as client:
            for number in range(each):
                answer = client.get(path_of(client_number * each + number))
                assert answer.status_code == 200, answer.text

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    return CLIENTS * each / (time.perf_counter() - began)
