"""The queue: who goes first, what is tried again, what is ended, and what another hub takes up."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from helpers.archive import add_project, add_session
from helpers.fake_runner import DONE, FakeRunner, output_of, use_runner
from helpers.runs import document
from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub import bootstrap
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.errors import HubError
from overread.hub.models import Container
from overread.hub.models.base import utc_now
from overread.hub.runs import ends, lifecycle, priorities, states
from overread.hub.runs.documents import find_wrapper, save_command, set_enabled
from overread.hub.runs.launch import queue_launch
from overread.hub.runs.lifecycle import delay_of
from overread.hub.runs.outputs import store_outputs
from overread.hub.runs.runner import End, Exit, RunSpec
from overread.hub.runs.spec import devices_of

TIMEOUT_S = 30.0


class Bench:
    """A hub with a queue and a runner of the test, projects P and Q with a session each."""

    def __init__(self, home: Path, runner: FakeRunner, **options: Any) -> None:
        config = {"home": home, "dicom_port": 0, "tick_s": 0.02, "retry_delay_s": 0.01, "run_attempts": 3}
        self.hub = assemble(Hub(HubConfig(**config | options.pop("config", {}))))
        self.runner = use_runner(self.hub, runner, **options)
        self.sessions: dict[str, str] = {}
        self._started = False

    def fill(self) -> Bench:
        bootstrap.prepare(self.hub)
        for project in ("P", "Q"):
            add_project(self.hub, project)
            self.sessions[project] = add_session(self.hub, project=project, event="")
        return self

    def command(self, **changes: Any) -> int:
        """Add a command whose outputs are not needed; return its wrapper's id."""
        whole = document(**changes)
        for output in whole["outputs"]:
            output["required"] = False
        with self.hub.database.write() as db:
            wrapper_id = int(save_command(db, whole).document["xnat"][0]["id"])
            for place in ("", "P", "Q"):
                set_enabled(db, wrapper_id, place, enabled=True)
        return wrapper_id

    def launch(self, wrapper_id: int, project: str = "P", **values: str) -> int:
        inputs = {"session": f"/archive/experiments/{self.sessions[project]}"}
        inputs |= {name.replace("_", "-"): value for name, value in values.items()}
        with self.hub.database.write() as db:
            wrapper = find_wrapper(db, wrapper_id, project=project)
            queued = queue_launch(
                db, self.hub, wrapper=wrapper, project=project, user="admin", inputs=inputs, origin="user"
            )
            assert queued is not None
            return queued.id

    def start(self) -> None:
        self.hub.runs.start()
        self._started = True

    def stop(self) -> None:
        if self._started:
            self.hub.runs.stop()
        self.hub.database.close()

    def get(self, run: int) -> Container:
        with self.hub.database.read() as db:
            found = db.get_one(Container, run)
            db.expunge(found)
            return found

    def kill(self, run: int) -> None:
        with self.hub.database.write() as db:
            self.hub.runs.kill(db, db.get_one(Container, run), user="anna")

    def until(self, what: Callable[[], Any]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not what():
            assert time.monotonic() < deadline, [(one.id, one.status, one.reason) for one in self.all()]
            time.sleep(0.01)

    def all(self) -> list[Container]:
        with self.hub.database.read() as db:
            return [self.get(number) for number in db.scalars(select(Container.id).order_by(Container.id))]

    def finished(self, *runs: int) -> list[str]:
        """Wait for the ends of runs; return their statuses."""
        self.until(lambda: all(states.is_finished(self.get(run).status) for run in runs))
        return [self.get(run).status for run in runs]


def words(container: Container) -> list[str]:
    return [line["status"] for line in container.history]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setenv(bootstrap.PASSWORD_VARIABLE, "secret-of-admin")
    made: list[Bench] = []

    def build(runner: FakeRunner, **options: Any) -> Bench:
        made.append(Bench(tmp_path / "home", runner, **options).fill())
        return made[-1]

    yield build
    for bench in made:
        bench.stop()


def test_priority_first_then_projects_in_turns_then_who_came_first(make: Callable[..., Bench]) -> None:
    bench = make(FakeRunner())
    plain, urgent = bench.command(), bench.command(name="u", container_labels={"overread.priority": "urgent"})
    many = [bench.launch(plain) for _ in range(4)]
    other = [bench.launch(plain, "Q") for _ in range(2)]
    low = bench.launch(plain, "Q", overread_priority="low")
    high = bench.launch(plain, overread_priority="high")
    first = bench.launch(urgent)
    bench.start()
    assert set(bench.finished(*many, *other, low, high, first)) == {"Complete"}
    # After `high` and `first`, which were P's, it is Q's turn.
    assert bench.runner.order() == [first, high, other[0], many[0], other[1], many[1], many[2], many[3], low]
    with pytest.raises(HubError, match="one of low, normal"):
        bench.launch(plain, overread_priority="soon")


def test_a_run_that_wants_a_gpu_waits_for_one_and_others_pass_it(make: Callable[..., Bench]) -> None:
    bench = make(FakeRunner(lambda spec: None if spec.devices.gpus else DONE), gpus=("7",))
    gpu, cpu = bench.command(gpus="1"), bench.command(name="cpu")
    running, waiting, passing = bench.launch(gpu), bench.launch(gpu), bench.launch(cpu)
    bench.start()
    assert bench.finished(passing) == ["Complete"]
    bench.until(lambda: bench.get(running).status == states.RUNNING)
    assert bench.get(waiting).status == states.QUEUED
    bench.runner.release(bench.get(running).backend_id)
    bench.until(lambda: bench.get(waiting).status == states.RUNNING)
    bench.runner.release(bench.get(waiting).backend_id)
    assert bench.finished(running, waiting) == ["Complete", "Complete"]
    assert [spec.devices.gpus for spec in bench.runner.started].count("device=7") == 2


@pytest.mark.parametrize(
    ("command", "slot", "gpu", "gpus", "runtime"),
    [
        ({}, "cpu", None, "", ""),
        ({"gpus": "1"}, "gpu", "3", "device=3", ""),
        ({"gpus": "all"}, "gpu", "3", "all", ""),
        ({"runtime": "nvidia"}, "gpu", "3", "device=3", "nvidia"),
        ({"gpus": "all", "runtime": "nvidia"}, "gpu", None, "", ""),  # no GPU here: the image runs on the processor
        ({"generic-resources": {"NVIDIA-GPU": "1"}}, "gpu", "3", "", ""),  # a Swarm gives them out itself
        ({"runtime": "runsc"}, "cpu", None, "", "runsc"),
    ],
)
def test_devices(command: dict[str, Any], slot: str, gpu: str | None, gpus: str, runtime: str) -> None:
    assert priorities.slot_of(command) == slot
    devices = devices_of(command, gpu)
    assert (devices.gpus, devices.runtime) == (gpus, runtime)
    assert dict(devices.generic_resources) == command.get("generic-resources", {})


def test_a_limit_of_the_command_counts_below_that_of_the_site() -> None:
    labels = {"container-labels": {"overread.time-limit-s": "60"}}
    assert priorities.limit_of(labels, at_most_s=3600) == 60
    assert priorities.limit_of(labels, at_most_s=30) == 30
    assert priorities.limit_of({}, at_most_s=30) == 30


def test_a_launch_may_say_its_own_limit_and_attempts(make: Callable[..., Bench]) -> None:
    resolved = {
        "container-labels": {"overread.time-limit-s": "60"},
        "inputs": [{"type": "raw", "name": "overread-time-limit-s", "value": "90"}],
    }
    assert priorities.limit_of(resolved, at_most_s=3600) == 90
    assert priorities.limit_of(resolved, at_most_s=30) == 30

    def work(_spec: RunSpec) -> Exit:
        raise TemporaryRunnerError("The engine does not answer.")

    bench = make(FakeRunner(work))
    run = bench.launch(bench.command(), overread_attempts="2")
    bench.start()
    (status,) = bench.finished(run)
    assert status.startswith("Failed")
    assert bench.get(run).attempts == 2
    for name in ("overread_attempts", "overread_time_limit_s"):
        with pytest.raises(HubError, match="a whole number above 0"):
            bench.launch(bench.get(run).wrapper_id, **{name: "soon"})


def test_a_temporary_failure_is_tried_again_later(make: Callable[..., Bench]) -> None:
    failures = iter([TemporaryRunnerError("The engine does not answer."), OSError(errno.ENOSPC, "No space left")])

    def work(_spec: RunSpec) -> Exit:
        for problem in failures:
            raise problem
        return DONE

    bench = make(FakeRunner(work))
    run = bench.launch(bench.command())
    bench.start()
    assert bench.finished(run) == ["Complete"]
    ended = bench.get(run)
    told = [line["message"] for line in ended.history if line["status"] == states.RETRY]
    assert told == ["attempt 1 of 3: The engine does not answer.", "attempt 2 of 3: No space left."]
    assert [line["message"] for line in ended.history if line["status"] == "Created"][1:] == [
        "Attempt 2 of 3",
        "Attempt 3 of 3",
    ]
    assert ended.attempts == 3
    assert ended.image_digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("end", "attempts", "reason"),
    [
        (Exit(End.LOST, -1, "The node went away."), 3, "The node went away. (attempt 3 of 3)"),
        (Exit(End.EXITED, 2, "DataError: no series"), 1, "DataError: no series"),
        (Exit(End.TIMED_OUT, -9, "The run took longer than its limit."), 1, "The run took longer than its limit."),
        (Exit(End.TOO_MUCH, -9, "It wrote too much."), 1, "It wrote too much."),
    ],
)
def test_what_stays_wrong_fails_in_the_end(make: Callable[..., Bench], end: Exit, attempts: int, reason: str) -> None:
    bench = make(FakeRunner(lambda _spec: end))
    run = bench.launch(bench.command())
    bench.start()
    assert bench.finished(run) == ["Failed"]
    assert (bench.get(run).attempts, bench.get(run).reason) == (attempts, reason)
    assert len(bench.runner.started) == attempts
    bench.until(lambda: not bench.runner.runs)  # nothing is left on the engine


