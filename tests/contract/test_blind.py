"""`overread blind` against a hub: planted leaks are found, a clean study passes, and who may open a case."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from helpers.blinded import Copies, speckled
from helpers.study_folder import write_study
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.study.manifest import load_manifest
from overread.xnat.blinding import Reading, make_salt, publish_key, read_key, read_salt, write_key
from overread.xnat.connection import Answer, XnatArchive, open_archive

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("blind"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def run(hub: RunningHub, *arguments: str, user: str = "admin", password: str | None = None) -> Result:
    environment = {"OVERREAD_PASSWORD": hub.password if password is None else password}
    return CliRunner().invoke(main, ["blind", *arguments, "--url", hub.url, "--user", user], env=environment)


def checked(hub: RunningHub, manifest: Path, folder: Path, copies: Copies, *options: str) -> tuple[int, dict[str, Any]]:
    with hub.client() as client:
        copies.put(client)
    make_salt(folder)
    write_key(folder, load_manifest(manifest.read_text("utf-8"), source="").id, copies.readings)
    result = run(hub, "check", str(manifest), "--secrets", str(folder), "--json", *options)
    assert result.exit_code in {0, 1}, result.output
    return result.exit_code, json.loads(result.stdout)


def test_a_clean_study_passes(hub, manifest, tmp_path):
    code, report = checked(hub, manifest, tmp_path, Copies("CLEAN", 6))
    assert (code, report["leaks"], report["blind"]) == (0, [], True), report["leaks"]
    assert (report["copies"], report["exams"], report["missing"]) == (18, 6, 0)
    assert report["facts"] > 200
    assert {one["exams"] for one in report["shape"]} == {6}
    shown = run(hub, "check", str(manifest), "--secrets", str(tmp_path))
    assert shown.exit_code == 0
    assert "No fact that stands by the copies goes along with the source." in shown.stdout
    assert "95 % interval" in shown.stdout


def change(seg, reading):
    """Plant a leak of each kind in a segmentation."""
    seg.Manufacturer = "AI Inc" if reading.source == "model" else "none"
    if reading.source == "model":
        seg.add_new("DataSetTrailingPadding", "OB", b"\0" * 40)
        seg.SegmentSequence[0].SegmentAlgorithmType = "SEMIAUTOMATIC"
        seg.SegmentSequence[0].SegmentAlgorithmName = "x"
        seg.ContentLabel = "AI"
    if reading.source == "novice":
        seg.SeriesInstanceUID = f"1.2.826.0.1.{int(reading.exam[1:]) + 1}"
        seg.file_meta.SourceApplicationEntityTitle = "OHIF"
    if reading.source == "expert":
        seg.SegmentSequence[0].RecommendedDisplayCIELabValue = [1, 2, 3]
        seg.add_new(0x00091001, "LO", "workstation")
        seg.ContentDate = "20260504"


SEG_LEAKS = {
    "segmentation.(0009,1001)",
    "segmentation.ContentDate",
    "segmentation.ContentLabel",
    "segmentation.DataSetTrailingPadding",
    "segmentation.Manufacturer",
    "segmentation.SegmentSequence.RecommendedDisplayCIELabValue",
    "segmentation.SegmentSequence.SegmentAlgorithmName",
    "segmentation.SegmentSequence.SegmentAlgorithmType",
    "segmentation.SeriesInstanceUID",
    "segmentation.bytes",
    "segmentation.meta.SourceApplicationEntityTitle",
}


def test_leaks_in_the_file_and_on_the_server_are_found_all_in_two_exams(hub, manifest, tmp_path):
    copies = Copies(
        "LEAKY",
        2,
        change_seg=change,
        fields=lambda r: {"form": r.code, "origin": "m" if r.source == "model" else "h"},
        session=lambda r: {"note": "by hand"} if r.source != "model" else {},
    )
    code, report = checked(hub, manifest, tmp_path, copies)
    assert (code, report["blind"]) == (1, False)
    paths = {leak["path"] for leak in report["leaks"]}
    assert {path for path in paths if path.startswith("segmentation.")} - {
        "segmentation.meta.FileMetaInformationGroupLength"
    } == SEG_LEAKS
    assert {"field.origin", "session.note"} <= paths
    assert "field.form" not in paths
    shown = run(hub, "check", str(manifest), "--secrets", str(tmp_path))
    assert (
        "LEAK  segmentation.Manufacturer: its value tells the source without fail; expert: none, model: AI Inc"
        in shown.stdout
    )


def test_the_order_of_uploads_and_the_shape_of_masks_are_found(hub, manifest, tmp_path):
    order = ["model", "expert", "novice"]
    copies = Copies("ORDER", 6, order=lambda r: (r.exam, order.index(str(r.source))), change_mask=speckled)
    code, report = checked(hub, manifest, tmp_path, copies)
    assert code == 1
    leaks = {(leak["path"], leak["kind"]) for leak in report["leaks"]}
    assert ("session.ID", "order") in leaks
    assert ("list.insert_date", "order") in leaks
    (model,) = [one for one in report["shape"] if one["source"] == "model"]
    assert model["auc"] > 0.95
    assert model["told"] is True
    allowed = run(hub, "check", str(manifest), "--secrets", str(tmp_path), "--max-auc", "1.0")
    assert "shape model is told from the others with AUC" in allowed.stdout


@pytest.fixture(scope="module")
def opened(hub: RunningHub) -> tuple[RunningHub, Reading]:
    """A key on the server, its owner, a reader, and an outsider."""
    reading = Reading(
        code="K3F9W2ZB7M", exam="E7", source="novice", reader="reader1", role="reader", project="OPEN_R01"
    )
    with hub.client() as client:
        for project in ("OPEN", "OPEN_R01"):
            assert client.put(f"/data/projects/{project}").status_code == 200
        for login in ("reader1", "coordinator", "other"):
            user = {"username": login, "password": "Secret-word-1", "email": f"{login}@example.org", "enabled": True,
                    "firstName": login, "lastName": "x", "verified": True}  # fmt: skip
            assert client.post("/xapi/users", json=user).status_code in {200, 201}
        with open_archive(hub.url, user="admin", password=hub.password) as archive:
            publish_key(archive, "OPEN", "knee", [reading])
            publish_key(archive, "OPEN", "knee", [reading])
        boss = {"username": "boss", "password": "Secret-word-1", "email": "boss@example.org", "enabled": True,
                "firstName": "B", "lastName": "x", "verified": True}  # fmt: skip
        assert client.post("/xapi/users", json=boss).status_code in {200, 201}
        assert client.put("/xapi/users/boss/roles/Administrator").status_code == 200
        for project, role, login in (
            ("OPEN_R01", "member", "reader1"), ("OPEN", "member", "other"), ("OPEN_KEY", "owner", "coordinator"),
            ("OPEN_KEY", "member", "other"),
        ):  # fmt: skip
            path = f"/data/projects/{project}/users/{project}_{role}/{login}"
            assert client.put(path).status_code == 200
    return hub, reading


def open_as(
    hub: RunningHub, user: str, *options: str, code: str = "K3F9W2ZB7M", reason: str = "adverse event in E7"
) -> Result:
    password = None if user == "admin" else "Secret-word-1"
    return run(hub, "open", code, "--project", "OPEN", "--reason", reason, *options, user=user, password=password)


def test_the_owner_opens_a_case_and_it_is_written_down(opened):
    hub, reading = opened
    result = open_as(hub, "coordinator")
    assert result.exit_code == 0, result.output
    assert "exam E7, source novice, reader reader1" in result.stdout
    listed = run(hub, "opened", "--project", "OPEN", "--json", user="coordinator", password="Secret-word-1")
    (act, *_) = json.loads(listed.stdout)
    assert (act["code"], act["by"], act["reason"]) == (reading.code, "coordinator", "adverse event in E7")
    unknown = open_as(hub, "coordinator", code="B000000000")
    assert unknown.exit_code == 1
    assert "knows no case" in unknown.stderr
    listed = run(hub, "opened", "--project", "OPEN", "--json", user="coordinator", password="Secret-word-1")
    assert [one["code"] for one in json.loads(listed.stdout)] == [reading.code, "B000000000"]


@pytest.mark.parametrize("user", ["reader1", "other", "boss"])
def test_a_reader_a_member_and_an_administrator_open_nothing(opened, user):
    hub, _ = opened
    result = open_as(hub, user)
    assert result.exit_code == 1
    assert "novice" not in result.output
    assert "owner" in result.stderr


def test_without_a_reason_nothing_is_opened(opened):
    hub, _ = opened
    result = open_as(hub, "coordinator", reason=" why? ")
    assert result.exit_code == 1
    assert "say why" in result.stderr


def test_a_reader_can_neither_read_the_key_nor_touch_the_record(opened):
    hub, _ = opened
    assert open_as(hub, "coordinator").exit_code == 0
    base = "/data/projects/OPEN_KEY/resources"
    with hub.client() as client:
        (name, *_) = [
            row["Name"] for row in client.get(f"{base}/UNBLINDING/files?format=json").json()["ResultSet"]["Result"]
        ]
    with hub.client("reader1", "Secret-word-1") as reader:
        for path in (f"{base}/KEY/files/key.json", f"{base}/UNBLINDING/files", f"{base}/UNBLINDING/files/{name}"):
            assert reader.get(path).status_code in {403, 404}, path
        assert reader.delete(f"{base}/UNBLINDING/files/{name}").status_code in {403, 404}
        forged = reader.put(
            f"{base}/UNBLINDING/files/{name}", params={"inbody": "true", "overwrite": "true"}, content=b"{}"
        )
        assert forged.status_code in {403, 404}
    with hub.client("other", "Secret-word-1") as member:
        assert member.delete(f"{base}/UNBLINDING/files/{name}").status_code == 403


def test_nothing_is_told_when_the_act_can_not_be_written_down(opened, monkeypatch):
    hub, _ = opened
    monkeypatch.setattr(XnatArchive, "send", lambda self, request: Answer(200, ""))
    result = open_as(hub, "coordinator")
    assert result.exit_code == 1
    assert "so nothing is told" in result.stderr
    assert "novice" not in result.output


def test_secrets_that_others_can_read_are_refused(tmp_path):
    folder = tmp_path / "secrets"
    salt = make_salt(folder)
    assert read_salt(folder) == salt
    assert stat.S_IMODE((folder / "salt").stat().st_mode) == 0o600
    (folder / "salt").chmod(0o640)
    result = CliRunner().invoke(main, ["blind", "salt", "--secrets", str(folder)])
    assert (result.exit_code, "is there already" in result.stderr) == (1, True)
    for use in (lambda: read_salt(folder), lambda: read_key(folder, "knee")):
        with pytest.raises(Exception, match=r"chmod 600|is not there"):
            use()
    reading = Reading(code="B1", exam="E1", source=None, reader="r", role="gate", project="P")
    write_key(folder, "knee", [reading])
    assert read_key(folder, "knee") == (reading,)
    with pytest.raises(Exception, match="of study knee, not of hip"):
        read_key(folder, "hip")
    (folder / "salt").unlink()
    (folder / "salt").symlink_to(folder / "key.json")
    with pytest.raises(Exception, match="no link"):
        read_salt(folder)
