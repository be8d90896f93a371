"""The Event Service: what is subscribed, what an event starts, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from helpers.archive import add_project, add_scan, add_session, add_user
from helpers.runs import install, launch_url, wait_for
from hub_fixture import RunningHub, start_hub
from overread.hub import bootstrap
from overread.hub.core import Hub
from overread.hub.items.announce import announce
from overread.hub.items.serialise import payload
from overread.hub.models import Experiment

SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"
ACTION = "org.nrg.containers.services.CommandActionProvider"


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    """A hub with a folder for images and a project P."""
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    hub = start_hub(tmp_path, images=(tmp_path / "images",))
    add_project(hub.hub)
    yield hub
    hub.stop()


@pytest.fixture
def client(running: RunningHub) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


def subscription(wrapper: int, **event_filter: Any) -> dict[str, Any]:
    wanted = {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": ["P"]}
    return {
        "name": "on session",
        "active": True,
        "action-key": f"{ACTION}:{wrapper}",
        "attributes": {"mode": "quick-#label#"},
        "event-filter": wanted | {key.replace("_", "-"): value for key, value in event_filter.items()},
        "act-as-event-user": False,
    }


def subscribe(client: httpx.Client, wrapper: int, **event_filter: Any) -> int:
    answer = client.post("/xapi/events/subscription", json=subscription(wrapper, **event_filter))
    assert answer.status_code == 201, answer.text
    name, _, number = answer.text.rpartition(":")
    assert name == "on session"
    return int(number)


def delivered(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.post("/xapi/events/delivered", params=query, json={}).json()
    return found


def test_a_session_starts_one_run(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    number = subscribe(client, wrapper, payload_filter="@.xsiType == 'xnat:mrSessionData' && '1' in @.scans[*].id")
    session = add_session(running.hub)
    (run,) = wait_for(client)
    assert run["status"] == "Complete"
    assert run["user-id"] == "admin"
    values = {row["name"]: row["value"] for row in run["inputs"] if row["type"] == "raw"}
    assert values == {"session": f"/archive/experiments/{session}", "mode": "quick-S1"}
    (delivery,) = delivered(client, project="P")
    assert delivery["subscription"]["id"] == number
    assert delivery["trigger"]["URI"] == f"/archive/experiments/{session}"
    assert [step["status"] for step in delivery["status"]][-2:] == ["ACTION_CALLED", "ACTION_COMPLETE"]
    assert delivery["error"] is False


def test_the_same_series_never_run_twice_and_late_images_once_more(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    wrapper = install(client, tmp_path / "images")
    subscribe(client, wrapper)
    subscribe(client, wrapper, status="MERGED")
    session_id = add_session(running.hub)
    wait_for(client)
    for more in (False, False, True, False):
        with running.hub.database.write() as db:
            session = db.get_one(Experiment, session_id)
            if more:
                add_scan(db, running.hub, session, "2")
            announce(db, running.hub, session, "MERGED", user="admin")
        wait_for(client, count=2 if more else 1)
    assert [run["status"] for run in wait_for(client, count=2)] == ["Complete", "Complete"]
    told = [delivery["status"][-1]["message"] for delivery in delivered(client)]
    assert sum("Nothing to do" in message for message in told) == 3


@pytest.mark.parametrize("modality", ["SEG", "SR"])
def test_a_result_sent_into_a_session_starts_no_other_run(
    running: RunningHub, client: httpx.Client, tmp_path: Path, modality: str
) -> None:
    wrapper = install(client, tmp_path / "images")
    subscribe(client, wrapper)
    subscribe(client, wrapper, status="MERGED")
    session_id = add_session(running.hub)
    wait_for(client)
    with running.hub.database.write() as db:
        session = db.get_one(Experiment, session_id)
        add_scan(db, running.hub, session, "2", modality=modality)
        announce(db, running.hub, session, "MERGED", user="admin")
    assert len(client.get("/xapi/projects/P/containers").json()) == 1
    assert any("Nothing to do" in delivery["status"][-1]["message"] for delivery in delivered(client))


def test_images_that_come_while_a_run_waits_are_not_run_twice(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    wrapper = install(client, tmp_path / "images")
    subscribe(client, wrapper)
    subscribe(client, wrapper, status="MERGED")
    client.post(
        launch_url(wrapper),
        json={"session": add_session(running.hub, "OTHER", event=""), "mode": "sleep"},
    )
    session_id = add_session(running.hub)
    with running.hub.database.write() as db:
        session = db.get_one(Experiment, session_id)
        add_scan(db, running.hub, session, "2")
        announce(db, running.hub, session, "MERGED", user="admin")
    assert len(client.get("/xapi/projects/P/containers").json()) == 3
    client.post("/xapi/containers/1/kill")
    statuses = [run["status"] for run in wait_for(client, count=2)]
    assert statuses == ["Failed (Killed)", "Complete"]
    told = [delivery["status"][-1]["message"] for delivery in delivered(client)]
    assert any("looks at the same series" in message for message in told)


def test_a_run_that_failed_may_be_started_by_the_same_event_again(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    wrapper = install(client, tmp_path / "images", image="overread/later:1.0")
    subscribe(client, wrapper)
    session_id = add_session(running.hub)
    assert [run["status"] for run in wait_for(client)] == ["Failed (Staging)"]
    with running.hub.database.write() as db:
        announce(db, running.hub, db.get_one(Experiment, session_id), "CREATED", user="admin")
    assert len(wait_for(client, count=2)) == 2


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"payload-filter": "@.label == 'OTHER'"}, "OBJECT_FILTER_MISMATCH_HALT"),
        ({"status": "MERGED"}, None),
        ({"project-ids": ["Q"]}, None),
    ],
)
def test_other_events_start_nothing(
    running: RunningHub, client: httpx.Client, tmp_path: Path, change: dict[str, Any], last: str | None
) -> None:
    add_project(running.hub, "Q")
    wrapper = install(client, tmp_path / "images")
    client.put(f"/xapi/projects/Q/wrappers/{wrapper}/enabled")
    document = subscription(wrapper)
    document["event-filter"] |= change
    assert client.post("/xapi/events/subscription", json=document).status_code == 201
    add_session(running.hub)
    assert client.get("/xapi/projects/P/containers").json() == []
    assert delivered(client) == []
    statuses = [row["status"][-1]["status"] for row in delivered(client, **{"include-filter-mismatch": "true"})]
    assert statuses == ([last] if last else [])


def test_a_fault_of_a_subscription_does_not_lose_the_session(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    wrapper = install(client, tmp_path / "images")
    number = subscribe(client, wrapper)
    client.put(f"/xapi/projects/P/wrappers/{wrapper}/disabled")
    assert client.get(f"/xapi/events/subscription/{number}").json()["valid"] is False
    session = add_session(running.hub)
    with running.hub.database.read() as db:
        assert db.get(Experiment, session) is not None
    (delivery,) = delivered(client)
    assert delivery["error"] is True
    assert delivery["status"][-1]["status"] == "ACTION_FAILED"
    assert "not enabled" in delivery["status-message"]


def test_an_object_that_no_filter_can_be_asked_about_is_kept_all_the_same(
    running: RunningHub, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(client, install(client, tmp_path / "images"), payload_filter="@.label == 'S1'")

    def fail(*_: object) -> dict[str, Any]:
        raise KeyError("xnat:fieldDefinitionGroup")

    monkeypatch.setattr("overread.hub.items.announce.payload", fail)
    session = add_session(running.hub)
    with running.hub.database.read() as db:
        assert db.get(Experiment, session) is not None
    (delivery,) = delivered(client)
    assert delivery["error"] is True
    assert delivery["status"][-1]["status"] == "ACTION_FAILED"


def test_what_is_off_starts_nothing_and_is_not_made_up_for(
    running: RunningHub, client: httpx.Client, tmp_path: Path
) -> None:
    wrapper = install(client, tmp_path / "images")
    number = subscribe(client, wrapper)
    assert client.get("/xapi/events/prefs").json() == {"enabled": True}
    assert client.put("/xapi/events/prefs", json={"enabled": False}).status_code == 200
    add_session(running.hub, "S1")
    client.put("/xapi/events/prefs", json={"enabled": True})
    assert client.post(f"/xapi/events/subscription/{number}/deactivate").status_code == 200
    assert client.get(f"/xapi/events/subscription/{number}").json()["active"] is False
    add_session(running.hub, "S2")
    assert delivered(client) == []
    client.post(f"/xapi/events/subscription/{number}/activate")
    add_session(running.hub, "S3")
    assert len(wait_for(client)) == 1


def test_what_can_not_work_is_424(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    for change in (
        {"payload-filter": "@.label =="},
        {"payload-filter": "@.label =~ /(a+)+/"},
        {"event-type": "org.nrg.NoEvent"},
        {"status": "ARCHIVED"},
        {"project-ids": ["NONE"]},
    ):
        document = subscription(wrapper)
        document["event-filter"] |= change
        assert client.post("/xapi/events/subscription", json=document).status_code == 424, change
    assert client.post("/xapi/events/subscription", json=subscription(999)).status_code == 424
    subscribe(client, wrapper)
    assert client.post("/xapi/events/subscription", json=subscription(wrapper)).status_code == 424
    validate = "/xapi/events/subscription/filter/validate"
    assert client.post(validate, content="@.xsiType == 'x'").status_code == 200
    assert client.post(validate, content="@.xsiType = 'x'").status_code == 424


def test_subscriptions_are_changed_and_forgotten(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    number = subscribe(client, install(client, tmp_path / "images"))
    url = f"/xapi/events/subscription/{number}"
    assert client.put(url, json={"name": "other", "event-filter": {"status": "MERGED"}}).status_code == 200
    kept = client.get(url).json()
    assert (kept["name"], kept["event-filter"]["status"], kept["event-filter"]["project-ids"]) == (
        "other", "MERGED", ["P"],
    )  # fmt: skip
    assert [one["id"] for one in client.get("/xapi/events/subscriptions").json()] == [number]
    assert client.delete(url).status_code == 200
    assert client.get(url).status_code == 404


def test_owners_subscribe_for_their_project_alone(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    add_project(running.hub, "Q")
    add_user(running.hub, "owner", role="owner", project="P")
    add_user(running.hub, "member", role="member", project="P")
    wrapper = install(client, tmp_path / "images")
    url = "/xapi/projects/P/events/subscription"
    with running.client("owner", "secret") as owner:
        answer = owner.post(url, json=subscription(wrapper))
        assert answer.status_code == 201
        assert owner.post(url, json=subscription(wrapper, project_ids=["Q"])).status_code == 401
        assert owner.post("/xapi/events/subscription", json=subscription(wrapper)).status_code == 403
        add_session(running.hub)
        (run,) = wait_for(client)
        assert run["user-id"] == "owner"
        assert len(owner.post("/xapi/projects/P/events/delivered", json={}).json()) == 1
        assert owner.get("/xapi/projects/P/events/delivered/count").json() == 1
    with running.client("member", "secret") as member:
        assert member.post(url, json=subscription(wrapper)).status_code == 403
        assert member.get("/xapi/projects/Q/events/subscriptions").status_code == 403


def test_an_object_is_described_only_for_who_looks_at_it(
    running: RunningHub, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[str] = []

    def counted(db: Session, hub: Hub, item: Any) -> dict[str, Any]:
        described.append(type(item).__name__)
        return payload(db, hub, item)

    monkeypatch.setattr("overread.hub.items.announce.payload", counted)
    wrapper = install(client, tmp_path / "images")
    document = subscription(wrapper, status="MERGED") | {"attributes": {"mode": "nothing"}}
    number = client.post("/xapi/events/subscription", json=document).text.rpartition(":")[2]
    session_id = add_session(running.hub)  # its scans and its creation: nobody wants to hear of them
    for change, seen in (({}, []), ({"attributes": {"mode": "#label#"}}, ["Experiment"])):
        assert client.put(f"/xapi/events/subscription/{number}", json=change).status_code == 200
        with running.hub.database.write() as db:
            announce(db, running.hub, db.get_one(Experiment, session_id), "MERGED", user="admin")
        assert described == seen
    one, two = delivered(client)
    assert [step["status"] for step in one["status"]][-1] == "ACTION_COMPLETE"
    assert two["trigger"]["label"] == "S1"


def test_deliveries_come_in_pages(running: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    subscribe(client, install(client, tmp_path / "images"), payload_filter="@.label != 'S3'")
    for number in range(5):
        add_session(running.hub, f"S{number}")
    url = "/xapi/events/delivered"
    assert client.get(f"{url}/count").json() == 4
    assert client.get(f"{url}/count", params={"include-filter-mismatch": "true"}).json() == 5
    page = client.post(url, json={"size": 3, "page": 2, "sort_dir": "asc"}).json()
    assert [row["trigger"]["label"] for row in page] == ["S4"]
    assert [row["trigger-label"] for row in client.get(f"{url}/summary").json()] == ["S4", "S2", "S1", "S0"]
    assert client.get(f"{url}/1").json()["trigger"]["label"] == "S0"
    assert client.get(f"{url}/4").status_code == 404  # its filter did not fit
    assert client.post(url, json={"size": 10**30}).status_code == 200


def test_what_there_is_to_subscribe_to(client: httpx.Client, tmp_path: Path) -> None:
    wrapper = install(client, tmp_path / "images")
    kinds = {kind["type"]: kind for kind in client.get("/xapi/events/events").json()}
    assert kinds[SESSION_EVENT]["statuses"] == ["CREATED", "MERGED", "DELETED"]
    assert client.get("/xapi/events/event", params={"event-type": SESSION_EVENT}).json() == kinds[SESSION_EVENT]
    actions = {action["action-key"] for action in client.get("/xapi/projects/P/events/actions").json()}
    assert f"{ACTION}:{wrapper}" in actions
    client.put(f"/xapi/wrappers/{wrapper}/disabled")
    actions = {action["action-key"] for action in client.get("/xapi/events/actions").json()}
    assert f"{ACTION}:{wrapper}" not in actions
