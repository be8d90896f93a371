"""The ledger, and objects that were refused: listed with the reason, sent, deleted, and filed again after a mend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from helpers import prearchive
from helpers.archive import add_project, add_user
from helpers.arrivals import file_bytes, ledger
from helpers.site_data import counted
from hub_fixture import RunningHub, start_hub
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.assignment import Hints
from overread.hub.models import Container, Workflow
from overread.hub.models.base import utc_now
from overread.hub.upkeep.check import check

REASON = "SOP Instance UID differs between command and dataset"
BTS = Hints(project="BTS", subject="SUB", session="EXAM")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("ledger"), tick_s=3600)
    add_project(running.hub, "BTS")
    add_project(running.hub, "OTHER")
    add_user(running.hub, "olive", project="BTS", role="owner")
    yield running
    running.stop()


@pytest.fixture
def client(site: RunningHub) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


def image(number: int) -> Dataset:
    (found, *_) = prearchive.exam(seed=number)
    return found


def refuse(site: RunningHub, content: bytes, *, source: str = "BTS:8104 from CT1") -> int:
    """Put an object aside; return its line."""
    storage.refuse(site.hub, spooling.spool(site.hub, [content]), reason=REASON, source=source)
    return ledger(site)[-1].pk


def rows(client: httpx.Client, **query: str | int) -> list[dict[str, Any]]:
    answer = client.get("/xapi/overread/objects", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def test_each_object_has_a_line_that_says_what_became_of_it(site: RunningHub, client: httpx.Client) -> None:
    images = prearchive.exam(seed=1)
    prearchive.arrive(site.hub, images, BTS)
    uid = images[0].StudyInstanceUID
    waiting = rows(client, study=uid)
    assert [row["state"] for row in waiting] == ["received"] * len(images)
    assert {(row["project"], row["label"], row["class"]) for row in waiting} == {("BTS", "EXAM", "MR Image Storage")}
    assert waiting[0]["src"].startswith("/prearchive/projects/BTS/")
    session = prearchive.archive(site.hub)
    assert {row["state"] for row in rows(client, study=uid)} == {"archived"}
    assert rows(client, study=uid, state="used") == []
    with site.hub.database.write() as db:
        workflow = Workflow(object_id=session.id, project="BTS", pipeline_name="tiny")
        db.add(workflow)
        db.flush()
        run = Container(command_id=1, wrapper_id=1, workflow_id=workflow.id, project="BTS", started=utc_now())
        db.add(run)
        db.flush()
        number = run.id
    used = rows(client, study=uid, state="used")
    assert {(row["session"], *row["runs"]) for row in used} == {(session.id, number)}


def test_the_ledger_is_searched_by_uids_reasons_and_senders(site: RunningHub, client: httpx.Client) -> None:
    images = prearchive.exam(seed=2)
    prearchive.arrive(site.hub, images, Hints(project="OTHER", subject="S", session="E"))
    one = images[0]
    assert len(rows(client, search=one.StudyInstanceUID)) == len(images)
    assert len(rows(client, search=str(one.StudyInstanceUID)[:-1], project="OTHER")) == len(images)
    assert [row["object"] for row in rows(client, search=one.SOPInstanceUID)] == [one.SOPInstanceUID]
    number = refuse(site, b"no DICOM", source="BTS:8104 from ODD%AE")
    assert [row["id"] for row in rows(client, search="odd%ae")] == [number]
    assert rows(client, search="odd_ae") == []
    assert client.get("/xapi/overread/objects", params={"study": "1.2%"}).status_code == 400
    assert client.get("/xapi/overread/objects", params={"state": "lost"}).status_code == 400
    with counted(site.hub) as few:
        rows(client, size=1, state="archived")
    with counted(site.hub) as many:
        rows(client, size=50, state="archived")
    assert len(many.said) == len(few.said)


def test_owners_see_what_is_of_their_projects(site: RunningHub, client: httpx.Client) -> None:
    refuse(site, b"no DICOM")
    with site.client("olive", "secret") as owner:
        found = rows(owner, size=500)
        assert {row["project"] for row in found} == {"BTS"}
        assert owner.get("/xapi/overread/objects", params={"project": "OTHER"}).status_code == 403
        number = rows(client, state="refused")[0]["id"]
        for method, path in (("GET", ""), ("GET", "/file"), ("POST", "/file"), ("DELETE", "")):
            assert owner.request(method, f"/xapi/overread/refused/{number}{path}").status_code == 403


def test_a_refused_object_is_shown_sent_and_deleted(site: RunningHub, client: httpx.Client) -> None:
    number = refuse(site, b"no DICOM at all")
    path = f"/xapi/overread/refused/{number}"
    shown = client.get(path).json()
    assert (shown["reason"], shown["source"], shown["kept"]) == (REASON, "BTS:8104 from CT1", True)
    sent = client.get(f"{path}/file")
    assert (sent.content, sent.headers["content-type"]) == (b"no DICOM at all", "application/dicom")
    assert sent.headers["content-disposition"].startswith("attachment")
    trail = client.get("/xapi/overread/audit", params={"item": f"object {number}"}).json()["rows"]
    assert {row["action"] for row in trail} == {"view", "export"}
    file = site.hub.layout.home / ledger(site)[-1].path
    assert file.exists()
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404
    (line,) = [row for row in rows(client, state="deleted") if row["id"] == number]
    assert line["reason"] == f"{REASON}; deleted by admin"
    assert not file.exists()


def test_what_still_cannot_be_taken_stays_as_it_was(site: RunningHub, client: httpx.Client) -> None:
    number = refuse(site, b"no DICOM")
    path = f"/xapi/overread/refused/{number}"
    for content, query, status in (
        (b"", {}, 422),
        (b"neither is this", {}, 422),
        (file_bytes(image(30)), {"project": "NONE"}, 400),
    ):
        answer = client.post(f"{path}/file", content=content, params=query)
        assert answer.status_code == status, answer.text
        assert client.get(path).json()["reason"] == REASON
        assert client.get(f"{path}/file").content == b"no DICOM"
    assert not list(site.hub.layout.tmp.glob("*.dcm"))


def test_a_mended_object_is_filed_and_the_refused_one_is_gone(site: RunningHub, client: httpx.Client) -> None:
    number = refuse(site, b"half an obj")
    mended = image(40)
    query = {"project": "BTS"}
    answer = client.post(f"/xapi/overread/refused/{number}/file", content=file_bytes(mended), params=query)
    assert answer.status_code == 201, answer.text
    line = answer.json()["line"]
    (filed,) = [row for row in rows(client, object=mended.SOPInstanceUID) if row["state"] == "received"]
    assert (filed["id"], filed["project"], filed["source"]) == (line, "BTS", "filed again by admin")
    assert [row["reason"] for row in rows(client, state="deleted") if row["id"] == number] == [
        f"{REASON}; filed again, by admin"
    ]
    assert check(site.hub) == []


def test_an_object_that_is_in_order_now_is_filed_as_it_is(site: RunningHub, client: httpx.Client) -> None:
    whole = image(50)
    number = refuse(site, file_bytes(whole))
    kept = site.hub.layout.home / next(line for line in ledger(site) if line.pk == number).path
    assert client.post(f"/xapi/overread/refused/{number}/file").status_code == 201
    assert not kept.exists()
    assert [row["state"] for row in rows(client, object=whole.SOPInstanceUID)] == ["received"]
    assert client.post(f"/xapi/overread/refused/{number}/file").status_code == 404


def test_another_object_of_its_uid_keeps_its_place(site: RunningHub, client: httpx.Client) -> None:
    first, second = image(60), image(60)
    prearchive.arrive(site.hub, [first], Hints(project="BTS"))
    second.InstitutionName = "elsewhere"
    number = refuse(site, file_bytes(second))
    before = sorted(site.hub.layout.refused.iterdir())
    answer = client.post(f"/xapi/overread/refused/{number}/file", params={"project": "BTS"})
    assert answer.status_code == 409, answer.text
    assert sorted(site.hub.layout.refused.iterdir()) == before
    assert client.get(f"/xapi/overread/refused/{number}").json()["kept"] is True
    assert [row["state"] for row in rows(client, object=first.SOPInstanceUID)] == ["received"]
