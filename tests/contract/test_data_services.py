"""Header dumps, downloads of many sessions, and the words that a site uses (xnat-rest 2.9, 2.10)."""

from __future__ import annotations

import io
import secrets
import zipfile

import httpx
import pytest

from helpers.arrivals import file_bytes
from helpers.server import Server, item, rows
from overread.synthetic.phantoms import make_mr_series

DUMP = "/data/services/dicomdump"


@pytest.fixture
def scan(root: httpx.Client, project: str, exam: str) -> str:
    """``/archive/projects/P/experiments/E/scans/1``, with one object."""
    (image,) = make_mr_series((1, 16, 20), patient_id="A<B", patient_name="Phantom^One & Two")
    url = f"/data/experiments/{exam}/scans/1"
    root.put(url, params={"xsiType": "xnat:mrScanData", "type": "T1 (axial)"})
    sent = root.put(
        f"{url}/resources/DICOM/files/1.dcm", content=file_bytes(image), headers={"content-type": "application/dicom"}
    )
    assert sent.status_code == 200, sent.text
    return f"/archive/projects/{project}/experiments/{exam}/scans/1"


def test_a_dump_is_a_table_of_all_elements(root: httpx.Client, scan: str) -> None:
    table = rows(root.get(DUMP, params={"src": scan, "format": "json"}))
    assert list(table[0]) == ["tag1", "tag2", "vr", "value", "desc"]
    found = {row["tag1"]: row for row in table if not row["tag2"]}
    assert found["(0010,0020)"]["value"] == "A&lt;B", "XNAT escapes as for HTML"
    assert found["(0010,0010)"] | {"value": ""} == {
        "tag1": "(0010,0010)", "tag2": "", "vr": "PN", "value": "", "desc": "Patient's Name",
    }  # fmt: skip
    assert found["(0028,0030)"]["value"].count("\\") == 1
    assert "(7FE0,0010)" not in found
    (start,) = (row for row in table if row["tag1"] == "(0002,0010)")
    assert start["value"] == "1.2.840.10008.1.2.1"


def test_a_dump_tells_what_was_asked_for(root: httpx.Client, scan: str) -> None:
    asked = {"src": scan, "format": "json", "field": ["PatientID", "00080060"]}
    assert [row["tag1"] for row in rows(root.get(DUMP, params=asked))] == ["(0008,0060)", "(0010,0020)"]
    of_file = {"src": f"{scan}/resources/DICOM/files/1.dcm", "format": "json", "field": "Modality"}
    assert [row["value"] for row in rows(root.get(DUMP, params=of_file))] == ["MR"]
    assert root.get(DUMP, params={"src": f"{scan}/resources/DICOM/files/none.dcm"}).status_code == 404
    assert root.get(DUMP, params={"src": scan.removesuffix("1") + "9"}).status_code == 404


@pytest.mark.inside
def test_a_dump_that_can_not_be_told_is_refused(root: httpx.Client, scan: str) -> None:
    """Departs: XNAT answers an empty table where nothing is named, and passes over unknown fields."""
    assert root.get(DUMP).status_code == 400
    assert root.get(DUMP, params={"src": scan, "field": "PatientMood"}).status_code == 400
    assert root.get(DUMP, params={"src": scan, "summary": "true"}).status_code == 501


def test_a_dump_is_for_those_who_may_read(server: Server, scan: str) -> None:
    with server.client(server.new_user()) as outsider:
        assert outsider.get(DUMP, params={"src": scan}).status_code in {403, 404}


def chosen(client: httpx.Client, project: str, exam: str, **changes: list[str]) -> dict[str, list[str]]:
    fields = item(client.get(f"/data/experiments/{exam}?format=json"))
    subject = item(client.get(f"/data/subjects/{fields['subject_ID']}?format=json"))
    return {
        "projectIds": [project],
        "sessions": [f"{project}:{subject['label']}:{fields['label']}:{exam}"],
        "scan_types": ["T1 (axial)"],
        "scan_formats": ["DICOM"],
    } | changes


