"""xnatpy, a client that is not ours, against a hub over HTTP: it connects, lists, reads, writes, up- and downloads."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xnat

from hub_fixture import RunningHub, start_hub
from plugin_jar import make_plugin_jar

CLASSES = (
    "xnat:projectData", "xnat:subjectData", "xnat:mrSessionData", "xnat:ctSessionData", "xnat:crSessionData",
    "xnat:dxSessionData", "xnat:petSessionData", "xnat:mgSessionData", "xnat:usSessionData", "xnat:xaSessionData",
    "xnat:otherDicomSessionData", "xnat:mrScanData", "xnat:ctScanData", "xnat:segScanData", "xnat:srScanData",
    "xnat:otherDicomScanData", "xnat:qcManualAssessorData", "xnat:resourceCatalog", "icr:roiCollectionData",
    "braintumor:resultData",
)  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One hub with the hand-made plugin."""
    folder = tmp_path_factory.mktemp("hub")
    make_plugin_jar(folder / "home" / "plugins")
    running = start_hub(folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def connection(served: RunningHub) -> Iterator[Any]:
    """A connection that has read the hub's schemas and made classes of them."""
    with xnat.connect(served.url, user="admin", password=served.password) as connected:
        yield connected


@pytest.fixture
def session(connection: Any, request: pytest.FixtureRequest) -> Any:
    """A fresh MR session of project P, made through xnatpy."""
    if "P" not in connection.projects:
        connection.put("/data/archive/projects/P")
        connection.projects.clearcache()
    label = request.node.name.replace("[", "_").replace("]", "")
    subject = connection.classes.SubjectData(parent=connection.projects["P"], label=f"S_{label}")
    return connection.classes.MrSessionData(parent=subject, label=label)


def test_it_makes_a_class_of_every_type(connection: Any) -> None:
    assert connection.xnat_version == "1.9.3"
    missing = [name for name in CLASSES if name not in connection.XNAT_CLASS_LOOKUP]
    assert not missing
    result = connection.XNAT_CLASS_LOOKUP["braintumor:resultData"]
    assert issubclass(result, connection.XNAT_CLASS_LOOKUP["xnat:imageAssessorData"])
    assert hasattr(result, "lesion_volume_ml")


def test_fields_keep_their_kinds(session: Any) -> None:
    session.date = datetime.date(2026, 5, 1)
    session.note = "seen & <noted>"
    session.clearcache()
    assert session.date == datetime.date(2026, 5, 1)
    assert session.note == "seen & <noted>"


def test_objects_are_listed_by_label_and_id(connection: Any, session: Any) -> None:
    project = connection.projects["P"]
    project.clearcache()
    connection.experiments.clearcache()
    assert session.label in project.experiments
    assert session.id in connection.experiments
    subject = project.subjects[f"S_{session.label}"]
    assert [one.id for one in subject.experiments.values()] == [session.id]


def test_scans_and_their_parameters(connection: Any, session: Any) -> None:
    scan = connection.classes.MrScanData(parent=session, id="1", type="FLAIR")
    scan.frames = 24
    scan.parameters.te = 12.5
    session.scans.clearcache()
    again = session.scans["FLAIR"]
    again.clearcache()
    assert (again.frames, again.parameters.te, again.quality) == (24, 12.5, "usable")
    assert again.xnat_session.get_json(again.uri)["items"][0]["meta"]["xsi:type"] == "xnat:mrScanData"


def test_a_result_of_a_plugins_type_is_written_and_read(connection: Any, session: Any) -> None:
    result = connection.XNAT_CLASS_LOOKUP["braintumor:resultData"](parent=session, label=f"R_{session.label}")
    result.lesion_volume_ml = 12.5
    result.lesion_count = 2
    result.status = "ok"
    session.clearcache()
    read = session.assessors[f"R_{session.label}"]
    read.clearcache()
    assert (read.lesion_volume_ml, read.lesion_count, read.get("status")) == (12.5, 2, "ok")
    with pytest.raises(xnat.exceptions.XNATResponseError, match="400"):
        result.set("lesion_count", "many")


def test_demographics_and_custom_variables(session: Any) -> None:
    subject = session.subject
    subject.demographics.gender = "female"
    subject.demographics.yob = 1970
    subject.fields["site"] = "A"
    subject.clearcache()
    assert subject.demographics.gender == "female"
    assert subject.demographics.yob == 1970
    assert dict(subject.fields) == {"site": "A"}


def test_files_go_up_and_down(session: Any, tmp_path: Path) -> None:
    source = tmp_path / "a.dcm"
    source.write_bytes(bytes(range(256)) * 100)
    resource = session.create_resource("DICOM")
    resource.upload(str(source), "a.dcm")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b.txt").write_text("b")
    resource.upload_dir(str(folder))
    resource.clearcache()
    assert set(resource.files.keys()) == {"a.dcm", "sub/b.txt"}
    resource.files["a.dcm"].download(str(tmp_path / "back.dcm"), verbose=False)
    assert (tmp_path / "back.dcm").read_bytes() == source.read_bytes()
    resource.download(str(tmp_path / "all.zip"), verbose=False)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        base = f"{session.label}/resources/DICOM/files"
        assert sorted(archive.namelist()) == [f"{base}/a.dcm", f"{base}/sub/b.txt"]
    with pytest.raises(xnat.exceptions.XNATResponseError, match="409"):
        session.create_resource("DICOM")


def test_an_existing_file_is_kept_unless_told_otherwise(session: Any, tmp_path: Path) -> None:
    resource = session.create_resource("NOTES")
    source = tmp_path / "note.txt"
    for text, overwrite in (("one", False), ("two", False), ("three", True)):
        source.write_text(text)
        resource.upload(str(source), "note.txt", overwrite=overwrite)
        kept = session.xnat_session.get(f"{resource.uri}/files/note.txt").text
        assert kept == ("three" if overwrite else "one")


def test_a_session_is_downloaded_as_folders(connection: Any, session: Any, tmp_path: Path) -> None:
    scan = connection.classes.MrScanData(parent=session, id="1", type="FLAIR")
    source = tmp_path / "1.dcm"
    source.write_bytes(b"slice")
    scan.create_resource("DICOM").upload(str(source), "1.dcm")
    session.clearcache()
    session.download_dir(str(tmp_path / "down"), verbose=False)
    expected = tmp_path / "down" / session.label / "scans/1-FLAIR/resources/DICOM/files/1.dcm"
    assert expected.read_bytes() == b"slice"


def test_searching(connection: Any, session: Any) -> None:
    kind = connection.XNAT_CLASS_LOOKUP["braintumor:resultData"]
    for number, volume in enumerate((1.0, 20.0)):
        kind(parent=session, label=f"Q{number}_{session.label}").lesion_volume_ml = volume
    query = kind.query().view(kind.label, kind.lesion_volume_ml).filter(
        kind.lesion_volume_ml > 5, kind.label.like(f"%_{session.label}")
    )  # fmt: skip
    assert query.tabulate_dict() == [{"label": f"Q1_{session.label}", "lesion_volume_ml": "20.0"}]
    sessions = connection.classes.MrSessionData
    found = sessions.query().filter(sessions.label == session.label).all()
    assert [one.id for one in found] == [session.id]


def test_users_tokens_and_plugins(connection: Any, served: RunningHub) -> None:
    assert "admin" in connection.users
    assert "handMade" in connection.plugins
    token = connection.services.issue_token()
    with xnat.connect(served.url, user=token.alias, password=token.secret, no_parse_model=True) as by_token:
        assert by_token.get("/data/auth").text == "User 'admin' is logged in"


def test_members_of_a_project(connection: Any, session: Any) -> None:
    connection.post("/xapi/users", json={"username": "reader", "password": "readers-password"})
    project = session.xnat_session.projects["P"]
    connection.put("/data/projects/P/users/collaborator/reader")
    project.users.clearcache()
    assert "reader" in project.users
    assert connection.access_levels["P"] == "Owners"


def test_deleting(connection: Any, session: Any) -> None:
    identity = session.id
    connection.experiments.clearcache()
    connection.experiments[identity].delete()
    connection.experiments.clearcache()
    assert identity not in connection.experiments


def test_a_wrong_password_is_told(served: RunningHub) -> None:
    with pytest.raises(xnat.exceptions.XNATLoginFailedError):
        xnat.connect(served.url, user="admin", password="wrong")
