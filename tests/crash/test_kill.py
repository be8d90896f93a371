"""``kill -9`` at any moment: nothing that was acknowledged is lost, no run is lost, doubled or left hanging."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from crash.line import Line, Modality, Person, Sent, missing_objects
from helpers.arrivals import wait_until
from helpers.postgres import database_of
from overread.hub.models import Container, Experiment, Instance, PrearchiveSession
from overread.hub.upkeep.check import check

pytestmark = [
    pytest.mark.slow,
    # pynetdicom's sender forgets to close the socket of a connection that was refused.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SETTLE_TIMEOUT_S = 180.0
DEATH_TIMEOUT_S = 120.0


def test_nothing_is_lost_or_doubled_however_often_the_hub_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it tells each attempt to reach a dead hub
    kills, seed = pytestconfig.getoption("--kills"), pytestconfig.getoption("--seed")
    print(f"to have it again: --kills {kills} --seed {seed}")  # noqa: T201 - shown if the test fails
    line = Line(tmp_path, database=database_of(tmp_path / "home"), seed=seed)
    sent, end = Sent(), threading.Event()
    try:
        line.start()
        line.wait_until_it_answers()
        line.prepare()
        senders = [Modality(line, sent, end=end, most=2 * kills), Person(line, sent, end=end)]
        for sender in senders:
            sender.start()
        for _ in range(kills):
            if line.rng.random() < 0.75:
                line.wait_until_it_answers()
                time.sleep(line.rng.uniform(0.0, 2.0))
            else:  # while it starts
                time.sleep(line.rng.uniform(0.3, 2.5))
            line.kill(whole_group=line.rng.random() < 0.5)
            assert missing_objects(line, sent) == []
            line.start()
        line.wait_until_it_answers()
        wait_until(lambda: sent.exams >= kills // 2, timeout_s=SETTLE_TIMEOUT_S)
        end.set()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive(), f"{sender.name} gets no answer: {line.tail()}"
        wait_until_all_is_done(line, sent)
        check_uploads(line, sent)
    finally:
        end.set()
        line.stop()
        gc.collect()
    check_archive(line, sent)


PLACES = (
    "before overread.hub.arrival.intake:Intake.wake",  # acknowledged, nothing else
    "before overread.hub.arrival.storage:Storing.__exit__",  # linked into the prearchive, not committed
    "after overread.hub.arrival.intake:Intake._file_together",  # filed
    "after overread.hub.arrival.completion:archive_session",  # linked into the archive, run queued, not committed
    "before overread.hub.runs.lifecycle:Life._resolve",  # the run is claimed
    "after overread.hub.runs.lifecycle:Life._start",  # its command runs
    "before overread.hub.runs.lifecycle:Life._store",  # its command has ended
    "after overread.hub.runs.lifecycle:store_outputs",  # its files are in place, not committed
    "after overread.hub.runs.lifecycle:Life._store",  # all is stored
)
"""Where the hub dies, stage by stage: receive, archive, run, finalise, store."""


def test_nothing_is_lost_or_doubled_wherever_the_hub_dies(tmp_path: Path) -> None:
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    line, sent, end = Line(tmp_path, database=database_of(tmp_path / "home"), seed=1), Sent(), threading.Event()
    try:
        line.start()
        line.wait_until_it_answers()
        line.prepare()
        line.stop()
        for number, place in enumerate(PLACES):
            line.start(die=place)
            # What the last death left undone may bring it to the next one before this exam is sent.
            modality = Modality(line, sent, end=end, most=1)
            modality.start()
            line.wait_until_it_died(DEATH_TIMEOUT_S)
            assert missing_objects(line, sent) == [], place
            if number % 2:  # every other time the next life must not die at once
                line.start()
                line.wait_until_it_answers()
                modality.join(DEATH_TIMEOUT_S)
                line.kill(whole_group=True)
        line.start()
        line.wait_until_it_answers()
        wait_until(lambda: sent.exams >= len(PLACES), timeout_s=SETTLE_TIMEOUT_S)
        wait_until_all_is_done(line, sent)
    finally:
        end.set()
        line.stop()
        gc.collect()
    check_archive(line, sent)


def wait_until_all_is_done(line: Line, sent: Sent) -> None:
    """Wait until every study is archived and every run has ended."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    with line.client() as client:
        while True:
            sessions = client.get(
                "/data/projects/BTS/experiments?xsiType=xnat:mrSessionData&columns=ID,UID&format=json"
            )
            studies = [row["UID"] for row in sessions.json()["ResultSet"]["Result"]]
            runs = client.get("/xapi/projects/BTS/containers").json()
            arriving = client.get("/data/prearchive/projects/BTS?format=json").json()["ResultSet"]["Result"]
            if (
                set(studies) >= set(sent.studies)
                and not arriving
                and len(runs) >= len(studies)
                and all(run["status"].startswith(("Complete", "Failed")) for run in runs)
            ):
                return
            assert time.monotonic() < deadline, (
                f"{len(studies)} of {len(sent.studies)} studies, {len(arriving)} arriving, "
                f"runs {Counter(run['status'] for run in runs)}: {line.tail()}"
            )
            time.sleep(0.2)


def check_uploads(line: Line, sent: Sent) -> None:
    """Every acknowledged upload is there, with the bytes that were acknowledged last."""
    assert sent.files
    with line.client() as client:
        for name, content in sent.files.items():
            assert client.get(f"/data/projects/BTS/resources/NOTES/files/{name}").content == content, name


def check_archive(line: Line, sent: Sent) -> None:
    """Every study is one session with each of its objects once, and one run that is Complete."""
    assert missing_objects(line, sent) == []
    hub = line.resting()
    with hub.database.read() as db:
        sessions = {one.uid: one for one in db.scalars(select(Experiment).where(Experiment.session_id.is_(None)))}
        assert sessions.keys() == sent.studies.keys()
        for uid, objects in sent.studies.items():
            there = db.scalars(select(Instance.sop_instance_uid).where(Instance.session_id == sessions[uid].id)).all()
            assert sorted(there) == sorted(objects), f"objects of session {sessions[uid].id}"
        runs = list(db.scalars(select(Container)))
        told = {run.id: (run.status, run.reason) for run in runs}
        assert {status for status, _ in told.values()} == {"Complete"}, told
        by_session = Counter(run.inputs["session"].rpartition("/")[2] for run in runs)
        assert by_session == {one.id: 1 for one in sessions.values()}
        results = Counter(db.scalars(select(Experiment.session_id).where(Experiment.session_id.is_not(None))))
        assert results == by_session
        states = Counter(db.scalars(select(PrearchiveSession.status)))
        assert set(states) == {"ARCHIVED"}, states
    found = check(hub, digests=True)
    hub.database.close()
    assert found == []
