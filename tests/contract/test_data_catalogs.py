"""Catalogs on disk, and refreshing them after somebody wrote into the archive by hand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import select

from hub_fixture import RunningHub
from overread.hub.items.folders import resource_folder
from overread.hub.models import Resource

pytestmark = pytest.mark.inside
RAW = {"content-type": "application/octet-stream"}
CAT = "{http://nrg.wustl.edu/catalog}"
Folder = Callable[[str], Path]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def notes(shared_hub: RunningHub, admin: httpx.Client, session: str) -> tuple[str, Path]:
    """URL and folder of a resource NOTES with the file a.txt."""
    url = f"/data/experiments/{session}/resources/NOTES"
    admin.put(f"{url}/files/a.txt", content=b"first", headers=RAW)
    with shared_hub.hub.database.read() as db:
        resource = db.query(Resource).filter_by(owner_id=session, label="NOTES").one()
        return url, resource_folder(db, shared_hub.hub, resource)


def listed(admin: httpx.Client, url: str) -> dict[str, tuple[str, str]]:
    rows = admin.get(f"{url}/files", params={"format": "json"}).json()["ResultSet"]["Result"]
    return {row["URI"].rpartition("/files/")[2]: (row["Size"], row["digest"]) for row in rows}


def refresh(admin: httpx.Client, url: str, **params: str) -> httpx.Response:
    uri = url.replace("/data/", "/archive/", 1)
    return admin.post("/data/services/refresh/catalog", params={"resource": uri, **params})


def test_a_catalog_lies_beside_the_files(shared_hub: RunningHub, admin: httpx.Client, notes: tuple[str, Path]) -> None:
    url, folder = notes
    admin.put(f"{url}/files/sub/b.txt", content=b"second", headers=RAW)
    shared_hub.hub.catalogs.write_due()
    catalog = folder / "NOTES_catalog.xml"
    written = catalog.read_bytes()
    assert written == admin.get(url).content
    entries = {entry.get("URI"): entry for entry in ElementTree.fromstring(written).iter(f"{CAT}entry")}
    assert set(entries) == {"a.txt", "sub/b.txt"}
    assert entries["sub/b.txt"].get("digest") == md5(b"second")
    assert entries["sub/b.txt"].findtext(f"{CAT}metaFields/{CAT}metaField") == "6"
    admin.delete(f"{url}/files/a.txt")
    shared_hub.hub.catalogs.write_due()
    assert b"a.txt" not in catalog.read_bytes()
    assert "NOTES_catalog.xml" not in listed(admin, url), "the catalog is none of the resource's files"


def test_nobody_can_store_a_file_in_the_catalogs_place(admin: httpx.Client, notes: tuple[str, Path]) -> None:
    url, _folder = notes
    answer = admin.put(f"{url}/files/NOTES_catalog.xml", content=b"<x/>", headers=RAW)
    assert answer.status_code == 400
    assert "own catalog" in answer.text
    assert admin.put(f"{url}/files/OTHER_catalog.xml", content=b"<x/>", headers=RAW).status_code == 200


def test_refreshing_takes_in_forgets_and_counts_anew(admin: httpx.Client, notes: tuple[str, Path]) -> None:
    url, folder = notes
    admin.put(f"{url}/files/gone.txt", content=b"x", headers=RAW)
    (folder / "gone.txt").unlink()
    (folder / "a.txt").write_bytes(b"changed by hand")
    (folder / "sub").mkdir()
    (folder / "sub/new.txt").write_bytes(b"new")
    (folder / "link.txt").symlink_to("/etc/passwd")
    (folder / "scan_1_catalog.xml").write_bytes(b"<x/>")
    before = listed(admin, url)
    assert set(before) == {"a.txt", "gone.txt"}
    assert admin.get(f"{url}/files/gone.txt").status_code == 404

    assert refresh(admin, url, options="append").status_code == 200
    assert listed(admin, url) == {**before, "sub/new.txt": ("3", md5(b"new"))}
    assert refresh(admin, url, options="populateStats,checksum").status_code == 200
    assert listed(admin, url)["a.txt"] == ("15", md5(b"changed by hand"))
    assert "gone.txt" in listed(admin, url)
    assert refresh(admin, url, delete="true").status_code == 200
    assert set(listed(admin, url)) == {"a.txt", "sub/new.txt"}
    assert admin.get(f"{url}/files/sub/new.txt").content == b"new"
    assert refresh(admin, url, options="wash").status_code == 400
    assert refresh(admin, "/data/experiments/NONE").status_code == 404
    assert admin.post("/data/services/refresh/catalog").status_code == 400


def test_a_whole_session_is_refreshed_by_the_newer_route(admin: httpx.Client, notes: tuple[str, Path]) -> None:
    url, folder = notes
    (folder / "more.txt").write_bytes(b"more")
    session = url.rpartition("/resources/")[0].replace("/data/", "/archive/", 1)
    assert admin.put("/xapi/archive/catalogs/refresh/Checksum", json=[session]).status_code == 200
    assert set(listed(admin, url)) == {"a.txt"}
    assert admin.put("/xapi/archive/catalogs/refresh", json=[session]).status_code == 200
    assert set(listed(admin, url)) == {"a.txt", "more.txt"}
    assert admin.put("/xapi/archive/catalogs/refresh/Wash", json=[session]).status_code == 400
    assert admin.put("/xapi/archive/catalogs/refresh", json={"no": "list"}).status_code == 400
    assert admin.put("/xapi/archive/catalogs/refresh", json=[]).status_code == 400


def test_who_asks_for_what_is_due_waits_for_who_is_at_it(
    shared_hub: RunningHub, notes: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs, (_url, folder) = shared_hub.hub.catalogs, notes
    catalogs.write_due()
    (folder / "NOTES_catalog.xml").unlink()
    begun, go_on, write = threading.Event(), threading.Event(), catalogs._write

    def slow(*given: Any) -> None:
        begun.set()
        assert go_on.wait(20)
        write(*given)

    monkeypatch.setattr(catalogs, "_write", slow)
    with shared_hub.hub.database.read() as db:
        newest = db.scalars(select(Resource.pk).order_by(Resource.pk.desc())).first()
    assert newest is not None
    catalogs.write_soon({newest})
    assert begun.wait(20)
    second = threading.Thread(target=catalogs.write_due)
    second.start()
    second.join(0.3)
    assert second.is_alive(), "it returned before the catalog was written"
    go_on.set()
    second.join(20)
    assert (folder / "NOTES_catalog.xml").is_file()
