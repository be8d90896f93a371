"""Acting on the prearchive while acknowledged objects still lie in the receiver's spool: none of them is missed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx
import pytest
from pydicom.dataset import Dataset

from helpers import arrivals
from helpers.arrivals import receiving_hub
from hub_fixture import RunningHub
from overread.hub.arrival.intake import Intake
from overread.synthetic.phantoms import make_mr_series

SEEDS = itertools.count(1)


class Line:
    """A hub that receives and files nothing by itself; half of an exam is filed, the other half acknowledged."""

    def __init__(self, running: RunningHub, port: int, images: list[Dataset]) -> None:
        self.hub, self.images = running, images
        assert set(arrivals.send(port, images[:3])) == {0}
        running.hub.intake.file_all()
        assert set(arrivals.send(port, images[3:])) == {0}
        assert len(self.spooled()) == 3

    def spooled(self) -> list[object]:
        return list(self.hub.hub.intake.spool.entries())


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Intake, "_run", lambda _: None)
        running, port = receiving_hub(tmp_path_factory.mktemp("spool"), quiet_default_s=600.0)
        with running.client() as admin:
            admin.put("/data/projects/OTHER")
        yield running, port
        running.stop()


@pytest.fixture
def line(receiving: tuple[RunningHub, int]) -> Iterator[Line]:
    running, port = receiving
    yield Line(running, port, make_mr_series((6, 16, 20), seed=next(SEEDS)))
    with running.client() as admin:
        for row in admin.get("/data/experiments?format=json").json()["ResultSet"]["Result"]:
            admin.delete(f"/data/experiments/{row['ID']}?removeFiles=true")
    arrivals.wipe(running)


@pytest.fixture
def admin(line: Line) -> Iterator[httpx.Client]:
    with line.hub.client() as client:
        yield client


@pytest.fixture
def session(admin: httpx.Client) -> str:
    (row,) = admin.get("/data/prearchive?format=json").json()["ResultSet"]["Result"]
    return f"/data{row['url']}"


def images_of(client: httpx.Client, uri: str) -> int:
    return len(client.get(f"{uri}/scans/ALL/files?format=json").json()["ResultSet"]["Result"])


@pytest.mark.parametrize("way", ["commit", "archive"])
def test_all_that_was_acknowledged_is_archived(line: Line, admin: httpx.Client, session: str, way: str) -> None:
    if way == "commit":
        answer = admin.post(f"{session}?action=commit&AA=true")
        assert answer.status_code == 301
    else:
        answer = admin.post("/data/services/archive", params={"src": session.removeprefix("/data")})
        assert answer.status_code == 200
    assert images_of(admin, answer.text.strip()) == 6
    assert line.spooled() == []


@pytest.mark.parametrize("way", ["DELETE", "service"])
def test_what_is_deleted_does_not_come_back(line: Line, admin: httpx.Client, session: str, way: str) -> None:
    if way == "DELETE":
        answer = admin.delete(session)
    else:
        answer = admin.post("/data/services/prearchive/delete", params={"src": session.removeprefix("/data")})
    assert answer.status_code == 200
    line.hub.hub.intake.file_all()
    assert admin.get("/data/prearchive?format=json").json()["ResultSet"]["Result"] == []
    assert len(arrivals.ledger(line.hub, "deleted")) == 6


def test_the_whole_session_moves(line: Line, admin: httpx.Client, session: str) -> None:
    answer = admin.post(f"{session}?action=move&newProject=OTHER")
    assert answer.status_code == 301
    line.hub.hub.intake.file_all()
    (row,) = admin.get("/data/prearchive?format=json").json()["ResultSet"]["Result"]
    assert f"/data{row['url']}" == answer.text.strip()
    (scan,) = admin.get(f"{answer.text.strip()}/scans?format=json").json()["ResultSet"]["Result"]
    files = admin.get(f"{answer.text.strip()}/scans/{scan['ID']}/resources/DICOM/files?format=json")
    assert len(files.json()["ResultSet"]["Result"]) == 6
