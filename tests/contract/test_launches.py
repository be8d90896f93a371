"""Many launches at once, several in a row, and failed ones again: over REST, with a runner that runs nothing."""

from __future__ import annotations

import concurrent.futures
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.archive import add_project, add_session, add_user
from helpers.fake_runner import DONE, FakeRunner, use_runner
from helpers.runs import document, launch, launch_url, wait_for
from hub_fixture import RunningHub, start_hub
from overread.hub import bootstrap
from overread.hub.items.announce import announce
from overread.hub.models import Experiment
from overread.hub.runs.runner import End, Exit, RunSpec

FAILED = Exit(End.EXITED, 1, "DataError: no series")

Start = Callable[..., RunningHub]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a hub with a runner that runs nothing, and a project P."""
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)
    started: list[RunningHub] = []

    def begin(runner: FakeRunner, *, workers: int = 2, **config: Any) -> RunningHub:
        running = start_hub(tmp_path, change=lambda hub: use_runner(hub, runner, workers=workers), **config)
        started.append(running)
        add_project(running.hub)
        return running

    yield begin
    for running in started:
        running.stop()


def install(client: httpx.Client, name: str = "tiny", **changes: Any) -> int:
    """Add a command whose outputs are not needed and enable it in P; return its wrapper's id."""
    whole = document(name=name, **changes)
    whole["xnat"][0]["name"] = f"{name}-session"
    for output in whole["outputs"]:
        output["required"] = False
    number = client.post("/xapi/commands", json=whole).json()
    wrapper = int(client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"])
    for place in ("", "/projects/P"):
        assert client.put(f"/xapi{place}/wrappers/{wrapper}/enabled").status_code == 200
    return wrapper


def chain(client: httpx.Client, *wrappers: int, halt: bool = True) -> int:
    """Make an orchestration of wrappers and give it to P."""
    body = {"id": 0, "name": "chain", "haltOnCommandFailure": halt, "wrapperIds": list(wrappers)}
    made = client.post("/xapi/orchestration", json=body)
    assert made.status_code == 200, made.text
    number = int(made.json()["id"])
    answer = client.put("/xapi/orchestration/project/P", params={"orchestrationId": number})
    assert answer.status_code == 200, answer.text
    return number


def fails_when(word: str) -> Callable[[RunSpec], Exit]:
    """Return the work of a runner on which commands with `word` in their line fail."""
    return lambda spec: FAILED if word in spec.command_line else DONE


def test_orchestrations_as_xnat_has_them(start: Start) -> None:
    running = start(FakeRunner())
    with running.client() as client:
        one, two = install(client), install(client, "second")
        off = client.post("/xapi/commands", json=document(name="off")).json()
        off_wrapper = client.get(f"/xapi/commands/{off}").json()["xnat"][0]["id"]
        for wrong, why in (
            ({"name": "x", "wrapperIds": [one]}, "fewer than two wrappers"),
            ({"name": "x", "wrapperIds": [one, off_wrapper]}, f"Wrapper {off_wrapper} not enabled for site"),
            ({"name": "", "wrapperIds": [one, two]}, "name"),
            ({"name": "x", "wrapperIds": ["1", "2"]}, "numbers"),
        ):
            answer = client.post("/xapi/orchestration", json=wrong)
            assert (answer.status_code, why in answer.text) == (400, True), answer.text
        number = chain(client, one, two)
        described = {"id": number, "wrapperIds": [one, two], "name": "chain", "enabled": True,
                     "haltOnCommandFailure": True}  # fmt: skip
        assert client.get("/xapi/orchestration").json() == [described]
        of_project = {"availableOrchestrations": [described], "selectedOrchestrationId": number}
        assert client.get("/xapi/orchestration/project/P").json() == of_project
        assert client.put(f"/xapi/orchestration/{number}/enabled/false").status_code == 200
        assert client.get("/xapi/orchestration/project/P").json()["selectedOrchestrationId"] is None
        chosen = {"orchestrationId": number}
        assert client.put("/xapi/orchestration/project/P", params=chosen).status_code == 400
        assert client.put(f"/xapi/orchestration/{number}/enabled/true").status_code == 200
        assert client.put("/xapi/orchestration/project/P", params=chosen).status_code == 200
        assert client.put(f"/xapi/wrappers/{two}/disabled").status_code == 200  # so it can't work any more
        assert client.get("/xapi/orchestration").json()[0]["enabled"] is False
        assert client.delete(f"/xapi/orchestration/{number}").status_code == 200
        assert client.get("/xapi/orchestration").json() == []
        assert client.put("/xapi/orchestration/project/P", params=chosen).status_code == 404


def test_one_launch_runs_the_whole_chain_on_one_object(start: Start) -> None:
    running = start(FakeRunner())
    with running.client() as client:
        wrappers = [install(client, name) for name in ("first", "second", "third")]
        number = chain(client, *wrappers)
        session = add_session(running.hub)
        launch(client, wrappers[0], session)
        runs = wait_for(client, count=3)
        assert [(run["wrapper-id"], run["status"]) for run in runs] == [(one, "Complete") for one in wrappers]
        assert {run["inputs"][0]["value"] for run in runs} == {f"/archive/experiments/{session}"}
        steps = client.get("/xapi/overread/projects/P/orchestrations").json()
        assert [(step["orchestration-id"], step["step"], step["status"]) for step in steps] == [
            (number, place, "Complete") for place in (2, 1, 0)
        ]
        assert {step["object"] for step in steps} == {session}
        last = client.get(f"/data/workflows/{runs[2]['workflow-id']}").json()["items"][0]["data_fields"]
        assert (last["next_step_id"], last["current_step_id"]) == (str(number), "2")
        launch(client, wrappers[1], session)  # not the first of the chain: by itself
        assert len(wait_for(client, count=4)) == 4


@pytest.mark.parametrize("halt", [True, False])
def test_a_chain_stops_at_a_failure_unless_told_otherwise_and_goes_on_after_a_rerun(
    start: Start, *, halt: bool
) -> None:
    runner = FakeRunner(fails_when("--mode=broken"))
    running = start(runner)
    with running.client() as client:
        broken = [{"name": "mode", "type": "string", "command-line-flag": "--mode", "command-line-separator": "=",
                   "default-value": "broken"}, document()["inputs"][1]]  # fmt: skip
        wrappers = [install(client, "first"), install(client, "second", inputs=broken), install(client, "third")]
        chain(client, *wrappers, halt=halt)
        launch(client, wrappers[0], add_session(running.hub))
        runs = wait_for(client, count=2 if halt else 3)
        expected = ["Complete", "Failed"] if halt else ["Complete", "Failed", "Complete"]
        assert [run["status"] for run in runs] == expected
        if halt:
            runner.work = lambda _spec: DONE
            answer = client.post(f"/xapi/overread/runs/{runs[1]['id']}/rerun")
            assert answer.status_code == 201
            runs = wait_for(client, count=4)
            assert [run["status"] for run in runs] == ["Complete", "Failed", "Complete", "Complete"]
            assert [run["wrapper-id"] for run in runs] == [*wrappers[:2], *wrappers[1:]]


def test_a_step_that_can_not_be_launched_is_told(start: Start) -> None:
    running = start(FakeRunner())
    with running.client() as client:
        one, two = install(client), install(client, "second")
        chain(client, one, two)
        client.put(f"/xapi/projects/P/wrappers/{two}/disabled")
        launch(client, one, add_session(running.hub))
        wait_for(client)
        step = client.get("/xapi/overread/projects/P/orchestrations").json()[0]
        assert (step["step"], step["status"], step["run"]) == (1, "Failed (Orchestration)", None)
        assert "not enabled in project P" in step["message"]


def test_a_bulk_launch_tells_how_far_it_is(start: Start) -> None:
    runner = FakeRunner(lambda spec: FAILED if spec.environment["OVERREAD_SESSION_LABEL"] == "S2" else DONE)
    running = start(runner)
    add_user(running.hub, "member", role="member", project="P")
    with running.client() as client, running.client("member", "secret") as member:
        wrapper = install(client)
        uris = [f"/archive/experiments/{add_session(running.hub, f'S{number}')}" for number in (1, 2)]
        body = {"session": json.dumps([*uris, "/archive/experiments/NONE"])}
        told = client.post(launch_url(wrapper, verb="bulklaunch"), json=body).json()
        wait_for(client, count=2)
        url = f"/xapi/event_tracking/{told['bulk-launch-id']}"
        tracked = client.get(url).json()
        assert (tracked["succeeded"], tracked["finalMessage"]) == (False, "1 jobs succeed / 2 jobs failed")
        payload = json.loads(tracked["payload"])
        assert client.get(f"{url}/payload").json() == payload
        assert (payload["total"], payload["successCount"], payload["failureCount"]) == (3, 1, 2)
        assert Counter(one["status"] for one in payload["workflows"].values()) == {"Complete": 1, "Failed": 1}
        assert member.get(url).status_code == 404
        assert client.get("/xapi/event_tracking/none").status_code == 404


def test_a_failed_run_is_done_again_once_however_often_it_is_asked_for(start: Start) -> None:
    runner = FakeRunner(lambda _spec: FAILED)
    running = start(runner)
    add_user(running.hub, "member", role="member", project="P")
    add_user(running.hub, "reader", role="collaborator", project="P")
    add_user(running.hub, "stranger")
    with running.client() as client:
        wrapper = install(client)
        launch(client, wrapper, add_session(running.hub), mode="full")
        (old,) = wait_for(client)
        url = f"/xapi/overread/runs/{old['id']}/rerun"
        for login, status in (("stranger", 404), ("reader", 403)):
            with running.client(login, "secret") as other:
                assert other.post(url).status_code == status
        runner.work = lambda _spec: None  # so that the new run is still going on when it is asked for again
        with running.client("member", "secret") as member, concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: member.post(url), range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
        (number,) = {answer.json()["id"] for answer in answers}
        assert client.post(f"/xapi/overread/runs/{number}/rerun").status_code == 409
        client.post(f"/xapi/containers/{number}/kill")
        old, new = wait_for(client, count=2)
        assert (new["rerun-of"], new["user-id"], new["status"]) == (old["id"], "member", "Failed (Killed)")
        assert {row["name"]: row["value"] for row in new["inputs"] if row["type"] == "raw"}["mode"] == "full"
        assert old["history"][-1]["message"] == f"Run {number} does it again."
        runner.work = lambda _spec: DONE
        again = client.post(f"/xapi/overread/runs/{number}/rerun")
        assert again.status_code == 201
        assert [run["status"] for run in wait_for(client, count=3)][2] == "Complete"
        assert client.post(f"/xapi/overread/runs/{again.json()['id']}/rerun").status_code == 409


def test_what_automation_began_and_a_user_did_again_is_not_begun_a_third_time(start: Start) -> None:
    runner = FakeRunner(lambda _spec: FAILED)
    running = start(runner)
    with running.client() as client:
        wrapper = install(client)
        wanted = {"event-type": "org.nrg.xnat.eventservice.events.SessionEvent", "status": "CREATED",
                  "project-ids": ["P"]}  # fmt: skip
        action = f"org.nrg.containers.services.CommandActionProvider:{wrapper}"
        attributes = {"overread-priority": "high"}
        document = {"name": "s", "action-key": action, "event-filter": wanted, "attributes": attributes}
        assert client.post("/xapi/events/subscription", json=document).status_code == 201
        session_id = add_session(running.hub)
        (old,) = wait_for(client)
        assert old["priority"] == "high"
        runner.work = lambda _spec: DONE
        assert client.post(f"/xapi/overread/runs/{old['id']}/rerun").status_code == 201
        wait_for(client, count=2)
        with running.hub.database.write() as db:
            announce(db, running.hub, db.get_one(Experiment, session_id), "CREATED", user="admin")
        assert len(wait_for(client, count=2)) == 2


@pytest.mark.slow
def test_a_thousand_launches_at_once_end_exactly_once_each(start: Start) -> None:
    runner = FakeRunner()
    running = start(runner, workers=4)
    with running.client() as client:
        wrapper = install(client)
        sessions = [add_session(running.hub, f"S{number}", event="") for number in range(10)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: launch(client, wrapper, sessions[n % 10]), range(500)))
        assert {answer.status_code for answer in answers} == {200}
        body = {"session": json.dumps([f"/archive/experiments/{one}" for one in sessions * 50])}
        told = client.post(launch_url(wrapper, verb="bulklaunch"), json=body, timeout=120).json()
        assert (len(told["successes"]), told["failures"]) == (500, [])
        wait_for_all(client, 1000)
        runs = client.get("/xapi/projects/P/containers").json()
        assert len(runs) == 1000
        assert {run["status"] for run in runs} == {"Complete"}
        assert set(Counter(runner.order()).values()) == {1}
        assert all([line["status"] for line in run["history"]].count("Complete") == 1 for run in runs)
        assert client.get(f"/xapi/event_tracking/{told['bulk-launch-id']}").json()["succeeded"] is True


def wait_for_all(client: httpx.Client, count: int) -> None:
    """Wait until so many runs have ended, asking for those that go on only."""
    deadline = time.monotonic() + 300
    while client.get("/xapi/containers", params={"nonfinalized": "true"}).json():
        assert time.monotonic() < deadline, f"not all of {count} runs have ended"
        time.sleep(0.5)
