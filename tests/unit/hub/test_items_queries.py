"""Lists and items take a fixed number of queries, whatever their size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from hub_fixture import RunningHub, start_hub
from plugin_jar import make_plugin_jar

KIND = "braintumor:resultData"
URLS = (
    "/data/experiments/{session}?format=json",
    "/data/experiments/{session}?format=xml",
    "/data/experiments/{session}?format=html",
    "/data/experiments/{session}/scans?format=json",
    "/data/experiments/{session}/assessors?format=json",
    "/data/experiments/{session}/resources?format=json&all=true",
    "/data/experiments/{session}/scans/ALL/files?format=json",
    "/data/experiments/{session}/scans/ALL/files?format=zip",
    f"/data/experiments?format=json&xsiType={KIND}&columns=ID,session_label,subject_label,{KIND}/lesion_volume_ml",
    "/data/projects/P/subjects?format=json&columns=ID,label,gender",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with one small and one larger session."""
    folder: Path = tmp_path_factory.mktemp("hub")
    make_plugin_jar(folder / "home" / "plugins")
    running = start_hub(folder)
    with running.client() as client:
        client.put("/data/projects/P")
    yield running
    running.stop()


def fill(client: httpx.Client, label: str, size: int) -> str:
    session = client.put(f"/data/projects/P/subjects/{label}/experiments/{label}?xsiType=xnat:mrSessionData").text
    for number in range(size):
        base = f"/data/experiments/{session}/scans/{number}"
        client.put(base, params={"xsiType": "xnat:mrScanData", "type": "T1"})
        client.put(f"{base}/resources/DICOM/files/a.dcm", content=b"x", headers={"content-type": "application/dicom"})
        assessor = f"/data/experiments/{session}/assessors/{label}_{number}"
        client.put(assessor, params={"xsiType": KIND, f"{KIND}/project": "P"})
        client.put(f"{assessor}/resources/R/files/a.txt", content=b"x", headers={"content-type": "text/plain"})
    return session


@contextmanager
def counted(hub: RunningHub) -> Iterator[Callable[[], int]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        # Requests run in worker threads of the server; the hub's background services ask for themselves.
        if statement.startswith("SELECT") and threading.current_thread().name.startswith("AnyIO"):
            statements.append(statement)

    engine = hub.hub.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield lambda: len(statements)
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_the_number_of_queries_does_not_grow(served: RunningHub) -> None:
    with served.client() as client:
        small = fill(client, "small", 1)
        before = {url: queries(served, client, url.format(session=small)) for url in URLS}
        large = fill(client, "large", 12)
        after = {url: queries(served, client, url.format(session=large)) for url in URLS}
    assert after == before
    assert max(after.values()) <= 16


def queries(served: RunningHub, client: httpx.Client, url: str) -> int:
    with counted(served) as count:
        answer = client.get(url)
        assert answer.status_code == 200
        return count()
