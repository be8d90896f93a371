"""The same series with the same image never run twice by automation: which image that is, the runner says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from helpers.archive import add_project, add_session
from helpers.arrivals import wait_until
from helpers.fake_runner import DIGEST, FakeRunner, use_runner
from helpers.runs import document
from overread.hub import bootstrap
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.items import uris
from overread.hub.models import Container
from overread.hub.runs import states
from overread.hub.runs.documents import find_wrapper, save_command, set_enabled
from overread.hub.runs.launch import queue_launch
from overread.hub.runs.once import once_key

OTHER = "sha256:" + "1" * 64


class Bench:
    """A hub that does not serve, with a queue, two sessions, and a wrapper of which nothing is stored."""

    def __init__(self, home: Path) -> None:
        self.hub = assemble(Hub(HubConfig(home=home, dicom_port=0, tick_s=0.02)))
        self.runner = use_runner(self.hub, FakeRunner())
        bootstrap.prepare(self.hub)
        add_project(self.hub)
        self.sessions = [add_session(self.hub, label, event="") for label in ("S1", "S2")]
        whole = document()
        for output in whole["outputs"]:
            output["required"] = False
        with self.hub.database.write() as db:
            self.wrapper = int(save_command(db, whole).document["xnat"][0]["id"])
            for place in ("", "P"):
                set_enabled(db, self.wrapper, place, enabled=True)

    def event(self, session: str) -> int | None:
        """Launch as an event does; return the run, None if there is nothing to do."""
        uri = f"/archive/experiments/{session}"
        with self.hub.database.write() as db:
            wrapper = find_wrapper(db, self.wrapper, project="P")
            key = once_key(db, self.hub, wrapper, uris.resolve(db, self.hub, uri))
            run = queue_launch(
                db, self.hub, wrapper=wrapper, project="P", user="admin", inputs={"session": uri},
                origin="subscription:1:delivery:1", once_key=key,
            )  # fmt: skip
            return run.id if run is not None else None

    def runs(self) -> dict[int, str]:
        with self.hub.database.read() as db:
            return {run.id: run.status for run in db.scalars(select(Container).order_by(Container.id))}

    def done(self) -> dict[int, str]:
        """Wait until nothing is queued or runs."""
        wait_until(lambda: all(states.is_finished(status) for status in self.runs().values()))
        return self.runs()

    def digest(self, run: int) -> str:
        with self.hub.database.read() as db:
            return db.get_one(Container, run).image_digest


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv(bootstrap.PASSWORD_VARIABLE, "secret-of-admin")
    made = Bench(tmp_path / "home")
    yield made
    made.hub.runs.stop()
    made.hub.database.close()


def test_the_image_that_ran_decides(bench: Bench) -> None:
    first, _ = bench.sessions
    run = bench.event(first)
    assert run is not None
    assert bench.event(first) is None, "before an image is known, too"
    bench.hub.runs.start()
    assert bench.done() == {run: "Complete"}
    assert bench.digest(run) == DIGEST
    assert bench.event(first) is None
    bench.runner.digest = OTHER
    second = bench.event(bench.sessions[1])
    bench.done()
    assert second is not None
    assert bench.digest(second) == OTHER
    again = bench.event(first)
    assert again is not None, "another image of the same name is another model"
    assert bench.done()[again] == "Complete"


def test_a_run_whose_image_turns_out_to_be_one_that_has_run_is_taken_away(bench: Bench) -> None:
    bench.hub.runs.start()
    first, other = bench.sessions
    run = bench.event(first)
    bench.done()
    bench.runner.digest = OTHER
    second = bench.event(other)
    bench.done()
    bench.runner.digest = DIGEST  # the former image is back, which the hub learns when it makes it ready
    assert bench.event(first) is not None
    assert bench.done() == {run: "Complete", second: "Complete"}
    assert len(bench.runner.started) == 2
