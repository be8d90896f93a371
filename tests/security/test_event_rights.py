"""What an event starts runs with the rights of whom it runs for, and is refused without; no credentials stay behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from helpers.archive import add_project, add_session, add_user
from helpers.fake_runner import FakeRunner, use_runner
from helpers.runs import install, launch_url, wait_for
from hub_fixture import RunningHub, start_hub
from overread.hub.items.announce import announce
from overread.hub.models import AliasToken, Container, Experiment, Membership, User

SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"
ACTION = "org.nrg.containers.services.CommandActionProvider"
ROLES = ("collaborator", "member", "owner")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningHub]:
    runner = FakeRunner()
    hub = start_hub(tmp_path, images=(tmp_path / "images",), change=lambda hub: use_runner(hub, runner))
    add_project(hub.hub)
    for role in ROLES:
        add_user(hub.hub, role, role=role, project="P")
    add_user(hub.hub, "outsider")
    yield hub
    hub.stop()


def subscribe(hub: RunningHub, wrapper: int, *, login: str = "admin", by_event: bool = False) -> int:
    document = {
        "name": "s", "active": True, "action-key": f"{ACTION}:{wrapper}", "attributes": {},
        "event-filter": {"event-type": SESSION_EVENT, "status": "MERGED", "project-ids": ["P"]},
        "act-as-event-user": by_event,
    }  # fmt: skip
    base = "/xapi" if login == "admin" else "/xapi/projects/P"
    with hub.client(login, None if login == "admin" else "secret") as client:
        answer = client.post(f"{base}/events/subscription", json=document)
    assert answer.status_code == 201, answer.text
    return int(answer.text.rpartition(":")[2])


def happen(hub: RunningHub, session_id: str, user: str) -> None:
    with hub.hub.database.write() as db:
        announce(db, hub.hub, db.get_one(Experiment, session_id), "MERGED", user=user)


def runs_of(hub: RunningHub) -> list[str]:
    with hub.hub.database.read() as db:
        return list(db.scalars(select(Container.user).order_by(Container.id)))


def last_delivery(hub: RunningHub) -> dict[str, Any]:
    with hub.client() as client:
        found: list[dict[str, Any]] = client.post("/xapi/events/delivered", json={}).json()
    return found[0]


def test_an_action_runs_as_who_caused_the_event_with_that_users_rights(running: RunningHub, tmp_path: Path) -> None:
    with running.client() as admin:
        subscribe(running, install(admin, tmp_path / "images"), by_event=True)
    session_id = add_session(running.hub, event="")
    for login in ("collaborator", "outsider", "guest", "nobody"):
        happen(running, session_id, login)
        delivery = last_delivery(running)
        assert delivery["error"] is True, login
        assert delivery["user"] == login
        assert (
            "may not launch" in delivery["status-message"]
            or "no active user" in delivery["status-message"]
            or ("Unable to identify" in delivery["status-message"])
        ), delivery["status-message"]
        assert runs_of(running) == []
    happen(running, session_id, "member")
    assert runs_of(running) == ["member"]


@pytest.mark.parametrize("loss", ["is disabled", "is gone from the project", "only reads now"])
def test_a_subscription_ends_with_the_rights_of_its_owner(running: RunningHub, tmp_path: Path, loss: str) -> None:
    with running.client() as admin:
        subscribe(running, install(admin, tmp_path / "images"), login="owner")
    session_id = add_session(running.hub, event="")
    with running.hub.database.write() as db:
        membership = db.scalar(select(Membership).where(Membership.login == "owner"))
        user = db.scalar(select(User).where(User.login == "owner"))
        assert membership is not None
        assert user is not None
        if loss == "is disabled":
            user.enabled = False
        elif loss == "only reads now":
            membership.role = "collaborator"
        else:
            db.execute(delete(Membership).where(Membership.login == "owner"))
    happen(running, session_id, "admin")
    assert last_delivery(running)["error"] is True
    assert runs_of(running) == []


def test_owners_do_not_borrow_an_administrators_name(running: RunningHub, tmp_path: Path) -> None:
    with running.client() as admin:
        number = subscribe(running, install(admin, tmp_path / "images"))
    with running.client("owner", "secret") as owner:
        where = f"/xapi/projects/P/events/subscription/{number}"
        assert owner.put(where, json={"attributes": {"mode": "quick"}, "act-as-event-user": True}).status_code == 200
        shown = owner.get(where).json()
    assert (shown["subscription-owner"], shown["act-as-event-user"]) == ("owner", False)
    happen(running, add_session(running.hub, event=""), "admin")
    assert runs_of(running) == ["owner"]


@pytest.mark.parametrize("mode", ["quick", "fail"])
def test_a_run_gets_no_credentials_and_leaves_none(running: RunningHub, tmp_path: Path, mode: str) -> None:
    with running.client() as admin:
        wrapper = install(admin, tmp_path / "images")
        session_id = add_session(running.hub, event="")
        values = {"session": f"/archive/experiments/{session_id}", "mode": mode}
        assert admin.post(launch_url(wrapper), json=values).status_code == 200
        (run,) = wait_for(admin)
        variables = run["env"]
        assert not [name for name in variables if name.upper().startswith(("XNAT_USER", "XNAT_PASS", "XNAT_HOST"))]
    with running.hub.database.read() as db:
        assert db.scalar(select(AliasToken.alias)) is None
