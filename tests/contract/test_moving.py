"""Objects that go to another project or get another label: rows, files, ledger and sight, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from helpers.archive import add_project, add_session, add_user
from helpers.uploads import zipped
from hub_fixture import RunningHub, start_hub
from overread.hub.items import journal
from overread.hub.items.files import file_path
from overread.hub.items.moving import move_experiment
from overread.hub.models import Experiment, FileJournal, Instance, Project, ReceivedObject, ResourceFile
from overread.synthetic.phantoms import make_mr_series


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("moving"))
    for project in ("P", "Q"):
        add_project(running.hub, project)
    add_user(running.hub, "olga", role="owner", project="P")
    add_user(running.hub, "mary", role="member", project="P")
    yield running
    running.stop()


@pytest.fixture
def hub(shared: RunningHub) -> Iterator[RunningHub]:
    yield shared
    with shared.client() as admin:
        for row in admin.get("/data/experiments?format=json&xsiType=xnat:subjectAssessorData").json()["ResultSet"][
            "Result"
        ]:
            assert admin.delete(f"/data/experiments/{row['ID']}?removeFiles=true").status_code == 200
        for row in admin.get("/data/subjects?format=json").json()["ResultSet"]["Result"]:
            assert admin.delete(f"/data/subjects/{row['ID']}?removeFiles=true").status_code == 200


@pytest.fixture
def admin(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client() as client:
        yield client


def rows(client: httpx.Client, path: str) -> list[dict[str, str]]:
    answer = client.get(f"{path}?format=json")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def received(admin: httpx.Client, seed: int = 1) -> str:
    """Import an exam into P, with an assessor; return its ID."""
    images = make_mr_series((3, 16, 16), seed=seed)
    query = {"project": "P", "subject": "SUB", "session": "S1", "dest": "/archive"}
    headers = {"content-type": "application/zip"}
    answer = admin.post("/data/services/import", params=query, content=zipped(images), headers=headers)
    assert answer.status_code == 200, answer.text
    (row,) = rows(admin, "/data/projects/P/experiments")
    path = f"/data/experiments/{row['ID']}/assessors/QC?xsiType=xnat:qcManualAssessorData"
    created = admin.put(f"{path}&xnat:qcManualAssessorData/project=P")
    assert created.status_code == 201, created.text
    file = f"/data/experiments/{created.text.strip()}/resources/NOTE/files/a.txt?inbody=true"
    assert admin.put(file, content=b"fine", headers={"content-type": "text/plain"}).status_code == 200
    return row["ID"]


def check_whole(hub: RunningHub) -> None:
    """Every file and every ledger line of the archive is where the database says it is."""
    with hub.hub.database.read() as db:
        for file in db.scalars(select(ResourceFile)):
            path = file_path(db, hub.hub, file)
            assert path.stat().st_size == file.size, path
        for line in db.scalars(select(ReceivedObject).where(ReceivedObject.state == "archived")):
            assert (hub.hub.layout.home / line.path).is_file(), line.path
        assert db.scalars(select(Instance)).all()
    assert not list(hub.hub.layout.journal.iterdir())


def test_a_session_moves_with_scans_files_assessors_and_its_subject_is_seen(
    hub: RunningHub, admin: httpx.Client
) -> None:
    session = received(admin)
    answer = admin.put("/data/projects/P/subjects/SUB/experiments/S1/projects/Q?primary=true")
    assert answer.status_code == 200, answer.text
    assert rows(admin, "/data/projects/P/experiments") == []
    (row,) = rows(admin, "/data/projects/Q/experiments")
    assert (row["ID"], row["label"], row["project"]) == (session, "S1", "Q")
    assert [row["ID"] for row in rows(admin, "/data/projects/Q/subjects/SUB/experiments")] == [session]
    (assessor,) = rows(admin, f"/data/experiments/{session}/assessors")
    assert assessor["project"] == "Q"
    assert [row["ID"] for row in rows(admin, f"/data/experiments/{session}/projects")] == ["Q"]
    files = rows(admin, f"/data/experiments/{session}/scans/1/resources/DICOM/files")
    assert len(files) == 3
    assert admin.get(files[0]["URI"]).status_code == 200
    assert (hub.hub.layout.archive / "Q" / "arc001" / "S1" / "SCANS" / "1" / "DICOM").is_dir()
    assert not (hub.hub.layout.archive / "P" / "arc001" / "S1").exists()
    found = admin.get("/xapi/dicomweb/projects/Q/studies", headers={"accept": "application/dicom+json"}).json()
    assert len(found) == 1
    check_whole(hub)


def test_a_label_may_be_given_and_must_be_free(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    add_session(hub.hub, "S1", project="Q")
    path = f"/data/experiments/{session}/projects/Q"
    assert admin.put(f"{path}?primary=true").status_code == 409
    assert [row["ID"] for row in rows(admin, "/data/projects/P/experiments")] == [session], "nothing was moved"
    check_whole(hub)
    answer = admin.put(f"{path}?primary=true&label=S2")
    assert answer.status_code == 409, "Q has another subject SUB"
    assert "share the subject first" in answer.text
    subject = rows(admin, "/data/projects/P/subjects")[0]["ID"]
    assert admin.put(f"/data/subjects/{subject}/projects/Q?label=SUB_P").status_code == 200
    assert admin.put(f"{path}?primary=true&label=S2").status_code == 200
    assert {row["label"] for row in rows(admin, "/data/projects/Q/experiments")} == {"S1", "S2"}
    assert (hub.hub.layout.archive / "Q" / "arc001" / "S2").is_dir()
    check_whole(hub)


def test_a_session_that_was_lent_is_lent_no_longer(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    assert admin.put(f"/data/experiments/{session}/projects/Q").status_code == 200
    assert admin.put(f"/data/experiments/{session}/projects/Q?primary=true").status_code == 200
    assert [row["ID"] for row in rows(admin, f"/data/experiments/{session}/projects")] == ["Q"]
    assert admin.put(f"/data/experiments/{session}/projects/Q?primary=true").status_code == 409


def test_assessors_may_be_named(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    assert admin.put(f"/data/experiments/{session}/projects/Q?primary=true&moveAssessors=OTHER").status_code == 200
    (assessor,) = rows(admin, f"/data/experiments/{session}/assessors")
    assert assessor["project"] == "P"
    check_whole(hub)


def test_moving_takes_the_right_to_delete_here_and_to_change_there(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    path = f"/data/experiments/{session}/projects/Q?primary=true"
    with hub.client("mary", "secret") as mary, hub.client("olga", "secret") as olga:
        assert mary.put(path).status_code == 403
        assert olga.put(path).status_code == 403
        assert admin.put("/data/projects/Q/users/Members/olga").status_code == 200
        assert mary.put(path).status_code == 403
        assert olga.put(path).status_code == 200
        assert olga.delete(f"/data/experiments/{session}").status_code == 403, "it is Q's now"
    admin.delete("/data/projects/Q/users/Members/olga")


def test_a_subject_moves_alone_and_its_experiments_still_know_it(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    file = "/data/projects/P/subjects/SUB/resources/DOC/files/a.txt?inbody=true"
    assert admin.put(file, content=b"x", headers={"content-type": "text/plain"}).status_code == 200
    assert admin.put("/data/projects/P/subjects/SUB/projects/Q?primary=true&label=SUBQ").status_code == 200
    (row,) = rows(admin, "/data/projects/Q/subjects")
    assert (row["label"], row["project"]) == ("SUBQ", "Q")
    assert [row["ID"] for row in rows(admin, "/data/projects/P/subjects/SUB/experiments")] == [session]
    assert (hub.hub.layout.archive / "Q" / "subjects" / "SUBQ" / "DOC" / "a.txt").is_file()
    check_whole(hub)


def test_relabelling_keeps_the_ledger_right(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)
    assert admin.put("/data/projects/P/subjects/SUB/experiments/S1?label=RENAMED").status_code == 200
    assert [row["label"] for row in rows(admin, "/data/projects/P/experiments")] == ["RENAMED"]
    check_whole(hub)
    assert len(rows(admin, f"/data/experiments/{session}/scans/1/resources/DICOM/files")) == 3


# a crash in the middle


def crash_while_moving(hub: RunningHub, session: str, *, kept: bool) -> None:
    """Move a session as far as a kill would let it, before or after the transaction is kept."""
    with hub.hub.database.write() as db:
        move_experiment(db, hub.hub, db.get_one(Experiment, session), db.get_one(Project, "Q"))
        db.info.clear()  # the process is gone: nobody cleans up
        if not kept:
            db.rollback()


@pytest.mark.parametrize("kept", [False, True], ids=["before", "after"])
def test_a_crash_leaves_the_old_or_the_new(hub: RunningHub, admin: httpx.Client, kept: bool) -> None:
    session = received(admin)
    crash_while_moving(hub, session, kept=kept)
    assert (hub.hub.layout.archive / "Q" / "arc001" / "S1").is_dir()
    journal.recover(hub.hub)
    project, other = ("Q", "P") if kept else ("P", "Q")
    assert (hub.hub.layout.archive / project / "arc001" / "S1").is_dir()
    assert not (hub.hub.layout.archive / other / "arc001" / "S1").exists()
    assert [row["ID"] for row in rows(admin, f"/data/projects/{project}/experiments")] == [session]
    check_whole(hub)
    with hub.hub.database.read() as db:
        assert db.scalars(select(FileJournal)).all() == []


def test_what_was_deleted_or_replaced_before_a_crash_is_back(hub: RunningHub, tmp_path: Path) -> None:
    folder = hub.hub.layout.archive / "P" / "arc001" / "X"
    (folder / "deep").mkdir(parents=True)
    one, two = folder / "deep" / "one", folder / "two"
    one.write_text("one")
    two.write_text("two")
    with hub.hub.database.write() as db:
        journal.keep(db, hub.hub, two)
        fresh = tmp_path / "fresh"
        fresh.write_text("new")
        fresh.replace(two)
        journal.set_aside(db, hub.hub, folder)
        folder.mkdir()
        (folder / "other").write_text("made afterwards")
        db.info.clear()
        db.rollback()
    assert sorted(path.name for path in folder.iterdir()) == ["other"]
    journal.recover(hub.hub)
    assert (one.read_text(), two.read_text()) == ("one", "two")
    assert sorted(path.name for path in folder.iterdir()) == ["deep", "two"]
    assert not list(hub.hub.layout.journal.iterdir())


def test_a_list_cut_off_in_the_middle_is_read_as_far_as_it_goes(hub: RunningHub) -> None:
    folder = hub.hub.layout.archive / "P" / "cut"
    folder.mkdir()
    with hub.hub.database.write() as db:
        journal.rename(db, hub.hub, folder, folder.with_name("moved"))
        db.info.clear()
        db.rollback()
    (place,) = hub.hub.layout.journal.iterdir()
    with (place / "list.jsonl").open("a") as sink:
        sink.write('["archive/P/')
    journal.recover(hub.hub)
    assert folder.is_dir()
    folder.rmdir()


def test_an_error_puts_everything_back_at_once(hub: RunningHub, admin: httpx.Client) -> None:
    session = received(admin)

    def fail() -> None:
        with hub.hub.database.write() as db:
            move_experiment(db, hub.hub, db.get_one(Experiment, session), db.get_one(Project, "Q"))
            raise RuntimeError("thrown")

    with pytest.raises(RuntimeError, match="thrown"):
        fail()
    assert [row["ID"] for row in rows(admin, "/data/projects/P/experiments")] == [session]
    check_whole(hub)
