"""A request costs as many statements with many rows as with few, and each finds its rows by an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import event, insert, text

from hub_fixture import RunningHub, start_hub
from overread.hub.models import Experiment, Project, Resource, ResourceFile, Scan, Subject

SESSIONS, FILES = 300, 4


def fill(hub: RunningHub, project: str, sessions: int) -> None:
    """Fill a project without files on disk."""
    stamp = {"insert_user": "admin"}
    with hub.hub.database.write() as db:
        db.add(Project(id=project))
        db.flush()
        names = [f"{project}_{number:05d}" for number in range(sessions)]
        db.execute(insert(Subject), [{"id": f"S{n}", "project": project, "label": n, **stamp} for n in names])
        db.execute(
            insert(Experiment),
            [
                {"id": f"E{n}", "project": project, "label": n, "subject_id": f"S{n}", "uid": f"1.{k}.{project}",
                 "xsi_type": "xnat:mrSessionData", "date": "2026-05-01", **stamp}
                for k, n in enumerate(names)
            ],
        )  # fmt: skip
        for name in names:
            scan = Scan(session_id=f"E{name}", id="1", xsi_type="xnat:mrScanData", type="FLAIR", **stamp)
            db.add(scan)
            db.flush()
            resource = Resource(owner_kind="scan", owner_id=str(scan.pk), label="DICOM", **stamp)
            db.add(resource)
            db.flush()
            db.execute(
                insert(ResourceFile),
                [{"resource_pk": resource.pk, "path": f"{n}.dcm", "size": 1, "digest": ""} for n in range(FILES)],
            )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with a small and a large project."""
    hub = start_hub(tmp_path_factory.mktemp("load"), tick_s=60)
    fill(hub, "FEW", 3)
    fill(hub, "MANY", SESSIONS)
    yield hub
    hub.stop()


@contextmanager
def counted(hub: RunningHub) -> Iterator[list[str]]:
    """Collect the statements that the hub makes."""
    made: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        made.append(statement)

    event.listen(hub.hub.database.engine, "before_cursor_execute", note)
    yield made
    event.remove(hub.hub.database.engine, "before_cursor_execute", note)


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
            with counted(loaded) as made:
                answer = client.get(path.format(project=project))
            assert answer.status_code == 200, answer.text
            assert rows(answer)
            counts.append(len(made))
    assert counts[0] == counts[1]
    assert counts[0] < 15


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
