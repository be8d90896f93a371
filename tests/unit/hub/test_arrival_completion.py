"""When an arriving exam is whole, and what is done then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers.prearchive import archive, arrive, exam, make_quiet, newest, reading, resting_hub
from overread.hub.arrival import filing, prearchive
from overread.hub.arrival.clock import Clock
from overread.hub.arrival.completion import judge, settle
from overread.hub.core import Hub
from overread.hub.models import ConfigEntry, Project
from overread.hub.models.base import utc_now


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that does not run."""
    made = resting_hub(tmp_path)
    yield made
    made.database.close()


MANIFEST = """{"id": "brain-tumor", "title": "t", "version": "1.0.0", "project": "BTS",
 "receiver": {"ae_title": "BTS"}, "command": "c.json", "result": "r.yaml", "result_type": "braintumor:resultData",
 "arrival": {"accept": [{"tag": "Modality", "in": ["MR"]}, {"tag": "InstitutionName", "exists": false}],
  "series": {"flair": {"where": [{"tag": "SeriesDescription", "matches": "(?i)flair"}], "at_least": 5}},
  "complete": {"needs": ["flair"], "quiet_s": 15, "give_up_s": 600}}}"""


def with_manifest(hub: Hub, contents: str = MANIFEST) -> None:
    with hub.database.write() as db:
        db.add(ConfigEntry(project="BTS", tool="overread", path="study", version=1, contents=contents))


def verdict(hub: Hub, *, after_s: float) -> tuple[str, str]:
    with reading(hub) as db:
        found = judge(db, hub, newest(hub), now=utc_now() + timedelta(seconds=after_s))
        return found.state, found.reason


def test_without_a_manifest_a_quiet_session_is_whole(hub: Hub) -> None:
    arrive(hub, exam())
    assert verdict(hub, after_s=5)[0] == "wait"
    assert verdict(hub, after_s=11) == ("archive", "nothing arrived for 10 s")


def test_the_manifest_decides_when_an_exam_is_whole(hub: Hub) -> None:
    with_manifest(hub)
    images = exam()
    arrive(hub, images[:4])
    state, reason = verdict(hub, after_s=100)
    assert state == "wait"
    assert "4 of the 5 images" in reason
    arrive(hub, images[4:])
    assert verdict(hub, after_s=5)[0] == "wait"
    state, reason = verdict(hub, after_s=16)
    assert state == "archive"
    assert "flair there" in reason


@pytest.mark.parametrize(("frames", "state"), [("5", "archive"), ("4", "wait"), ("999999", "wait"), ("", "wait")])
def test_frames_of_a_multi_frame_image_count_as_images(hub: Hub, frames: str, state: str) -> None:
    with_manifest(hub)
    image = exam()[0]
    image.NumberOfFrames = frames or None
    arrive(hub, [image])
    arrive(hub, [image])  # sent twice, counted once
    assert verdict(hub, after_s=16)[0] == state


def test_the_patience_ends(hub: Hub) -> None:
    with_manifest(hub)
    arrive(hub, exam(series_description="T1"))
    assert verdict(hub, after_s=599)[0] == "wait"
    state, reason = verdict(hub, after_s=601)
    assert state == "archive"
    assert "missing flair" in reason


def test_an_exam_that_the_study_does_not_take_stays_and_says_why(hub: Hub) -> None:
    with_manifest(hub)
    images = exam()
    for image in images:
        image.Modality = "CT"
    arrive(hub, images)
    assert verdict(hub, after_s=10)[0] == "wait"
    state, reason = verdict(hub, after_s=16)
    assert state == "ready"
    assert "Modality 'CT' is not one of MR" in reason


def test_rules_may_look_at_attributes_that_the_ledger_does_not_keep(hub: Hub) -> None:
    with_manifest(hub)
    images = exam()
    for image in images:
        image.InstitutionName = "General Hospital"
    arrive(hub, images)
    state, reason = verdict(hub, after_s=16)
    assert (state, "InstitutionName" in reason) == ("ready", True)


def test_late_images_are_judged_with_those_before_them(hub: Hub) -> None:
    with_manifest(hub)
    images = exam()
    arrive(hub, images[:5])
    archive(hub)
    arrive(hub, images[5:])
    assert verdict(hub, after_s=16)[0] == "archive", "one late image of six is not a short series"


def test_a_project_may_want_to_decide_itself(hub: Hub) -> None:
    with hub.database.write() as db:
        db.get_one(Project, "BTS").prearchive_code = 0
    arrive(hub, exam())
    state, reason = verdict(hub, after_s=11)
    assert (state, "without being asked" in reason) == ("ready", True)


def test_a_manifest_that_can_not_be_used_is_told(hub: Hub) -> None:
    with_manifest(hub, '{"id": "x"}')
    arrive(hub, exam())
    state, reason = verdict(hub, after_s=11)
    assert state == "archive"
    assert "manifest can't be used" in reason


def test_a_conflict_stands_on_the_session_and_new_objects_open_it_again(hub: Hub) -> None:
    arrive(hub, exam())
    archive(hub)
    strangers = exam(seed=9, study_instance_uid="1.2.3")
    arrive(hub, strangers[:2])
    make_quiet(hub)
    settle(hub, newest(hub).pk)
    assert newest(hub).status == prearchive.CONFLICT
    assert "session UID" in newest(hub).reason
    arrive(hub, strangers[2:])
    assert (newest(hub).status, newest(hub).reason) == (prearchive.RECEIVING, "")


def test_a_failure_stands_on_the_session_and_stops_no_other(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(hub, exam())
    make_quiet(hub)
    monkeypatch.setattr(filing, "link", lambda *_: (_ for _ in ()).throw(RuntimeError("disk on fire")))
    settle(hub, newest(hub).pk)
    assert newest(hub).status == prearchive.ERROR
    assert "log says why" in newest(hub).reason


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 86400.0 * 365, -30.0])
def test_a_clock_that_is_set_neither_ends_nor_prolongs_an_exam(hub: Hub, step_s: float) -> None:
    """The last object came 4 s ago, whatever the clock says; 10 s make the session whole."""
    arrive(hub, exam())
    wall = utc_now().timestamp()
    moments = [(wall, 0.0), (wall + 1, 1.0), (wall + 4 + step_s, 4.0)]
    clock = Clock(wall=lambda: moments[0][0], steady=lambda: moments[0][1])
    while len(moments) > 1:
        moments.pop(0)
        clock.look(hub)
    session = newest(hub)
    for after_s, state in ((4.0, "wait"), (9.0, "wait"), (11.0, "archive")):
        with reading(hub) as db:
            found = judge(db, hub, session, now=datetime.fromtimestamp(wall + step_s + after_s, UTC))
        assert found.state == state, after_s
    assert session.receiving_since <= session.last_modified


def test_what_came_after_the_clock_was_set_is_by_the_new_clock(hub: Hub) -> None:
    wall = utc_now().timestamp() - 3600  # what arrives is an hour ahead: the clock is set forward meanwhile
    steps = [(wall, 0.0), (utc_now().timestamp() + 1, 1.0)]
    clock = Clock(wall=lambda: steps[0][0], steady=lambda: steps[0][1])
    arrive(hub, exam())
    before = newest(hub).last_modified
    steps.pop(0)
    clock.look(hub)
    assert newest(hub).last_modified == before
