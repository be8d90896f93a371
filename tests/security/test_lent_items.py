"""What is lent to a project can be read there, and nothing else: it is changed, added to and deleted at home alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select

from helpers.archive import add_project, add_session, add_user
from helpers.fake_runner import DONE, FakeRunner, output_of, use_runner
from helpers.runs import document, install, launch, wait_for
from hub_fixture import RunningHub, start_hub
from overread.hub.items.experiments import NewExperiment, save_experiment
from overread.hub.items.files import add_file, ensure_resource
from overread.hub.items.folders import Owner
from overread.hub.items.sharing import share
from overread.hub.items.subjects import ensure_subject
from overread.hub.models import Experiment, Instance, Project, Resource, ResourceFile, Subject
from overread.hub.runs.runner import Exit, RunSpec

COLLECTION = "icr:roiCollectionData"


def write_report(spec: RunSpec) -> Exit:
    folder = output_of(spec) / "report"
    folder.mkdir()
    (folder / "a.txt").write_text("A")
    return DONE


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub where Otto owns HOME, and Gina owns GUEST and has no right in HOME."""
    folder = tmp_path_factory.mktemp("lent")
    runner = FakeRunner(write_report)
    running = start_hub(folder, images=(folder / "images",), change=lambda hub: use_runner(hub, runner))
    for project in ("HOME", "GUEST"):
        add_project(running.hub, project)
    add_user(running.hub, "otto", role="owner", project="HOME")
    add_user(running.hub, "gina", role="owner", project="GUEST")
    yield running
    running.stop()


@pytest.fixture
def gina(room: RunningHub) -> Iterator[httpx.Client]:
    with room.client("gina", "secret") as client:
        yield client


def lend(room: RunningHub, label: str, *, with_session: bool = True) -> tuple[str, str]:
    """Make a session of HOME with an assessor, and lend it with its subject to GUEST; return the IDs of both."""
    session_id = add_session(room.hub, label, project="HOME", event="")
    with room.hub.database.write() as db:
        session = db.get_one(Experiment, session_id)
        subject = db.get_one(Subject, session.subject_id)
        subject.label = f"SUB-{label}"
        db.flush()
        share(db, subject, db.get_one(Project, "GUEST"))
        if with_session:
            share(db, session, db.get_one(Project, "GUEST"))
        new = NewExperiment(COLLECTION, "HOME", f"R-{label}", session_id=session_id, fields={"collectionType": "SEG"})
        assessor, _ = save_experiment(db, room.hub, new, user="admin", notify=False)
        resource = ensure_resource(db, room.hub, Owner("experiment", assessor.id), "SEG", user="admin")
        source = room.hub.layout.tmp / f"{label}.dcm"
        source.write_bytes(b"what HOME alone may see")
        add_file(db, room.hub, resource, "a.dcm", source, user="admin")
        return session_id, assessor.id


def test_a_lent_subject_is_changed_and_renamed_in_its_own_project_alone(room: RunningHub, gina: httpx.Client) -> None:
    lend(room, "A")
    where = "/data/projects/GUEST/subjects/SUB-A"
    assert gina.get(f"{where}?format=json").status_code == 200
    assert gina.put(f"{where}?gender=male").status_code == 403
    assert gina.put(f"{where}?label=MINE").status_code == 403
    with room.client("otto", "secret") as otto:
        assert otto.put("/data/projects/HOME/subjects/SUB-A?gender=female").status_code == 200


def test_masks_of_a_lent_session_are_not_shown_with_it(room: RunningHub, gina: httpx.Client) -> None:
    """They may be other readers', or say who drew them."""
    session_id, assessor_id = lend(room, "G")
    with room.hub.database.write() as db:
        study = "1.2.826.0.77"
        for instance in db.scalars(select(Instance).where(Instance.session_id == session_id)):
            instance.study_instance_uid = study
        owned = select(Resource.pk).where(Resource.owner_kind == "experiment", Resource.owner_id == assessor_id)
        file = db.scalars(select(ResourceFile).where(ResourceFile.resource_pk.in_(owned))).one()
        db.add(
            Instance(
                session_id=session_id, file_pk=file.pk, study_instance_uid=study, series_instance_uid=f"{study}.9",
                sop_instance_uid=f"{study}.9.1", sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
                transfer_syntax_uid="1.2.840.10008.1.2.1", modality="SEG",
            )
        )  # fmt: skip
    base = "/xapi/dicomweb/projects/GUEST/studies"
    (found,) = [one for one in gina.get(base).json() if one["0020000D"]["Value"] == [study]]
    assert found["00080061"]["Value"] == ["MR"]
    assert [one["00080060"]["Value"] for one in gina.get(f"{base}/{study}/series").json()] == [["MR"]]
    mask = f"{study}/series/{study}.9/instances/{study}.9.1"
    assert gina.get(f"{base}/{mask}", headers={"accept": "application/dicom"}).status_code == 404
    with room.client("otto", "secret") as otto:
        assert len(otto.get(f"/xapi/dicomweb/projects/HOME/studies/{study}/series").json()) == 2
        with room.hub.database.write() as db:
            share(db, db.get_one(Experiment, assessor_id), db.get_one(Project, "GUEST"))
    assert len(gina.get(f"{base}/{study}/series").json()) == 2


