"""What the pages on projects, commands, subscriptions, receivers, users and storage ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.archive import add_session, add_user
from helpers.arrivals import store_manifest
from helpers.runs import document, install, launch, wait_for
from helpers.site_data import fill
from hub_fixture import RunningHub, start_hub
from overread.hub.models import ReceivedObject
from overread.hub.upkeep.backup import make_backup

SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"
ACTION = "org.nrg.containers.services.CommandActionProvider"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("site")
    running = start_hub(folder, images=(folder / "images",))
    fill(running.hub, sessions=30, owner="olive")
    fill(running.hub, sessions=3, project="OTHER")
    add_user(running.hub, "mia", project="BTS", role="member")
    store_manifest(running)
    with running.client() as client:
        wrapper = install(client, folder / "images", project="BTS")
        about = {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": ["BTS"]}
        body = {"name": "new exams", "active": True, "action-key": f"{ACTION}:{wrapper}", "event-filter": about}
        assert client.post("/xapi/events/subscription", json=body).status_code == 201
        add_session(running.hub, "FRESH", project="BTS")
        running.hub.runs.wake()
        wait_for(client, project="BTS", count=1)
    yield running
    running.stop()


@pytest.fixture
def client(site: RunningHub) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def owner(site: RunningHub) -> Iterator[httpx.Client]:
    with site.client("olive", "secret") as owner:
        yield owner


def get(client: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/xapi/overread/{path}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def lint(client: httpx.Client, text: str) -> dict[str, Any]:
    answer = client.post("/xapi/overread/commands/lint", content=text.encode())
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_project_tells_roles_counts_study_and_automation(client: httpx.Client, owner: httpx.Client) -> None:
    (found,) = get(client, "projects", project="BTS")["rows"]
    assert found["counts"]["sessions"] == 31
    assert found["counts"]["prearchive"] == 2
    assert found["counts"]["failed-runs"] == 2
    assert {(one["login"], one["role"]) for one in found["users"]} >= {("olive", "owner"), ("mia", "member")}
    assert (found["study"]["title"], found["study"]["mode"], found["study"]["fault"]) == ("Brain tumour", "shadow", "")
    (started,) = found["subscriptions"]
    assert (started["name"], started["active"], started["enabled"]) == ("new exams", True, True)
    assert [row["id"] for row in get(owner, "projects")["rows"]] == ["BTS"]
    assert {row["id"] for row in get(client, "projects", search="oth")["rows"]} == {"OTHER"}
    (other,) = get(client, "projects", project="OTHER")["rows"]
    assert (other["study"], other["subscriptions"]) == (None, [])


def test_commands_tell_where_they_are_enabled_and_whether_their_image_is_there(
    client: httpx.Client, owner: httpx.Client
) -> None:
    (command,) = get(client, "commands")["rows"]
    assert (command["name"], command["image-present"]) == ("tiny", True)
    (wrapper,) = command["wrappers"]
    assert (wrapper["site"], wrapper["projects"]) == (True, ["BTS"])
    assert client.put(f"/xapi/projects/OTHER/wrappers/{wrapper['id']}/enabled").status_code == 200
    assert get(client, "commands")["rows"][0]["wrappers"][0]["projects"] == ["BTS", "OTHER"]
    assert get(owner, "commands")["rows"][0]["wrappers"][0]["projects"] == ["BTS"]


def test_a_command_with_a_fault_is_told_where_and_how_to_mend_it(client: httpx.Client) -> None:
    good = document(name="other")
    assert [one for one in lint(client, json.dumps(good))["findings"] if one["severity"] == "error"] == []
    bad = json.loads(json.dumps(good))
    bad["outputs"][0]["mount"] = "uot"
    (finding,) = [one for one in lint(client, json.dumps(bad, indent=2))["findings"] if one["severity"] == "error"]
    assert finding["path"] == "$.outputs[0].mount"
    assert finding["rule"]
    assert finding["why"]
    assert "uot" in finding["message"]
    assert "out" in finding["mend"]
    assert finding["line"] > 1
    for text in ("", "{", "[]", '"x"', "{" * 3000, '{"name": 1, "nmae": 2}', "\0", '{"a": NaN}'):
        assert any(one["severity"] == "error" for one in lint(client, text)["findings"]), text
    assert client.post("/xapi/overread/commands/lint", content=b"\xff\xfe").status_code == 400
    assert client.post("/xapi/overread/commands/lint", content=b" " * 2**21).status_code == 400


def test_linting_stores_nothing_and_tells_what_is_there_already(client: httpx.Client) -> None:
    before = client.get("/xapi/commands").json()
    known = lint(client, json.dumps(document()))
    assert known["replaces"] == before[0]["id"]
    fresh = lint(client, json.dumps(document(version="9", image="nobody/has:it")))
    assert (fresh["replaces"], fresh["image-present"]) == (None, False)
    assert client.get("/xapi/commands").json() == before


def test_a_delivery_tells_its_steps_and_its_run(client: httpx.Client, owner: httpx.Client) -> None:
    (subscription,) = get(client, "subscriptions")["rows"]
    assert (subscription["starts"], subscription["deliveries"]) == ("tiny: tiny-session", 1)
    (delivery,) = get(client, "deliveries", subscription=str(subscription["id"]))["rows"]
    assert (delivery["event"], delivery["project"], delivery["error"]) == ("SessionEvent", "BTS", False)
    assert delivery["payload"]["label"] == "FRESH"
    assert [step["status"] for step in delivery["steps"]][:3] == [
        "EVENT_TRIGGERED", "EVENT_DETECTED", "SUBSCRIPTION_TRIGGERED",
    ]  # fmt: skip
    run = delivery["runs"][-1]  # the other runs are made up
    assert get(client, f"runs/{run['id']}")["label"] == "FRESH"
    assert get(client, "deliveries", state="failed")["total"] == 0
    assert get(owner, "deliveries")["total"] == 1
    assert get(owner, "subscriptions")["rows"][0]["name"] == "new exams"
    for query in ({"state": "lost"}, {"subscription": "x"}):
        assert client.get("/xapi/overread/deliveries", params=query).status_code == 400


def test_receivers_tell_who_sent_when(site: RunningHub, client: httpx.Client) -> None:
    made = client.post("/xapi/dicomscp", json={"aeTitle": "SEEN", "port": 11999, "enabled": False}).json()
    with site.hub.database.write() as db:
        for state in ("received", "refused", "refused"):
            db.add(ReceivedObject(state=state, source=f"SEEN:{made['port']} from CT 1"))
    (found,) = [row for row in get(client, "receivers")["rows"] if row["aeTitle"] == "SEEN"]
    (sender,) = found["senders"]
    assert (sender["sender"], sender["objects"], sender["refused"]) == ("CT 1", 1, 2)
    assert found["last-seen"] == sender["last"] != ""
    assert client.delete(f"/xapi/dicomscp/{made['id']}").status_code == 200


def test_users_tell_their_roles_and_no_secret(client: httpx.Client, owner: httpx.Client) -> None:
    (mia,) = get(client, "users", search="MIA")["rows"]
    assert (mia["username"], mia["roles"], mia["projects"]) == ("mia", [], [{"project": "BTS", "role": "member"}])
    assert not [key for key in mia if "password" in key]
    assert get(client, "users", state="disabled")["total"] == 0
    assert "Administrator" in get(client, "users")["site-roles"]
    assert owner.get("/xapi/overread/users").status_code == 403


def test_storage_tells_sizes_and_backups_and_is_checked(site: RunningHub, client: httpx.Client, tmp_path: Path) -> None:
    before = get(client, "storage")
    assert before["free"] <= before["total"]
    (bts,) = [row for row in before["projects"] if row["project"] == "BTS"]
    assert bts["files"] >= 1
    assert bts["size"] >= len("image of scan 1")
    assert before["backups"] == []
    make_backup(site.hub, tmp_path / "copy")
    (backup,) = get(client, "storage")["backups"]
    assert (backup["folder"], backup["present"]) == (str((tmp_path / "copy").resolve()), True)
    found = client.post("/xapi/overread/storage/check").json()
    stray = site.hub.layout.archive / "stray"
    stray.write_text("x")
    again = client.post("/xapi/overread/storage/check", params={"digests": "true"}).json()
    stray.unlink()
    assert again["total"] == found["total"] + 1
    assert {"what": "the file belongs to no resource", "where": "archive/stray"} in again["findings"]


def test_catalogs_that_are_missing_or_differ_are_written_anew(site: RunningHub, client: httpx.Client) -> None:
    def ask() -> tuple[int, int, int]:
        found = client.post("/xapi/overread/storage/catalogs").json()
        return found["total"], found["written"], found["failed"]

    site.hub.catalogs.write_due()
    catalog, other, *_ = sorted(site.hub.layout.archive.rglob("*_catalog.xml"))
    content = catalog.read_bytes()
    total, written, failed = ask()
    assert (total > 1, written, failed) == (True, 0, 0)
    catalog.unlink()
    other.write_text("<x/>")
    assert ask() == (total, 2, 0)
    assert catalog.read_bytes() == content
    assert ask() == (total, 0, 0)


def test_health_is_told_in_words(client: httpx.Client) -> None:
    found = get(client, "health")
    assert found["ok"] is True
    assert {check["name"] for check in found["checks"]} == {"database", "disk", "receiver", "runner"}


def test_a_failed_run_is_run_again_and_the_page_names_both(site: RunningHub, client: httpx.Client) -> None:
    wrapper = get(client, "commands")["rows"][0]["wrappers"][0]["id"]
    session = add_session(site.hub, "AGAIN", project="BTS", event="")
    assert launch(client, wrapper, session, project="BTS", mode="crash").status_code == 200
    wait_for(client, project="BTS", count=2)
    failed = get(client, "runs", search="AGAIN")["rows"][0]
    answer = client.post(f"/xapi/overread/runs/{failed['id']}/rerun")
    assert answer.status_code == 201
    wait_for(client, project="BTS", count=3)
    assert get(client, f"runs/{failed['id']}")["again"] == answer.json()["id"]
    assert get(client, f"runs/{answer.json()['id']}")["rerun-of"] == failed["id"]
    assert get(client, f"runs/{answer.json()['id']}")["attempts"] == 1