def test_what_can_not_be_started_fails_at_once(make: Callable[..., Bench]) -> None:
    def work(_spec: RunSpec) -> Exit:
        raise PermanentRunnerError("There is no such image.")

    bench = make(FakeRunner(work))
    run = bench.launch(bench.command())
    bench.start()
    assert bench.finished(run) == ["Failed"]
    assert bench.get(run).attempts == 1


def test_delays_grow_up_to_a_quarter_of_an_hour() -> None:
    assert [delay_of(attempt, first_s=10) for attempt in (1, 2, 3, 4, 5, 9)] == [10, 30, 90, 270, 810, 900]


def test_a_clock_that_was_set_back_keeps_no_run_waiting(make: Callable[..., Bench]) -> None:
    bench = make(FakeRunner())
    wrapper = bench.command()
    soon, never = bench.launch(wrapper), bench.launch(wrapper)
    with bench.hub.database.write() as db:
        db.get_one(Container, soon).not_before = utc_now() + timedelta(minutes=10)
        db.get_one(Container, never).not_before = utc_now() + timedelta(days=1)
    bench.start()
    assert bench.finished(never) == ["Complete"]
    assert bench.get(soon).status == states.QUEUED
    bench.kill(soon)  # and one that waits for its next attempt can be ended
    assert bench.finished(soon) == ["Failed (Killed)"]


