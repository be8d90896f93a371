"""What the administration's pages ask for: lists in pages, for administrators and for owners of projects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from helpers.archive import add_user
from helpers.site_data import counted, fill, uid
from hub_fixture import RunningHub, start_hub
from overread.hub.models import Container
from overread.hub.runs.spec import run_folder

PASSWORD = "secret"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("site"), tick_s=60)
    fill(running.hub, sessions=120, owner="olive")
    fill(running.hub, sessions=10, project="OTHER")
    add_user(running.hub, "mia", project="BTS", role="member")
    yield running
    running.stop()


@pytest.fixture
def client(site: RunningHub) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def owner(site: RunningHub) -> Iterator[httpx.Client]:
    with site.client("olive", PASSWORD) as client:
        yield client


def rows(client: httpx.Client, path: str, **query: str | int) -> dict[str, Any]:
    answer = client.get(f"/xapi/overread/{path}", params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_pages_of_sessions_hold_each_session_once_those_that_arrive_first(client: httpx.Client) -> None:
    seen: list[str] = []
    for page in range(1, 5):
        found = rows(client, "sessions", project="BTS", page=page, size=40)
        assert found["total"] == 122
        seen += [row["label"] for row in found["rows"]]
    assert seen[:2] == ["WAITING", "ARRIVING"]
    assert seen[2:] == [f"EXAM{number:05d}" for number in reversed(range(120))]


def test_a_session_tells_its_way_from_first_object_to_result(client: httpx.Client) -> None:
    (arriving,) = rows(client, "sessions", project="BTS", search="ARRIVING")["rows"]
    assert (arriving["stage"], arriving["status"], arriving["objects"]) == ("arriving", "RECEIVING", 1)
    assert "still arriving" in arriving["reason"]
    (archived,) = rows(client, "sessions", project="BTS", search="EXAM00001")["rows"]
    assert archived["reason"] == "all series are there and nothing arrived for 15 s"
    assert (archived["subject"], archived["run"]["status"]) == ("P00001", "Complete")
    assert [result["label"] for result in archived["results"]] == ["RESULT00001"]
    assert archived["first"] < archived["last"] < archived["archived"]


@pytest.mark.parametrize(
    ("state", "count"), [("arriving", 2), ("archived", 120), ("no run", 40), ("failed", 8), ("complete", 72)]
)
def test_sessions_by_state(client: httpx.Client, state: str, count: int) -> None:
    found = rows(client, "sessions", project="BTS", state=state)
    assert found["total"] == count
    words = {(row["run"] or {}).get("status", "no run").lower() for row in found["rows"] if row["stage"] == "archived"}
    assert words <= {state} or state == "archived"


def test_search_finds_by_label_uid_and_subject_and_takes_signs_as_they_are(client: httpx.Client) -> None:
    for text in ("exam00042", uid(42), "P00042"):
        found = rows(client, "sessions", project="BTS", search=text)["rows"]
        assert [row["label"] for row in found] == ["EXAM00042"], text
    assert rows(client, "sessions", search="%")["total"] == 0
    assert rows(client, "sessions", search="EXAM_00")["total"] == 0


def test_a_list_asks_the_database_as_often_for_many_rows_as_for_few(site: RunningHub, client: httpx.Client) -> None:
    for path in ("sessions", "runs"):
        with counted(site.hub) as few:
            rows(client, path, size=5)
        with counted(site.hub) as many:
            rows(client, path, size=100)
        assert len(many.said) == len(few.said), path


def test_owners_see_their_projects_and_members_nothing(
    site: RunningHub, client: httpx.Client, owner: httpx.Client
) -> None:
    for path, total in (("sessions", 122), ("runs", 80)):
        assert rows(owner, path)["total"] == total
        assert {row["project"] for row in rows(owner, path, size=200)["rows"]} == {"BTS"}
        assert owner.get(f"/xapi/overread/{path}", params={"project": "OTHER"}).status_code == 403
        assert rows(client, path)["total"] > total
        with site.client("mia", PASSWORD) as member:
            assert member.get(f"/xapi/overread/{path}").status_code == 403
    assert rows(owner, "queue")["by-status"] == {"Complete": 72, "Failed": 8}


def test_wrong_questions_are_told_in_a_line(client: httpx.Client) -> None:
    for query in ({"state": "lost"}, {"page": "0"}, {"size": "9999"}, {"page": "x"}, {"page": "9" * 40}):
        answer = client.get("/xapi/overread/sessions", params=query)
        assert answer.status_code == 400
        assert answer.text.count("\n") == 0


def test_runs_by_state_text_and_number(client: httpx.Client) -> None:
    failed = rows(client, "runs", project="BTS", state="failed")
    assert failed["total"] == 8
    assert {row["reason"] for row in failed["rows"]} == {"DataError: no usable series in /input; send a FLAIR"}
    (found,) = rows(client, "runs", project="BTS", search="EXAM00041")["rows"]
    assert (found["label"], found["wrapper"]) == ("EXAM00041", "segment-tumor")
    assert found["id"] in [row["id"] for row in rows(client, "runs", search=str(found["id"]))["rows"]]


def test_a_run_tells_when_it_was_queued_started_finished_and_stored(client: httpx.Client) -> None:
    good = rows(client, "runs", project="BTS", search="EXAM00001")["rows"][0]
    run = rows(client, f"runs/{good['id']}")
    times = [(stage["name"], stage["at"]) for stage in run["stages"]]
    assert times == [
        ("queued", "2026-03-02T08:10:00.000Z"),
        ("started", "2026-03-02T08:10:00.900Z"),
        ("finished", "2026-03-02T08:10:21.900Z"),
        ("stored", "2026-03-02T08:10:22.400Z"),
    ]
    bad = rows(client, "runs", project="BTS", state="failed")["rows"][0]
    assert rows(client, f"runs/{bad['id']}")["stages"][-1] == {"name": "stored", "at": None}
    assert client.get("/xapi/overread/runs/99999").status_code == 404


def test_a_log_is_read_piece_by_piece_and_never_in_the_middle_of_a_character(
    site: RunningHub, client: httpx.Client
) -> None:
    run_id = rows(client, "runs", project="BTS", size=1)["rows"][0]["id"]
    folder = run_folder(site.hub, run_id) / "log"
    folder.mkdir(parents=True)
    whole = "läuft 1\n".encode()
    (folder / "stdout.log").write_bytes(whole[:2])  # ends within the two bytes of ä
    first = rows(client, f"runs/{run_id}/log/stdout")
    assert (first["text"], first["next"], first["finished"]) == ("l", 1, False)
    (folder / "stdout.log").write_bytes(whole)
    second = rows(client, f"runs/{run_id}/log/stdout", offset=first["next"])
    assert (second["text"], second["finished"]) == ("äuft 1\n", True)
    assert rows(client, f"runs/{run_id}/log/stderr")["text"] == ""
    assert client.get(f"/xapi/overread/runs/{run_id}/log/passwd").status_code == 404
    assert client.get(f"/xapi/overread/runs/{run_id}/log/stdout?offset=-1").status_code == 400


def test_runs_of_others_are_closed(site: RunningHub, owner: httpx.Client) -> None:
    with site.hub.database.read() as db:
        other = db.query(Container).filter(Container.project == "OTHER").first()
    assert other is not None
    assert owner.get(f"/xapi/overread/runs/{other.id}").status_code == 403
    assert owner.get(f"/xapi/overread/runs/{other.id}/log/stdout").status_code == 403
