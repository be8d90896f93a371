"""The audit trail: what is noted, that it is kept with the act, that it shows, and to whom."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from helpers import prearchive
from hub_fixture import RunningHub, start_hub
from overread.hub.app import assemble
from overread.hub.arrival.assignment import Hints
from overread.hub.audit import Entry, note
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.models import AuditEvent, Sequence
from overread.synthetic.phantoms import make_case

NAME = "TELLING^NAME"
AUDIT = "/xapi/overread/audit"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("audit"), tick_s=3600)
    with running.client() as admin:
        for login in ("ada", "eve"):
            made = {"username": login, "password": f"secret-{login}"}
            assert admin.post("/xapi/users", json=made).status_code == 201
        for project in ("P", "Q"):
            assert admin.put(f"/data/projects/{project}").status_code == 200
        assert admin.put("/data/projects/P/users/owner/ada").status_code == 200
    yield running
    running.stop()


@pytest.fixture(scope="module")
def exam(shared: RunningHub) -> str:
    case = make_case((2, 16, 20), seed=5, patient_name=NAME)
    hints = Hints(project="P", subject="PATIENT-LABEL", session="SESSION-LABEL")
    prearchive.arrive(shared.hub, case.datasets, hints)
    return prearchive.archive(shared.hub).id


def trail(hub: RunningHub, **query: Any) -> list[dict[str, Any]]:
    with hub.client() as admin:
        answer = admin.get(AUDIT, params={"size": 500, **query})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_who_saw_changed_and_took_out_an_exam(shared: RunningHub, exam: str) -> None:
    with shared.client("ada", "secret-ada") as ada:
        for _ in range(3):
            assert ada.get("/data/projects/P/subjects/PATIENT-LABEL/experiments/SESSION-LABEL").status_code == 200
        assert ada.get(f"/data/experiments/{exam}/scans/ALL/files?format=zip").status_code == 200
        assert ada.put(f"/data/experiments/{exam}?note=seen").status_code == 200
        assert ada.put(f"/data/experiments/{exam}?xnat:mrSessionData/no_such_field=1").status_code == 400
    with shared.client("eve", "secret-eve") as eve:
        assert eve.get("/data/projects/P/subjects").status_code == 403
        assert eve.get(f"/data/experiments/{exam}").status_code == 404
        assert eve.put("/data/projects/P/subjects/X").status_code == 403
    rows = [row for row in trail(shared, user="ada", project="P") if row["item"] == exam]
    told = sorted((row["action"], row["outcome"], row["status"], row["method"]) for row in rows)
    assert told == [
        ("change", "done", 200, "PUT"),
        ("change", "failed", 400, "PUT"),
        ("export", "done", 200, "GET"),
        ("view", "done", 200, "GET"),  # once, though asked for three times
    ]
    assert all(row["address"] == "127.0.0.1" for row in rows)
    refused = trail(shared, user="eve", outcome="refused")
    told = sorted((row["action"], row["project"], row["item"], row["status"]) for row in refused)
    assert told == [("change", "P", "", 403), ("view", "P", "", 403), ("view", "P", exam, 404)]
    whole = str(trail(shared))
    assert "LABEL" not in whole, "labels may name patients"
    assert NAME.partition("^")[0] not in whole


def test_logins_and_failures(shared: RunningHub) -> None:
    with shared.client(None) as nobody:
        form = {"username": "eve", "password": "secret-eve"}
        assert nobody.put("/data/services/auth", data=form).status_code == 200
        assert nobody.delete("/data/JSESSION").status_code == 200
        assert nobody.put("/data/services/auth", data=form | {"password": "wrong"}).status_code == 401
        typed = {"username": "my-Secret-word", "password": "eve"}  # in the wrong field
        assert nobody.put("/data/services/auth", data=typed).status_code == 401
    rows = trail(shared, user="eve")
    assert {("login", "done", "form"), ("login", "failed", ""), ("logout", "done", "")} <= {
        (row["action"], row["outcome"], row["detail"]) for row in rows
    }
    assert "my-Secret-word" not in str(trail(shared))
    assert [row["user"] for row in trail(shared, action="login", outcome="failed")].count("") == 1


def test_filters_pages_and_csv(shared: RunningHub, exam: str) -> None:
    rows = trail(shared)
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)
    with shared.client() as admin:
        paged = []
        total = admin.get(AUDIT, params={"user": "ada", "size": 1}).json()["total"]
        for page in range(1, total + 1):
            paged += admin.get(AUDIT, params={"user": "ada", "size": 1, "page": page}).json()["rows"]
        assert [row["id"] for row in paged] == [row["id"] for row in trail(shared, user="ada")]
        assert total > 1
        middle = rows[len(rows) // 2]["time"]
        earlier = {row["id"] for row in trail(shared, to=middle)}
        later = {row["id"] for row in trail(shared, **{"from": middle})}
        assert not earlier & later
        assert earlier | later >= {row["id"] for row in rows}
        for wrong in ({"action": "nonsense"}, {"from": "yesterday"}, {"page": "0"}, {"size": "-1"}):
            assert admin.get(AUDIT, params=wrong).status_code == 400, wrong
        exported = admin.get(AUDIT, params={"format": "csv", "project": "P"})
        assert exported.headers["content-disposition"] == 'attachment; filename="audit.csv"'
        table = list(csv.DictReader(io.StringIO(exported.text)))
        assert {row["project"] for row in table} == {"P"}
        assert exam in {row["item"] for row in table}
    assert trail(shared, action="export", item="audit trail")


def test_owners_see_their_projects_lines_and_nobody_changes_any(shared: RunningHub, exam: str) -> None:
    with shared.client("ada", "secret-ada") as ada:
        rows = ada.get(AUDIT).json()["rows"]
        assert {row["project"] for row in rows} == {"P"}
        assert ada.get(AUDIT, params={"project": "Q"}).status_code == 403
    with shared.client("eve", "secret-eve") as eve:
        assert eve.get(AUDIT).status_code == 403
    with shared.client() as admin:
        for method in ("PUT", "POST", "DELETE"):
            assert admin.request(method, AUDIT).status_code in {404, 405, 501}


def test_a_formula_in_a_name_is_no_formula_in_the_table(shared: RunningHub) -> None:
    with shared.hub.database.write() as db:
        note(db, Entry("=HYPERLINK(1)", "view"))
    with shared.client() as admin:
        assert "'=HYPERLINK(1)" in admin.get(AUDIT, params={"format": "csv"}).text


def test_an_act_that_is_undone_leaves_only_that_it_failed(shared: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError("broken")

    with shared.client() as admin:
        monkeypatch.setattr("overread.hub.audited.note", fail)  # the last thing before the transaction is kept
        assert admin.put("/data/projects/UNDONE").status_code == 500
        monkeypatch.undo()
        assert admin.get("/data/projects/UNDONE").status_code == 404
    last = trail(shared, action="change")[0]
    assert (last["outcome"], last["status"]) == ("failed", 500)


def test_lines_survive_a_crash_and_are_moved_once(tmp_path: Path) -> None:
    hub = assemble(Hub(HubConfig(home=tmp_path, dicom_port=0)))
    hub.audit.write(Entry("ada", "view", item="one"))
    hub.database.close()  # it died: nothing was moved
    (file,) = hub.layout.audit.glob("*.jsonl")
    kept = file.read_bytes()
    file.write_bytes(kept + b'{"user": "cut o')  # the power went

    again = Hub(HubConfig(home=tmp_path, dicom_port=0))
    again.audit.write(Entry("ada", "view", item="two"))
    again.audit.move()
    assert not list(again.layout.audit.glob("*"))
    file.write_bytes(kept)  # as if the crash had come before the file was removed
    again.audit.write(Entry("ada", "view", item="three"))
    again.audit.move()
    with again.database.read() as db:
        assert list(db.scalars(select(AuditEvent.item).order_by(AuditEvent.pk))) == ["one", "two", "three"]
        assert db.scalar(select(Sequence.value).where(Sequence.name == "audit_file")) == 3
    again.database.close()


def test_reading_waits_for_no_transaction(shared: RunningHub, exam: str) -> None:
    client: httpx.Client
    with shared.hub.database.write(), shared.client("ada", "secret-ada") as client:
        assert client.get(f"/data/experiments/{exam}").status_code == 200
