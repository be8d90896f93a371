"""Resources and files (xnat-rest 2.8), beside the numbered test vectors (test_vectors.py)."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

import httpx
import pytest

from hub_fixture import RunningHub, start_hub

RAW = {"content-type": "application/octet-stream"}


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def names(client: httpx.Client, url: str) -> list[str]:
    answer = client.get(url, params={"format": "json"})
    assert answer.status_code == 200, answer.text
    return [row["URI"].partition("/files/")[2] for row in answer.json()["ResultSet"]["Result"]]


@pytest.mark.inside
def test_empty_files_are_refused(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files/a.txt"
    assert root.put(url, content=b"", headers=RAW).status_code == 400
    assert root.get(url).status_code == 404
    assert root.get(url, params={"accept-not-found": "true"}).status_code == 204


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_are_taken_apart(root: httpx.Client, exam: str, kind: str) -> None:
    content = {"sub/a.dcm": b"a" * 100, "b.dcm": b"b", "x_catalog.xml": b"<x/>"}
    url = f"/data/experiments/{exam}/resources/R/files"
    packed = zip_of(content) if kind == "zip" else tar_of(content)
    answer = root.put(f"{url}/x.{kind}", params={"extract": "true"}, content=packed, headers=RAW)
    assert answer.status_code == 200, answer.text
    assert names(root, url) == ["b.dcm", "sub/a.dcm"]
    again = root.put(f"{url}/x.{kind}", params={"extract": "true"}, content=packed, headers=RAW)
    assert sorted(again.json()["duplicates"]) == ["b.dcm", "sub/a.dcm"]
    whole = root.put(f"{url}/y.{kind}", content=packed, headers=RAW)
    assert whole.status_code == 200
    assert root.get(f"{url}/y.{kind}").content == packed


@pytest.mark.parametrize("member", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_that_reach_out_are_refused_whole(
    shared_hub: RunningHub, admin: httpx.Client, session: str, kind: str, member: str
) -> None:
    content = {"good.txt": b"good", member: b"evil"}
    packed = zip_of(content) if kind == "zip" else tar_of(content)
    url = f"/data/experiments/{session}/resources/R/files"
    answer = admin.put(f"{url}/x.{kind}", params={"extract": "true"}, content=packed, headers=RAW)
    assert answer.status_code == 400, answer.text
    assert not list(shared_hub.hub.layout.home.parent.rglob("evil.txt"))
    assert admin.get(url).status_code == 404  # the resource was not made either


@pytest.mark.inside
def test_links_in_archives_are_refused(root: httpx.Client, exam: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    url = f"/data/experiments/{exam}/resources/R/files/x.tar?extract=true"
    assert root.put(url, content=buffer.getvalue(), headers=RAW).status_code == 400


@pytest.mark.inside
def test_damaged_archives_are_refused(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files"
    for name, content in (("x.zip", b"no zip at all"), ("x.tar.gz", b"\x1f\x8b\x08broken"), ("x.tar", b"?" * 600)):
        answer = root.put(f"{url}/{name}", params={"extract": "true"}, content=content, headers=RAW)
        assert answer.status_code == 400, name


def test_bombs_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = start_hub(tmp_path_factory.mktemp("small"), max_upload_bytes=1_000_000)
    with running.client() as client:
        client.put("/data/projects/P")
        packed = zip_of({"big": b"\0" * 2_000_000})
        assert len(packed) < 100_000
        url = "/data/projects/P/resources/R/files"
        answer = client.put(f"{url}/x.zip", params={"extract": "true"}, content=packed, headers=RAW)
        assert answer.status_code == 413
        assert client.put(f"{url}/y.bin", content=b"\0" * 1_000_001, headers=RAW).status_code == 413
    running.stop()


def test_the_catalog_is_xml_whatever_was_asked_for(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R"
    root.put(f"{url}/files/a.txt", params={"format": "TEXT", "content": "NOTE"}, content=b"abc", headers=RAW)
    answer = root.get(url, params={"format": "json"})
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<cat:Catalog')
    assert 'URI="a.txt" name="a.txt" format="TEXT" content="NOTE"' in answer.text
    assert root.get(f"/data/experiments/{exam}/resources/NONE").status_code == 404


def test_the_list_of_files_tells_size_digest_and_number(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R"
    root.put(f"{url}/files/sub/a%20b.txt", content=b"abc", headers=RAW)
    resource = root.get(f"/data/experiments/{exam}/resources?format=json").json()["ResultSet"]["Result"][0]
    number = resource["xnat_abstractresource_id"]
    assert (resource["label"], resource["file_count"], resource["file_size"]) == ("R", "1", "3")
    assert "URI" not in resource
    row = root.get(f"{url}/files?format=json").json()["ResultSet"]["Result"][0]
    assert row["Name"] == "a b.txt"
    assert row["Size"] == "3"
    assert row["digest"] == hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    assert row["URI"] == f"/data/experiments/{exam}/resources/{number}/files/sub/a%20b.txt"
    assert root.get(row["URI"]).content == b"abc"


def test_forms_carry_several_files(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files"
    parts = [("file", ("a.txt", b"A")), ("file", ("b.txt", b"B"))]
    assert root.post(url, files=parts).status_code == 200
    assert names(root, url) == ["a.txt", "b.txt"]
    assert root.put(f"{url}/named.txt", files=[("file", ("c.txt", b"C"))]).status_code == 200
    assert "named.txt" in names(root, url)


@pytest.mark.inside
def test_json_needs_inbody(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files/a.json"
    refused = root.put(url, json={"a": 1})
    assert refused.status_code == 400
    assert "inbody=true" in refused.text
    assert root.put(url, params={"inbody": "true"}, json={"a": 1}).status_code == 200
    assert root.get(url).json() == {"a": 1}


@pytest.mark.inside
def test_ranges_and_conditions(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files/a.bin"
    content = bytes(range(256)) * 20
    root.put(url, content=content, headers=RAW)
    part = root.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert root.get(url, headers={"range": "bytes=99999-"}).status_code == 416
    whole = root.get(url)
    assert whole.headers["content-length"] == str(len(content))
    etag, changed = whole.headers["etag"], whole.headers["last-modified"]
    for tags in (etag, f'"other", W/{etag}', "*"):
        assert root.get(url, headers={"if-none-match": tags}).status_code == 304, tags
    assert root.get(url, headers={"if-none-match": '"other"', "if-modified-since": changed}).status_code == 200
    assert root.get(url, headers={"if-modified-since": changed}).status_code == 304
    assert root.get(url, headers={"if-modified-since": "Thu, 01 Jan 2015 00:00:00 GMT"}).status_code == 200
    assert root.get(url, headers={"if-modified-since": "no time"}).status_code == 200
    ranged = {"range": "bytes=10-19"}
    assert root.get(url, headers={**ranged, "if-range": etag}).status_code == 206
    assert root.get(url, headers={**ranged, "if-range": '"other"'}).content == content
    assert root.get(url, headers={"range": "bytes=-5"}).content == content[-5:]
    several = root.get(url, headers={"range": "bytes=0-1,4-5"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert root.get(url, headers={"range": "lines=1-2"}).status_code == 400


@pytest.mark.inside
def test_pages_are_given_as_attachments(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R/files"
    root.put(f"{url}/a.html", content=b"<script>", headers=RAW)
    root.put(f"{url}/a.png", content=b"png", headers=RAW)
    page = root.get(f"{url}/a.html")
    assert page.headers["content-disposition"].startswith("attachment")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "content-disposition" not in root.get(f"{url}/a.png").headers


def test_zip_downloads_have_xnats_layout(root: httpx.Client, exam: str) -> None:
    label = root.get(f"/data/experiments/{exam}?format=json").json()["items"][0]["data_fields"]["label"]
    for scan, kind in (("1", "AXIAL"), ("2", "SCOUT")):
        base = f"/data/experiments/{exam}/scans/{scan}"
        root.put(base, params={"xsiType": "xnat:ctScanData", "type": kind})
        root.put(f"{base}/resources/DICOM/files/{scan}.dcm", content=scan.encode() * 3_000_000, headers=RAW)
    answer = root.get(f"/data/experiments/{exam}/scans/ALL/files?format=zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            f"{label}/scans/1-AXIAL/resources/DICOM/files/1.dcm",
            f"{label}/scans/2-SCOUT/resources/DICOM/files/2.dcm",
        ]
    one = root.get(f"/data/experiments/{exam}/scans/SCOUT,9/files?format=json").json()["ResultSet"]["Result"]
    assert [row["Name"] for row in one] == ["2.dcm"]
    packed = root.get(f"/data/experiments/{exam}/scans/1/files?format=tar.gz")
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        assert archive.getnames() == [f"{label}/scans/1-AXIAL/resources/DICOM/files/1.dcm"]
    assert root.get(f"/data/experiments/{exam}/files?format=zip").status_code == 404
    everything = root.get(f"/data/experiments/{exam}/files?format=json&all=true").json()["ResultSet"]["Result"]
    assert len(everything) == 2


def test_files_of_assessors_go_by_label_and_id(root: httpx.Client, project: str, exam: str) -> None:
    assessor = root.put(
        f"/data/experiments/{exam}/assessors/{exam}_RC",
        params={"xsiType": "icr:roiCollectionData", "icr:roiCollectionData/project": project},
    ).text
    by_label = f"/data/experiments/{exam}/assessors/{exam}_RC/out/resources/SEG/files/s.dcm"
    assert root.put(by_label, content=b"seg", headers=RAW).status_code == 200
    assert root.get(f"/data/experiments/{assessor}/resources/SEG/files/s.dcm").content == b"seg"
    assert root.get(f"/data/experiments/{exam}/assessors/{assessor}/resources/SEG/files/s.dcm").content == b"seg"


def test_deleting_files_folders_and_resources(root: httpx.Client, exam: str) -> None:
    url = f"/data/experiments/{exam}/resources/R"
    for name in ("a.txt", "sub/b.txt", "sub/c.txt"):
        root.put(f"{url}/files/{name}", content=b"x", headers=RAW)
    assert root.delete(f"{url}/files/a.txt").status_code == 200
    assert root.delete(f"{url}/files/a.txt").status_code == 404
    assert root.delete(f"{url}/files/sub").status_code == 200
    assert names(root, f"{url}/files") == []
    assert root.delete(f"{url}?removeFiles=true").status_code == 200
    assert root.delete(f"/data/experiments/{exam}/resources/none").status_code == 200
    assert root.get(f"{url}/files?format=json").status_code == 404


def test_who_may_not_edit_stores_nothing(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    admin.post("/xapi/users", json={"username": "onlooker", "password": "onlookers-password"})
    admin.put("/data/projects/P/users/collaborator/onlooker")
    url = f"/data/experiments/{session}/resources/R/files"
    with shared_hub.client("onlooker", "onlookers-password") as onlooker:
        assert onlooker.put(f"{url}/a.txt", content=b"x", headers=RAW).status_code == 403
        assert onlooker.get(f"/data/experiments/{session}/resources?format=json").status_code == 200
        assert onlooker.delete(f"/data/experiments/{session}/resources/R").status_code == 403
    assert admin.get(f"{url}?format=json").status_code == 404


@pytest.mark.parametrize("path", ["%2e%2e/x", "..%5cx", "a/%2e%2e/%2e%2e/x", "%00"])
def test_paths_can_not_leave_the_resource(shared_hub: RunningHub, admin: httpx.Client, session: str, path: str) -> None:
    url = f"{shared_hub.url}/data/experiments/{session}/resources/R/files/{path}"
    answer = admin.request("PUT", httpx.URL(url), content=b"x", headers=RAW)
    assert answer.status_code in {400, 404}
    assert not list((shared_hub.hub.layout.archive / "P").rglob("x"))


@pytest.mark.parametrize("owner", ["/data/projects/P", "/data/projects/P/subjects/FILES"])
def test_projects_and_subjects_hold_files_too(shared_hub: RunningHub, admin: httpx.Client, owner: str) -> None:
    admin.put("/data/projects/P/subjects/FILES")
    assert admin.put(f"{owner}/resources/DOC/files/d/a.txt", content=b"x", headers=RAW).status_code == 200
    assert names(admin, f"{owner}/resources/DOC/files") == ["d/a.txt"]
    assert names(admin, f"{owner}/files") == ["d/a.txt"]
    archive = shared_hub.hub.layout.archive / "P"
    expected = archive / ("resources/DOC/d/a.txt" if owner.endswith("P") else "subjects/FILES/DOC/d/a.txt")
    assert expected.read_bytes() == b"x"