def test_a_run_is_ended_while_it_is_set_up_runs_and_is_stored(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(FakeRunner(lambda spec: None if "sort" in spec.command_line else DONE))
    with bench.hub.database.write() as db:
        save_command(db, {"name": "s", "type": "docker-setup", "image": "a/sort:1", "command-line": "sort"})
    whole = document()["xnat"]
    whole[0]["external-inputs"][0]["via-setup-command"] = "a/sort:1"
    in_setup = bench.launch(bench.command(name="with-setup", xnat=whole))
    bench.start()
    bench.until(lambda: bench.runner.started)
    bench.kill(in_setup)
    assert bench.finished(in_setup) == ["Failed (Killed)"]
    (setup,) = [one for one in bench.all() if one.parent_id == in_setup]
    assert (setup.status, setup.resolved["subtype"]) == ("Failed (Killed)", "docker-setup")

    def store_and_kill(db: Any, _hub: Hub, container: Container, _folders: Any) -> list[Any]:
        raise AssertionError("a run that was ended stores nothing")

    storing = bench.command(name="storing")
    real = lifecycle.Life._wrap_up

    def kill_before_storing(self: Any, resolved: Any, end: Exit) -> Any:
        bench.kill(self._id)
        return real(self, resolved, end)

    monkeypatch.setattr(lifecycle.Life, "_wrap_up", kill_before_storing)
    monkeypatch.setattr(lifecycle, "store_outputs", store_and_kill)
    assert bench.finished(bench.launch(storing)) == ["Failed (Killed)"]


def test_a_full_disk_while_storing_stores_nothing_then_all(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(spec: RunSpec) -> Exit:
        (output_of(spec) / "result.json").write_text('{"status": "not-applicable", "reason": "no FLAIR"}')
        return DONE

    bench = make(FakeRunner(work))
    calls: list[int] = []

    def store(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            store_outputs(*given)
            raise OSError(errno.ENOSPC, "No space left on device")
        return store_outputs(*given)

    monkeypatch.setattr(lifecycle, "store_outputs", store)
    whole = document()["xnat"]
    whole[0]["output-handlers"][2]["as-a-child-of"] = "session"
    run = bench.launch(bench.command(xnat=whole))
    bench.start()
    assert bench.finished(run) == ["Complete"]
    ended = bench.get(run)
    assert (ended.attempts, ended.reason) == (2, "no FLAIR")
    assert [row["created"] for row in ended.outputs if row["from-output-handler"] == "store-json"] == [
        f"/archive/experiments/{bench.sessions['P']}/resources/RESULT"
    ]


def test_the_state_is_written_down_once_the_database_answers_again(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(FakeRunner(lambda _spec: Exit(End.EXITED, 3, "It went wrong.")))
    calls: list[int] = []

    def finish(*given: Any, **named: Any) -> None:
        calls.append(1)
        if len(calls) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        ends.finish(*given, **named)

    monkeypatch.setattr(lifecycle, "finish", finish)
    run = bench.launch(bench.command())
    bench.start()
    assert bench.finished(run) == ["Failed"]
    assert (len(calls), bench.get(run).reason) == (3, "It went wrong.")


def test_another_hub_takes_up_what_outlived_the_first(make: Callable[..., Bench], tmp_path: Path) -> None:
    runner = FakeRunner(lambda _spec: None, outlives_hub=True)
    first = make(runner, workers=3)
    wrapper = first.command()
    stays, goes, killed = (first.launch(wrapper) for _ in range(3))
    first.start()
    first.until(lambda: len(runner.runs) == 3 and all(one.status == states.RUNNING for one in first.all()))
    first.stop()
    assert {one.status for one in first.all()} == {states.RUNNING}
    runner.remove(first.get(goes).backend_id)  # its node went away
    second = Bench(tmp_path / "home", runner, workers=3)
    second.sessions = first.sessions
    second.start()
    second.kill(killed)
    runner.release(second.get(stays).backend_id)
    assert second.finished(stays, killed) == ["Complete", "Failed (Killed)"]
    second.until(lambda: second.get(goes).attempts == 2 and second.get(goes).status == states.RUNNING)
    runner.release(second.get(goes).backend_id)
    assert second.finished(goes) == ["Complete"]
    assert states.TAKEN_UP in words(second.get(stays))
    assert states.RETRY in words(second.get(goes))
    assert runner.order().count(stays) == 1
    second.stop()


def test_an_earlier_attempt_that_still_runs_is_ended_before_the_next(make: Callable[..., Bench]) -> None:
    runner = FakeRunner(outlives_hub=True)

    def work(spec: RunSpec) -> Exit:
        if len(runner.started) == 1:  # it was started, but the answer got lost
            runner.runs[spec.run_id] = None
            raise TemporaryRunnerError("The engine does not answer.")
        assert spec.run_id not in runner.runs, "two at once"
        return DONE

    runner.work = work
    bench = make(runner)
    run = bench.launch(bench.command())
    bench.start()
    assert bench.finished(run) == ["Complete"]
    assert len(runner.started) == 2