def test_a_subject_is_not_deleted_with_the_exams_that_another_project_has_of_it(
    room: RunningHub, gina: httpx.Client
) -> None:
    lend(room, "E", with_session=False)
    made = gina.put("/data/projects/GUEST/subjects/SUB-E/experiments/OURS?xsiType=xnat:mrSessionData")
    assert made.status_code == 201, made.text
    with room.client("otto", "secret") as otto:
        refused = otto.delete("/data/projects/HOME/subjects/SUB-E?removeFiles=true")
        assert (refused.status_code, "in other projects" in refused.text) == (409, True)
    with room.client() as admin:
        assert admin.delete("/data/projects/HOME?removeFiles=true").status_code == 409
    assert gina.get(f"/data/experiments/{made.text.strip()}?format=json").status_code == 200


def test_a_project_is_deleted_with_its_exams_of_lent_subjects(room: RunningHub) -> None:
    add_project(room.hub, "GONE")
    with room.hub.database.write() as db:
        subject = ensure_subject(db, room.hub, project="HOME", label="SUB-F", user="admin")
        share(db, subject, db.get_one(Project, "GONE"))
        new = NewExperiment("xnat:mrSessionData", "GONE", "F", subject_id=subject.id)
        session, _ = save_experiment(db, room.hub, new, user="admin", notify=False)
        new = NewExperiment(COLLECTION, "GONE", "R-F", session_id=session.id)
        assessor, _ = save_experiment(db, room.hub, new, user="admin", notify=False)
    with room.client() as admin:
        assert admin.delete("/data/projects/GONE?removeFiles=true").status_code == 200
        for one in (session.id, assessor.id):
            assert admin.get(f"/data/experiments/{one}?format=json").status_code == 404
        assert admin.get(f"/data/subjects/{subject.id}?format=json").status_code == 200


def test_no_assessor_gets_onto_a_session_that_the_project_does_not_see(room: RunningHub, gina: httpx.Client) -> None:
    """Else a command launched on it would be handed the session's files."""
    session_id, _ = lend(room, "B", with_session=False)
    query = {"xsiType": "xnat:qcManualAssessorData", "xnat:qcManualAssessorData/imageSession_ID": session_id}
    refused = gina.put("/data/projects/GUEST/experiments/WAY-IN", params=query)
    assert refused.status_code == 422, refused.text
    xml = f"""<xnat:QCManualAssessment xmlns:xnat="http://nrg.wustl.edu/xnat" project="GUEST" label="WAY-IN">
    <xnat:imageSession_ID>{session_id}</xnat:imageSession_ID></xnat:QCManualAssessment>"""
    refused = gina.put("/data/projects/GUEST/experiments/WAY-IN", content=xml, headers={"content-type": "text/xml"})
    assert refused.status_code == 422, refused.text
    seen, _ = lend(room, "B2")
    query["xnat:qcManualAssessorData/imageSession_ID"] = seen
    assert gina.put("/data/projects/GUEST/experiments/SEEN", params=query).status_code == 201


def test_a_lent_collection_is_deleted_at_home_alone_and_a_lent_session_gets_none(
    room: RunningHub, gina: httpx.Client
) -> None:
    session_id, assessor_id = lend(room, "C")
    with room.hub.database.write() as db:
        share(db, db.get_one(Experiment, assessor_id), db.get_one(Project, "GUEST"))
    where = "/xapi/roi/projects/GUEST"
    assert gina.get(f"{where}/exists/R-C").json() is True
    assert gina.delete(f"{where}/collections/R-C").status_code == 403
    assert gina.get(f"{where}/exists/R-C").json() is True
    put = gina.put(
        f"{where}/sessions/{session_id}/collections/NEW?type=SEG",
        content=b"no matter what",
        headers={"content-type": "application/octet-stream"},
    )
    assert put.status_code == 403, put.text


def test_a_run_in_the_other_project_sees_no_assessor_of_home_and_stores_nothing_there(
    room: RunningHub, gina: httpx.Client
) -> None:
    session_id, _ = lend(room, "D")
    images = room.hub.config.images[0]
    peeping = document(name="peep")
    wrapper = peeping["xnat"][0]
    wrapper["derived-inputs"].append(
        {"name": "masks", "type": "Assessor", "required": True, "derived-from-wrapper-input": "session"}
    )
    writing = document(name="write")
    writing["outputs"] = [{"name": "report", "mount": "out", "path": "report", "required": True}]
    writing["xnat"][0]["output-handlers"] = [
        {"name": "store-report", "accepts-command-output": "report", "type": "Resource", "label": "REPORT",
         "as-a-child-of": "session"}
    ]  # fmt: skip
    with room.client() as admin:
        peeping_id = install(admin, images, project="GUEST", **peeping)
        writing_id = install(admin, images, project="GUEST", **writing)
    for number in (peeping_id, writing_id):
        answer = launch(gina, number, session_id, project="GUEST")
        assert answer.status_code == 200, answer.text
    peeped, wrote = sorted(wait_for(gina, project="GUEST", count=2), key=lambda run: int(run["id"]))
    assert peeped["status"].startswith("Failed"), peeped
    assert "without value: masks" in str(peeped["history"])
    assert wrote["status"].startswith("Failed"), wrote
    assert "may not store" in str(wrote["history"])
    with room.client("otto", "secret") as otto:
        listed = otto.get(f"/data/experiments/{session_id}/resources?format=json").json()
    assert listed["ResultSet"]["Result"] == []
