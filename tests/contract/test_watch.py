"""`overread watch` before a hub that waits as long as a stock XNAT does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.arrivals import receiving_hub, send, wait_until
from helpers.other_server import in_front_of
from helpers.study_folder import STUDY_YAML
from hub_fixture import RunningHub
from overread.errors import Denied
from overread.study.manifest import StudyManifest, load_manifest
from overread.synthetic.phantoms import make_mr_series
from overread.xnat.connection import open_archive
from overread.xnat.watch import Told, Watcher, watch

QUIET_S, LONG_S = 1.0, 600.0
PREARCHIVE = {"format": "json"}

pytestmark = pytest.mark.slow


def manifest(**complete: Any) -> StudyManifest:
    text = STUDY_YAML.replace("project: KNEE", "project: BTS").replace("quiet_s: 10, give_up_s: 100", "quiet_s: 1")
    study = load_manifest(text, source="study")
    arrival = study.model_dump(mode="json")["arrival"]
    arrival["complete"] |= {"quiet_s": QUIET_S, "give_up_s": LONG_S, **complete}
    return study.model_validate(study.model_dump(mode="json") | {"arrival": arrival})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    hub, port = receiving_hub(tmp_path_factory.mktemp("watch"), quiet_default_s=LONG_S)
    yield hub, port
    hub.stop()


@contextmanager
def watching(hub: RunningHub, study: StudyManifest, url: str = "") -> Iterator[list[Told | str]]:
    told: list[Told | str] = []
    ended = threading.Event()

    def connect(work: Any) -> None:
        with open_archive(url or hub.url, user="admin", password=hub.password) as archive:
            work(archive)

    arguments = {"every_s": 0.2, "tell": told.append, "stopped": ended.wait}
    thread = threading.Thread(target=watch, args=(connect, Watcher([study])), kwargs=arguments, daemon=True)
    thread.start()
    yield told
    ended.set()
    thread.join(timeout=20)
    assert not thread.is_alive()


def whole(description: str = "PD", **options: Any) -> list[Any]:
    return make_mr_series((6, 16, 20), series_description=description, **options)


def archived(hub: RunningHub, uid: str) -> bool:
    with hub.client() as client:
        answer = client.get("/data/projects/BTS/experiments", params={"UID": uid, **PREARCHIVE})
        return bool(answer.json()["ResultSet"]["Result"])


def waiting(hub: RunningHub) -> dict[str, str]:
    with hub.client() as client:
        rows = client.get("/data/prearchive", params=PREARCHIVE).json()["ResultSet"]["Result"]
    return {row["tag"]: row["status"] for row in rows}


def reasons(told: list[Told | str]) -> list[tuple[str, str]]:
    return [(item.what, item.reason) for item in told if isinstance(item, Told)]


def test_exam_is_archived_at_once_and_an_incomplete_one_waits(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    good, bad = whole(), whole("T1", patient_id="PHANTOM-2")
    assert set(send(port, [*good, *bad])) == {0}
    with watching(hub, manifest()) as told:
        wait_until(lambda: archived(hub, good[0].StudyInstanceUID))
        wait_until(lambda: any(what == "waits" and "pd" in why for what, why in reasons(told)))
    assert waiting(hub) == {bad[0].StudyInstanceUID: "READY"}
    assert ("archived", f"pd there, nothing arrived for {QUIET_S:g} s") in reasons(told)
    missing = whole("PD", study_instance_uid=bad[0].StudyInstanceUID, patient_id="PHANTOM-2", series_number=2)
    with watching(hub, manifest()):  # another one, as after a restart
        assert set(send(port, missing)) == {0}
        wait_until(lambda: archived(hub, bad[0].StudyInstanceUID))
    assert waiting(hub) == {}


def test_two_watchers_archive_once(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    images = whole(patient_id="PHANTOM-3")
    send(port, images)
    with watching(hub, manifest()) as one, watching(hub, manifest()) as two:
        wait_until(lambda: archived(hub, images[0].StudyInstanceUID))
    assert sum(what == "archived" for what, _ in reasons(one) + reasons(two)) == 1
    assert waiting(hub) == {}


def test_patience_ends(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    images = whole("T1", patient_id="PHANTOM-4")
    send(port, images)
    with watching(hub, manifest(give_up_s=2.0)) as told:
        wait_until(lambda: archived(hub, images[0].StudyInstanceUID))
    (reason,) = [why for what, why in reasons(told) if what == "archived"]
    assert reason.startswith("after 2 s still missing pd")


def test_exam_that_the_study_does_not_take_is_left(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    images = whole(patient_id="PHANTOM-5")
    send(port, images)
    study = manifest()
    dump = study.model_dump(mode="json")
    dump["arrival"]["accept"] = [{"tag": "Modality", "in": ["CT"]}]
    with watching(hub, study.model_validate(dump)) as told:
        wait_until(lambda: any(what == "left" for what, _ in reasons(told)))
    assert images[0].StudyInstanceUID in waiting(hub)
    with watching(hub, manifest()):
        wait_until(lambda: archived(hub, images[0].StudyInstanceUID))


def test_what_is_no_study_s_is_left_alone(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    images = whole(patient_id="PHANTOM-6")
    send(port, images)
    other = manifest().model_copy(update={"project": "OTHER"})
    with watching(hub, other) as told:
        time.sleep(2 * QUIET_S)
    assert told == []
    assert waiting(hub) == {images[0].StudyInstanceUID: "RECEIVING"}
    with watching(hub, manifest()):
        wait_until(lambda: archived(hub, images[0].StudyInstanceUID))


def test_faults_of_the_network_are_waited_for(place: tuple[RunningHub, int]) -> None:
    hub, port = place
    images = whole(patient_id="PHANTOM-7")
    send(port, images)
    answers: dict[str, tuple[int, Any]] = {"GET /data/prearchive/projects/BTS": (503, "")}
    with in_front_of(hub.url, answers) as url, watching(hub, manifest(), url) as told:
        wait_until(lambda: any("503" in str(item) for item in told))
        answers.clear()
        wait_until(lambda: archived(hub, images[0].StudyInstanceUID))


def test_wrong_password_ends_it(place: tuple[RunningHub, int], tmp_path: Path) -> None:
    def connect(work: Any) -> None:
        with open_archive(place[0].url, user="admin", password="wrong") as archive:
            work(archive)

    with pytest.raises(Denied):
        watch(connect, Watcher(), every_s=0.1, tell=lambda _: None, stopped=lambda _: True)
