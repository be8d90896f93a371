"""A request costs as many statements with many rows as with few, and each finds its rows by an index."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text

from helpers import bulk
from helpers.arrivals import wait_until
from hub_fixture import RunningHub, start_hub
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub

SESSIONS, FILES = 300, 4
GROWING = {
    "experiment", "session", "subject", "subject_of", "scan", "resource", "resource_file", "instance", "container",
    "received_object", "prearchive_session", "workflow", "history_entry", "delivery",
}  # fmt: skip
"""Tables, and what they are called in statements."""
Made = tuple[str, Any]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with a small and a large project."""
    hub = start_hub(tmp_path_factory.mktemp("load"), tick_s=60)
    bulk.fill(hub.hub, "FEW", sessions=3, files=FILES)
    bulk.fill(hub.hub, "MANY", sessions=SESSIONS, files=FILES)
    yield hub
    hub.stop()


@contextmanager
def counted(hub: Hub, *, requests_only: bool = True) -> Iterator[list[Made]]:
    """Collect the statements that a hub makes, with their values."""
    made: list[Made] = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if not requests_only or threading.current_thread().name.startswith("AnyIO worker thread"):
            made.append((statement, values))

    event.listen(hub.database.engine, "before_cursor_execute", note)
    yield made
    event.remove(hub.database.engine, "before_cursor_execute", note)


def scans(hub: Hub, made: Iterable[Made]) -> list[str]:
    """Return the statements that look at every row of a table that grows with the exams."""
    found = []
    with hub.database.engine.connect() as connection:
        for statement, values in made:
            if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                continue
            several = isinstance(values, list)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values[0] if several else values)
            for row in plan:
                words = str(row[3]).split()
                if words[0] == "SCAN" and words[1] in GROWING and "USING" not in words:
                    found.append(f"{row[3]}: {statement}")
    return found