def test_sessions_are_chosen_and_fetched_as_one_zip(root: httpx.Client, project: str, exam: str, scan: str) -> None:
    label = item(root.get(f"/data/experiments/{exam}?format=json"))["label"]
    note = f"/data/experiments/{exam}/resources/NOTE/files/a.txt"
    root.put(note, content=b"note", headers={"content-type": "text/plain"})
    wanted = chosen(root, project, exam, resources=["NOTE"])
    made = root.post("/xapi/archive/download", json=wanted)
    assert made.status_code == 200, made.text
    place = f"/xapi/archive/download/{made.text.strip()}"
    answer = root.get(f"{place}/zip")
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            f"{label}/resources/NOTE/a.txt",
            f"{label}/scans/1-T1__axial_/resources/DICOM/1.dcm",
        ]
    catalog = root.get(f"{place}/xml").text
    assert f"/archive/experiments/{exam}/scans/1/resources/DICOM/files" in catalog
    assert f"{label}/scans/1-T1__axial_/resources/DICOM" in catalog
    sized = root.post("/xapi/archive/downloadwithsize", json=wanted).json()
    assert int(sized["size"]) > 4
    assert sized["resourcesOfUnknownSize"] == "0"


def test_a_download_may_have_shorter_or_longer_paths(root: httpx.Client, project: str, exam: str, scan: str) -> None:
    label = item(root.get(f"/data/experiments/{exam}?format=json"))["label"]
    for options, expected in (
        (["simplified"], f"{label}/1/DICOM/1.dcm"),
        (["projectIncludedInPath"], f"{project}/S_{label}/{label}/scans/1-T1__axial_/resources/DICOM/1.dcm"),
    ):
        made = root.post("/xapi/archive/download", json=chosen(root, project, exam, options=options))
        answer = root.get(f"/xapi/archive/download/{made.text.strip()}/zip")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == [expected]
    assert scan


def test_a_download_is_its_makers_and_for_readers_alone(
    server: Server, root: httpx.Client, project: str, exam: str, scan: str
) -> None:
    wanted = chosen(root, project, exam)
    made = root.post("/xapi/archive/download", json=wanted).text.strip()
    with server.client(server.new_user()) as outsider:
        assert outsider.post("/xapi/archive/download", json=wanted).status_code == 403
        assert outsider.get(f"/xapi/archive/download/{made}/zip").status_code == 403
    with server.client(server.new_user(project, "collaborator")) as reader:
        own = reader.post("/xapi/archive/download", json=wanted)
        assert own.status_code == 200
        assert reader.get(f"/xapi/archive/download/{own.text.strip()}/zip").status_code == 200
    assert root.post("/xapi/archive/download", json={}).status_code == 204
    assert scan


def test_words_for_a_scans_quality(root: httpx.Client, project: str) -> None:
    url = f"/data/services/scan-quality-labels/{project}"
    assert {"usable", "unusable"} <= set(root.get(url).json()[project])
    assert "usable" in root.get("/data/services/scan-quality-labels").json()["site"]
    put = root.put(
        f"/data/projects/{project}/config/scan-quality/labels?inbody=true",
        content="good, fair ,poor",
        headers={"content-type": "text/plain"},
    )
    assert put.status_code in {200, 201}
    assert root.get(url).json() == {project: ["good", "fair", "poor"]}


def test_scanners_and_investigators_in_use(root: httpx.Client, project: str) -> None:
    name = f"Scanner {secrets.token_hex(4)}"
    label = f"MR{secrets.token_hex(4)}"
    made = root.put(
        f"/data/projects/{project}/subjects/{label}/experiments/{label}",
        params={"xsiType": "xnat:mrSessionData", "xnat:mrSessionData/scanner": name},
    )
    assert made.status_code == 201
    assert name in {row["scanner"] for row in rows(root.get("/data/scanners?format=json"))}
    assert root.get("/data/scanners?table=pg_shadow").status_code == 403
    last = f"Doe{secrets.token_hex(4)}"
    root.put(f"/data/projects/{project}", params={"pi_firstname": "Jane", "pi_lastname": last})
    found = [row for row in rows(root.get("/data/investigators?format=json")) if row["lastname"] == last]
    assert [row["firstname"] for row in found] == ["Jane"]


def test_a_session_without_reconstructions_lists_none(root: httpx.Client, exam: str) -> None:
    assert rows(root.get(f"/data/experiments/{exam}/reconstructions?format=json")) == []
