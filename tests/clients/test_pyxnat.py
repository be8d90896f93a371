"""pyxnat, a client that is not ours: it connects, makes, lists, fills, reads, searches, shares and deletes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import receiving_hub, wait_for_status
from hub_fixture import RunningHub
from overread.synthetic.phantoms import make_mr_series

# pyxnat asks lxml whether an element is true, and reads a package's resources the old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with an exam that came by DICOM."""
    running, port = receiving_hub(tmp_path_factory.mktemp("pyxnat"))
    add_user(running.hub, "mary")
    assert set(arrivals.send(port, make_mr_series((5, 16, 20), seed=3))) == {0}
    wait_for_status(running, "ARCHIVED")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def central(served: RunningHub) -> Iterator[Any]:
    import pyxnat  # noqa: PLC0415 - it reads all its modules at once, which takes a second

    interface = pyxnat.Interface(server=served.url, user="admin", password=served.password)
    yield interface
    interface.disconnect()


@pytest.fixture(scope="module")
def session(central: Any) -> Any:
    """A session that pyxnat made, with all that is above it."""
    found = central.select.project("PX").subject("S1").experiment("E1")
    found.create(experiments="xnat:mrSessionData", **{"xnat:mrSessionData/date": "2024-01-15"})
    return found


def test_missing_ancestors_are_made(central: Any, session: Any) -> None:
    assert session.exists()
    assert (session.label(), session.datatype(), session.attrs.get("date")) == (
        "E1",
        "xnat:mrSessionData",
        "2024-01-15",
    )
    assert central.select.projects().get() == ["BTS", "PX"]
    assert session.parent().label() == "S1"
    assert not central.select.project("PX").subject("NONE").exists()


def test_fields_are_written_and_read(session: Any) -> None:
    subject = session.parent()
    subject.attrs.set("gender", "female")
    subject.attrs.mset({"handedness": "left", "yob": "1970"})
    assert subject.attrs.mget(["gender", "handedness", "yob"]) == ["female", "left", "1970"]
    scan = session.scan("1").create(scans="xnat:mrScanData", **{"xnat:mrScanData/type": "T1"})
    assert scan.attrs.get("type") == "T1"
    assert session.xpath("//xnat:scan/@type") == ["T1"]


def test_files_go_up_come_down_and_go_away(session: Any, tmp_path: Path) -> None:
    resource = session.resource("NOTES")
    source = tmp_path / "a.txt"
    source.write_text("hello")
    resource.file("a.txt").put(str(source), format="TXT", content="NOTE")
    resource.file("sub/b.txt").put(str(source))
    assert sorted(resource.files().get()) == ["a.txt", "b.txt"]
    file = resource.file("a.txt")
    assert (file.size(), file.format(), file.content()) == ("5", "TXT", "NOTE")
    assert Path(file.get(str(tmp_path / "back.txt"))).read_text() == "hello"
    (tmp_path / "all").mkdir()
    extracted = resource.get(str(tmp_path / "all"), extract=True)
    assert {Path(path).name for path in extracted} == {"a.txt", "b.txt"}
    file.delete()
    assert resource.files().get() == ["b.txt"]


def test_a_received_exam_is_found_and_downloaded(central: Any, tmp_path: Path) -> None:
    (found,) = central.select("/projects/BTS/subjects/*/experiments")
    assert found.scans().get() == ["1"]
    assert len(found.scan("1").resource("DICOM").files().get()) == 5
    archive = found.scans().download(str(tmp_path), type="ALL", extract=False)
    with zipfile.ZipFile(archive) as content:
        assert len([name for name in content.namelist() if name.endswith(".dcm")]) == 5


def test_lists_by_type_and_by_constraint(central: Any, session: Any) -> None:
    rows = central.array.experiments(project_id="PX", experiment_type="xnat:mrSessionData").data
    assert [(row["project"], row["ID"]) for row in rows] == [("PX", session.id())]
    assert central.array.mrsessions(project_id="BTS").data[0]["ID"] != rows[0]["ID"]
    assert central.array.experiments(project_id="NONE").data == []
    assert [subject.label() for subject in central.select("/projects/PX/subjects")] == ["S1"]


def test_searches(central: Any, session: Any) -> None:
    columns = ["xnat:mrSessionData/SESSION_ID", "xnat:mrSessionData/PROJECT"]
    found = central.select("xnat:mrSessionData", columns).where([("xnat:mrSessionData/PROJECT", "=", "PX"), "AND"])
    assert found.data == [{"session_id": session.id(), "project": "PX"}]
    subjects = central.select("xnat:subjectData", ["xnat:subjectData/SUBJECT_ID", "xnat:subjectData/PROJECT"])
    assert {row["project"] for row in subjects.all().data} == {"PX", "BTS"}
    assert "xnat:mrSessionData" in central.inspect.datatypes()
    assert "xnat:subjectData/PROJECT" in central.inspect.datatypes("xnat:subjectData")


def test_a_result_with_files(session: Any, tmp_path: Path) -> None:
    assessor = session.assessor("A1").create(assessors="xnat:qcManualAssessorData")
    source = tmp_path / "q.txt"
    source.write_text("fine")
    assessor.resource("OUT").file("q.txt").put(str(source))
    assert [one.label() for one in session.assessors()] == ["A1"]
    assert assessor.resource("OUT").files().get() == ["q.txt"]
    assessor.delete()
    assert session.assessors().get() == []


def test_users_and_settings_of_a_project(central: Any, session: Any) -> None:
    project = central.select.project("PX")
    assert project.accessibility() == b"private"
    project.set_accessibility("protected")
    assert project.accessibility() == b"protected"
    project.add_user("mary", "member")
    assert (project.members(), project.user_role("mary")) == (["mary"], "member")
    project.remove_user("mary")
    assert project.members() == []
    assert project.prearchive_code() == 4
    project.set_prearchive_code("0")
    assert project.prearchive_code() == 0
    assert "mary" in central.manage.users()


def test_sharing(central: Any, session: Any) -> None:
    central.select.project("PY").create()
    subject = session.parent()
    subject.share("PY")
    assert list(subject.shares().get()) == ["PX", "PY"]
    assert subject.exists()
    subject.unshare("PY")
    assert list(subject.shares().get()) == ["PX"]


def test_what_the_hub_keeps_none_of_is_an_empty_list(session: Any) -> None:
    assert list(session.reconstructions().get()) == []
    assessor = session.assessor("QC1").create(assessors="xnat:qcManualAssessorData")
    assert list(assessor.in_resources().get()) == []
    assert list(assessor.out_resources().get()) == []


def test_what_is_refused_is_told(central: Any) -> None:
    from pyxnat.core.errors import DatabaseError  # noqa: PLC0415 - as above

    with pytest.raises(DatabaseError, match="be searched by"):
        central.select("xnat:mrSessionData", ["xnat:mrSessionData/NO_SUCH"]).all()


def test_deletion(central: Any) -> None:
    project = central.select.project("GONE")
    experiment = project.subject("S").experiment("E").create(experiments="xnat:mrSessionData")
    experiment.delete()
    assert not experiment.exists()
    project.delete()
    assert not project.exists()