WEB = "/xapi/dicomweb/projects/MANY"
LISTS = (
    "/data/projects/{project}/experiments?format=json",
    "/data/projects/{project}/experiments?format=json&columns=ID,label,subject_label,xnat:subjectData/yob&limit=20",
    "/data/projects/{project}/experiments?format=json&xsiType=xnat:mrSessionData&label={project}_0000*",
    "/data/projects/{project}/subjects?format=json",
    "/data/experiments?format=json&project={project}",
    "/data/experiments/E{project}_00001/scans?format=json",
    "/data/experiments/E{project}_00001/scans/1/resources/DICOM/files?format=json",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_as_many_statements_for_many_rows_as_for_few(loaded: RunningHub, path: str) -> None:
    counts = []
    with loaded.client() as client:
        client.get("/data/projects")  # the password is known from now on
        for project in ("FEW", "MANY"):
            with counted(loaded.hub) as made:
                answer = client.get(path.format(project=project))
            assert answer.status_code == 200, answer.text
            assert rows(answer)
            counts.append(len(made))
    assert counts[0] == counts[1]
    assert counts[0] < 15


QUESTIONS = (
    *(path.format(project="MANY") for path in LISTS),
    "/data/projects/MANY/experiments?format=json&limit=20&offset=100&sortBy=label",
    "/data/projects/MANY/experiments/MANY_00017?format=json",
    "/data/experiments?format=json&UID=" + bulk.study_uid("MANY", 17),
    "/data/experiments?format=json&session_label=MANY_00017",
    "/data/prearchive/projects/MANY?format=json",
    f"{WEB}/studies?limit=20",
    f"{WEB}/studies?StudyInstanceUID={bulk.study_uid('MANY', 17)}",
    f"{WEB}/studies/{bulk.study_uid('MANY', 17)}/series",
    f"{WEB}/studies/{bulk.study_uid('MANY', 17)}/instances",
    "/data/experiments/EMANY_00017/scans/1/resources/DICOM/files/3.dcm",
    "/xapi/projects/MANY/containers",
    "/xapi/containers/17",
)


@pytest.mark.parametrize("path", QUESTIONS)
def test_no_answer_looks_at_every_row(loaded: RunningHub, path: str) -> None:
    if loaded.hub.database.is_postgres:
        pytest.skip("Postgres decides by the number of rows")
    with loaded.client() as client:
        client.get("/data/projects")  # the password is known from now on
        with counted(loaded.hub) as made:
            answer = client.get(path)
    assert answer.status_code in {200, 404}, answer.text  # the file itself is not there
    assert made
    assert scans(loaded.hub, made) == []


def test_neither_start_nor_services_look_at_every_row(tmp_path: Path) -> None:
    hub = assemble(Hub(HubConfig(home=tmp_path / "home", dicom_port=0, tick_s=0.05)))
    if hub.database.is_postgres:
        pytest.skip("Postgres decides by the number of rows")
    bulk.fill(hub, "MANY", sessions=SESSIONS, files=FILES)
    with counted(hub, requests_only=False) as made:
        hub.start()
        wait_until(lambda: sum("prearchive_session.status" in statement for statement, _ in list(made)) > 3)
    found = scans(hub, made)
    hub.stop()
    assert found == []


def test_a_page_of_studies_costs_as_much_as_it_shows(loaded: RunningHub) -> None:
    """QIDO without filters reads no more sessions than it tells."""
    with loaded.client() as client:
        client.get("/data/projects")
        assert len(client.get(f"{WEB}/studies?limit=7&offset=3").json()) == 7
        one = client.get(f"{WEB}/studies?StudyInstanceUID={bulk.study_uid('MANY', 17)}").json()
        told = client.get(f"{WEB}/studies").json()
        paged = client.get(f"{WEB}/studies?limit=5&offset=100").json()
    assert [study["0020000D"]["Value"] for study in one] == [[bulk.study_uid("MANY", 17)]]
    assert len(told) == SESSIONS
    assert paged == told[100:105]
    dates = [study["00080020"]["Value"] for study in told]
    assert dates == sorted(dates)


def rows(answer: httpx.Response) -> list[object]:
    found: list[object] = answer.json()["ResultSet"]["Result"]
    return found


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM experiment WHERE project = 'MANY' AND xsi_type = 'xnat:mrSessionData'",
        "SELECT * FROM experiment WHERE session_id = 'EMANY_00001'",
        "SELECT * FROM experiment WHERE uid = '1.1.MANY'",
        "SELECT * FROM scan WHERE session_id = 'EMANY_00001'",
        "SELECT * FROM resource WHERE owner_kind = 'scan' AND owner_id IN ('1', '2')",
        "SELECT * FROM resource_file WHERE resource_pk = 7 AND path = '1.dcm'",
        "SELECT * FROM instance WHERE sop_instance_uid = '1.2'",
        "SELECT * FROM instance WHERE study_instance_uid = '1.2'",
        "SELECT * FROM instance WHERE file_pk = 7",
        "SELECT * FROM instance WHERE session_id = 'EMANY_00001'",
        "SELECT * FROM received_object WHERE session_id = 'EMANY_00001' AND state = 'archived'",
        "SELECT * FROM received_object WHERE sop_instance_uid = '1.2'",
        "SELECT * FROM container WHERE status = 'Queued'",
        "SELECT * FROM container WHERE project = 'MANY'",
        "SELECT * FROM workflow WHERE object_id = 'EMANY_00001'",
    ],
)
def test_what_is_asked_often_is_found_by_an_index(loaded: RunningHub, query: str) -> None:
    if loaded.hub.database.is_postgres:
        pytest.skip("Postgres decides by the number of rows")
    with loaded.hub.database.read() as db:
        plan = " ".join(row[3] for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}")))
    assert "USING" in plan, plan
    assert "INDEX" in plan, plan
    assert "SCAN " not in plan, plan
