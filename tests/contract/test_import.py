"""Imports: what replaces what, the inbox, and archives that do not mean well, of which nothing stays."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import file_bytes, receiving_hub
from helpers.uploads import zipped
from hub_fixture import RunningHub
from overread.hub.areas.importer import unpack
from overread.synthetic.phantoms import make_mr_series

IMPORT = "/data/services/import"
ZIP = {"content-type": "application/zip"}
E1 = {"project": "BTS", "subject": "S", "session": "E1", "dest": "/archive"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running, _ = receiving_hub(tmp_path_factory.mktemp("import"), quiet_default_s=600.0)
    add_user(running.hub, "mary", role="member", project="BTS")
    with running.client() as admin:
        admin.put("/data/projects/OTHER")
    yield running
    running.stop()


@pytest.fixture
def hub(shared: RunningHub) -> Iterator[RunningHub]:
    yield shared
    with shared.client() as admin:
        for row in admin.get("/data/experiments?format=json").json()["ResultSet"]["Result"]:
            admin.delete(f"/data/experiments/{row['ID']}?removeFiles=true")
    arrivals.wipe(shared)


@pytest.fixture
def mary(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client("mary", "secret") as client:
        yield client


def exam(seed: int, **header: object) -> list[Dataset]:
    return make_mr_series((3, 16, 20), seed=seed, **header)  # type: ignore[arg-type]


def other(seed: int) -> list[Dataset]:
    """An exam of somebody else."""
    images = exam(seed)
    for image in images:
        image.PatientID = f"OTHER-{seed}"
    return images


def send(client: httpx.Client, content: bytes, **query: str) -> httpx.Response:
    return client.post(IMPORT, params={"project": "BTS"} | query, content=content, headers=ZIP)


def waiting(client: httpx.Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get("/data/prearchive?format=json").json()["ResultSet"]["Result"]
    return found


def comments(client: httpx.Client, session: str) -> dict[str, str]:
    rows = client.get(f"{session}/scans/1/resources/DICOM/files?format=json").json()["ResultSet"]["Result"]
    images = [pydicom.dcmread(io.BytesIO(client.get(row["URI"]).content)) for row in rows]
    return {str(image.SOPInstanceUID): str(image.get("ImageComments", "")) for image in images}


def test_overwriting_replaces_what_changed_and_appending_does_not(hub: RunningHub, mary: httpx.Client) -> None:
    images = exam(1)
    session = send(mary, zipped(images), **E1).text.strip()
    for image in images[:2]:
        image.ImageComments = "again"
    changed = {str(image.SOPInstanceUID) for image in images[:2]}
    assert send(mary, zipped(images), overwrite="append", **E1).text.strip() == session
    assert set(comments(mary, session).values()) == {""}
    answer = send(mary, zipped(images), overwrite="delete", **E1)
    assert answer.text.strip() == session, answer.text
    found = comments(mary, session)
    assert {uid for uid, comment in found.items() if comment == "again"} == changed
    assert len(found) == 3
    scan = mary.get(f"{session}/scans/1?format=json").json()["items"][0]["data_fields"]
    assert int(scan["frames"]) == 3
    assert sum(line.reason.startswith("replaced") for line in arrivals.ledger(hub, "deleted")) == 2
    assert not list(hub.hub.layout.journal.iterdir())


def test_a_session_importer_takes_one_session(mary: httpx.Client) -> None:
    both = zipped([*exam(2), *other(3)])
    answer = send(mary, both)
    assert answer.status_code == 400
    assert "multiple imaging sessions" in answer.text
    assert {row["status"] for row in waiting(mary)} == {"READY"}
    assert send(mary, both, **{"import-handler": "DICOM-zip", "dest": "/archive"}).text.count("/experiments/") == 2


def test_where_in_the_prearchive_may_be_said(mary: httpx.Client) -> None:
    place = "/prearchive/projects/BTS/20260102_030405678/FOLDER"
    assert send(mary, zipped(exam(4)), dest=place).text == f"/data{place}\r\n"
    assert send(mary, zipped(exam(5)), dest="/prearchive/projects/BTS/yesterday/X").status_code == 400


def test_a_session_may_be_kept_open_and_says_where_it_is_from(mary: httpx.Client) -> None:
    answer = send(mary, zipped(exam(6)), prevent_auto_commit="true", prevent_anon="true", SOURCE="script", VISIT="v1")
    assert answer.text.startswith("/data/prearchive/")
    (row,) = waiting(mary)
    assert (row["status"], row["prevent_auto_commit"], row["prevent_anon"]) == ("RECEIVING", "true", "true")
    assert (row["SOURCE"], row["VISIT"]) == ("script", "v1")
    assert mary.post(f"/data{row['url']}?action=commit&AA=true").status_code == 301


def test_straight_to_the_archive(mary: httpx.Client) -> None:
    query = {"import-handler": "gradual-DICOM", "PROJECT_ID": "BTS", "EXPT_LABEL": "D1", "Direct-Archive": "true"}
    for image in exam(7):
        answer = mary.post(
            IMPORT, params=query, content=file_bytes(image), headers={"content-type": "application/dicom"}
        )
        assert answer.status_code == 200
    (row,) = waiting(mary)
    assert row["autoarchive"] == "AutoArchive"
    assert mary.post(IMPORT, params={"Direct-Archive": "true"}, content=zipped(exam(7)), headers=ZIP).status_code == 400


@pytest.mark.parametrize("handler", ["XAR", "automation"])
def test_handlers_of_xnat_that_the_hub_lacks_are_501(mary: httpx.Client, handler: str) -> None:
    assert send(mary, zipped([]), **{"import-handler": handler}).status_code == 501


# archives that do not mean well


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip that begins with an honest object."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("honest.dcm", file_bytes(exam(20)[0]))
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(**attributes: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        content = file_bytes(exam(20)[0])
        honest = tarfile.TarInfo("honest.dcm")
        honest.size = len(content)
        archive.addfile(honest, io.BytesIO(content))
        other = tarfile.TarInfo("other")
        for name, value in attributes.items():
            setattr(other, name, value)
        archive.addfile(other)
    return buffer.getvalue()


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.dcm")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted() -> bytes:
    """A zip whose entries say that they are encrypted."""
    content = bytearray(zip_of(("b.dcm", b"x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 4)
    return bytes(content)


def nested(depth: int, content: bytes) -> bytes:
    for _ in range(depth):
        content = zip_of(("inner.zip", content))
    return content


def liar() -> bytes:
    """A zip that says its bomb is small."""
    content = bytearray(zip_of(("bomb.dcm", b"\0" * 80_000_000)))
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(content)


HOSTILE = {
    "up": (lambda: zip_of(("../../evil.dcm", b"x")), 400, "outside of it"),
    "absolute": (lambda: zip_of(("/etc/passwd", b"x")), 400, "outside of it"),
    "backslash": (lambda: zip_of(("..\\evil.dcm", b"x")), 400, "outside of it"),
    "drive": (lambda: zip_of(("C:\\evil.dcm", b"x")), 400, "outside of it"),
    "link": (lambda: zip_of((link(), b"/etc/passwd")), 400, "link or device"),
    "encrypted": (encrypted, 400, "encrypted"),
    "bomb": (lambda: zip_of(("bomb.dcm", b"\0" * 80_000_000)), 413, "unpacks to more"),
    "liar": (liar, 400, "unpacked"),
    "nested-bomb": (lambda: nested(1, zip_of(("bomb.dcm", b"\0" * 80_000_000))), 413, "unpacks to more"),
    "nested-deep": (lambda: nested(4, zip_of()), 400, "deep in each other"),
    "nested-lie": (lambda: zip_of(("inner.zip", b"no zip")), 400, "is none"),
    "cut": (lambda: zip_of()[:-30], 400, "Unable to identify"),
    "broken": (lambda: zip_of(("b.dcm", b"x" * 5000)).replace(b"honest.dcm", b"hones2.dcm", 1), 400, "unpacked"),
    "no-dicom": (lambda: zip_of(("b.dcm", b"text")), 400, "not taken"),
    "tar-up": (lambda: tar_of(name="../evil"), 400, "outside of it"),
    "tar-symlink": (lambda: tar_of(type=tarfile.SYMTYPE, linkname="/etc/passwd"), 400, "link or device"),
    "tar-hardlink": (lambda: tar_of(type=tarfile.LNKTYPE, linkname="/etc/passwd"), 400, "link or device"),
    "tar-device": (lambda: tar_of(type=tarfile.CHRTYPE), 400, "link or device"),
    "tar-fifo": (lambda: tar_of(type=tarfile.FIFOTYPE), 400, "link or device"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_of_a_hostile_archive_nothing_stays(hub: RunningHub, mary: httpx.Client, name: str) -> None:
    make, status, words = HOSTILE[name]
    skip = "false" if name == "no-dicom" else "true"
    answer = send(mary, make(), **{"import-handler": "DICOM-zip", "Ignore-Unparsable": skip, "dest": "/archive"})
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert waiting(mary) == []
    assert mary.get("/data/projects/BTS/experiments?format=json").json()["ResultSet"]["Result"] == []
    home = hub.hub.layout
    assert not [path for path in home.prearchive.rglob("*") if path.is_file()]
    assert not [path for path in home.tmp.rglob("*") if path.is_file()]
    assert not list(home.home.parent.rglob("evil*"))
    assert not arrivals.ledger(hub, "received", "archived")


def test_too_many_entries(mary: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_ENTRIES", 3)
    answer = send(mary, zipped(exam(21), a=b"", b=b""), **{"import-handler": "DICOM-zip"})
    assert (answer.status_code, "more than 3 files" in answer.text) == (413, True)
    assert waiting(mary) == []


def test_honest_archives_in_an_archive_are_taken(mary: httpx.Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("one.zip", zipped(exam(22)))
        archive.writestr("two/two.zip", zipped(other(23)))
    answer = send(mary, buffer.getvalue(), **{"import-handler": "DICOM-zip", "dest": "/archive"})
    assert answer.text.count("\r\n") == 2


# the inbox


@pytest.fixture
def inbox(hub: RunningHub, tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "inbox"
    for number, image in enumerate(exam(24)):
        folder = root / "BTS" / "exam"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.dcm").write_bytes(file_bytes(image))
    with hub.client() as admin:
        admin.post("/xapi/siteConfig", json={"inboxPath": str(root)})
    yield root
    with hub.client() as admin:
        admin.post("/xapi/siteConfig", json={"inboxPath": ""})


def from_inbox(client: httpx.Client, path: Path | str, **query: str) -> httpx.Response:
    values = {"import-handler": "inbox", "path": str(path), "PROJECT_ID": "BTS", "EXPT_LABEL": "FROM_INBOX"}
    return client.post(IMPORT, params=values | {"SUBJECT_ID": "S", "dest": "/archive"} | query)


def test_a_folder_of_the_inbox_is_imported_and_removed(mary: httpx.Client, inbox: Path) -> None:
    answer = from_inbox(mary, inbox / "BTS" / "exam")
    assert answer.status_code == 200, answer.text
    request = mary.get(answer.text.strip()).json()
    assert (request["status"], request["username"]) == ("Completed", "mary")
    assert request["resolution"].endswith("/experiments/FROM_INBOX")
    assert not (inbox / "BTS" / "exam").exists()
    assert mary.get("/xapi/dicom/list/all").json()[-1]["id"] == request["id"]
    assert from_inbox(mary, inbox / "BTS").status_code == 400


def test_a_folder_stays_if_asked_and_an_archive_is_taken(mary: httpx.Client, inbox: Path) -> None:
    assert from_inbox(mary, inbox / "BTS" / "exam", cleanupAfterImport="false").status_code == 200
    assert len(list((inbox / "BTS" / "exam").iterdir())) == 3
    assert from_inbox(mary, inbox / "BTS" / "exam").status_code == 409, "there is an exam of that label"
    packed = inbox / "BTS" / "more.zip"
    packed.write_bytes(zipped(exam(25)))
    answer = from_inbox(mary, packed, EXPT_LABEL="PACKED")
    assert mary.get(answer.text.strip()).json()["status"] == "Completed"
    assert not packed.exists()


def test_nothing_outside_of_the_inbox_is_read(hub: RunningHub, mary: httpx.Client, inbox: Path) -> None:
    secret = inbox.parent / "secret"
    secret.mkdir()
    (secret / "a.dcm").write_bytes(file_bytes(exam(26)[0]))
    (inbox / "BTS" / "way-out").symlink_to(secret)
    (inbox / "OTHER").mkdir()
    (inbox / "OTHER" / "theirs").mkdir()
    for path in (
        secret, inbox / "BTS" / "way-out", inbox / "BTS" / ".." / ".." / "secret", inbox, inbox / "OTHER" / "theirs",
        inbox / "BTS" / "none", "", "/etc", f"{inbox}-x/BTS/exam",
    ):  # fmt: skip
        assert from_inbox(mary, path).status_code == 400, path
    assert from_inbox(mary, inbox / "BTS" / "exam", PROJECT_ID="OTHER").status_code == 403
    with hub.client() as admin:
        admin.post("/xapi/siteConfig", json={"inboxPath": ""})
    assert from_inbox(mary, inbox / "BTS" / "exam").status_code == 403
    assert waiting(mary) == []


def test_what_fails_is_told_and_kept(mary: httpx.Client, inbox: Path) -> None:
    (inbox / "BTS" / "text").mkdir()
    (inbox / "BTS" / "text" / "a.txt").write_text("no DICOM")
    answer = from_inbox(mary, inbox / "BTS" / "text")
    request = mary.get(answer.text.strip()).json()
    assert request["status"] == "Failed"
    assert "No DICOM object" in request["resolution"]
    assert (inbox / "BTS" / "text" / "a.txt").exists()
