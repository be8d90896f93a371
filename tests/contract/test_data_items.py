"""Objects below ``/data``, beside the numbered test vectors (test_vectors.py)."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pytest

from hub_fixture import RunningHub

SCAN = {"xsiType": "xnat:ctScanData", "type": "AXIAL", "xnat:ctScanData/UID": "1.2.3.2"}


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def item(answer: httpx.Response) -> dict[str, object]:
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()["items"][0]["data_fields"]
    return found


def test_putting_a_scan_is_empty_both_times_and_keeps_its_type(root: httpx.Client, exam: str) -> None:
    for _ in range(2):
        answer = root.put(f"/data/experiments/{exam}/scans/2", params=SCAN)
        assert (answer.status_code, answer.text) == (200, "")
    other = root.put(f"/data/experiments/{exam}/scans/2", params={"xsiType": "xnat:mrScanData"})
    assert other.status_code == 409
    assert root.put(f"/data/experiments/{exam}/scans/3").status_code == 417
    abstract = root.put(f"/data/experiments/{exam}/scans/3", params={"xsiType": "xnat:imageScanData"})
    assert abstract.status_code == 400


def test_an_assessor_needs_a_project_unless_the_path_says_it(root: httpx.Client, project: str, exam: str) -> None:
    kind = {"xsiType": "xnat:qcManualAssessorData", "xnat:qcManualAssessorData/pass": "true"}
    bare = root.put(f"/data/experiments/{exam}/assessors/{exam}_A", params=kind)
    assert bare.status_code == 422
    subject = item(root.get(f"/data/experiments/{exam}?format=json"))["subject_ID"]
    path = f"/data/projects/{project}/subjects/{subject}/experiments/{exam}/assessors/{exam}_A"
    made = root.put(path, params=kind)
    assert made.status_code == 201
    named = root.put(
        f"/data/experiments/{exam}/assessors/{exam}_B", params={**kind, "xnat:qcManualAssessorData/project": project}
    )
    assert named.status_code == 201
    assert item(root.get(f"/data/experiments/{made.text}?format=json"))["pass"] == 1
    assert item(root.get(f"/data/experiments/{exam}/assessors/{exam}_A?format=json"))["ID"] == made.text


def test_renaming_moves_the_files(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    url = f"/data/experiments/{session}/resources/R/files/a.txt"
    admin.put(url, content=b"abc", headers={"content-type": "text/plain"})
    admin.put(f"/data/experiments/{session}", params={"label": f"moved_{session}"})
    assert admin.get(url).content == b"abc"
    archive = shared_hub.hub.layout.archive / "P" / "arc001"
    assert (archive / f"moved_{session}/RESOURCES/R/a.txt").read_bytes() == b"abc"


def test_sessions_are_found_by_uid(root: httpx.Client, project: str, exam: str) -> None:
    uid = item(root.get(f"/data/experiments/{exam}?format=json"))["UID"]
    for name in ("UID", "studyInstanceUID", "xnat:imageSessionData/UID", "xnat:ctSessionData/UID"):
        found = root.get("/data/experiments", params={name: str(uid), "format": "json"})
        assert [row["ID"] for row in rows(found)] == [exam], name
    assert rows(root.get("/data/experiments?UID=9.9.9&format=json")) == []
    assert rows(root.get(f"/data/projects/{project}/experiments", params={"UID": str(uid), "format": "json"}))


def test_unknown_projects_are_hidden_and_not_writable(hub: RunningHub) -> None:
    with hub.client() as client:
        client.put("/data/projects/SECRET")
        client.post("/xapi/users", json={"username": "bob", "password": "bobs-password", "enabled": True})
    with hub.client("bob", "bobs-password") as bob:
        assert bob.get("/data/projects/SECRET?format=json").status_code == 404
        assert bob.get("/data/projects/NONE?format=json").status_code == 404
        assert bob.put("/data/projects/SECRET?description=mine").status_code == 403
        assert bob.put("/data/projects/SECRET/subjects/S").status_code == 403
        assert bob.get("/data/projects/SECRET/experiments").status_code == 403
        assert bob.get("/data/projects/NONE/experiments").status_code == 404
        assert rows(bob.get("/data/projects?format=json")) == []


@pytest.mark.parametrize("prefix", ["/data", "/data/archive", "/REST"])
def test_both_prefixes_answer(root: httpx.Client, exam: str, prefix: str) -> None:
    assert item(root.get(f"{prefix}/experiments/{exam}?format=json"))["ID"] == exam


def test_lists_come_as_csv(root: httpx.Client, exam: str) -> None:
    answer = root.get("/data/experiments", params={"format": "csv", "columns": "ID,label,xsiType", "ID": exam})
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.text.startswith('"ID","label","xsiType","project","URI"\n'), "XNAT adds type and project"
    assert read[0]["xsiType"] == "xnat:ctSessionData"


@pytest.mark.inside
def test_results_of_a_plugins_type_are_listed_with_their_fields(root: httpx.Client, project: str, exam: str) -> None:
    kind = "braintumor:resultData"
    for number, volume in enumerate((12.5, 3.0)):
        made = root.put(
            f"/data/experiments/{exam}/assessors/{exam}_{number}",
            params={"xsiType": kind, f"{kind}/project": project, f"{kind}/lesion_volume_ml": str(volume)},
        )
        assert made.status_code == 201
    path = f"{kind}/lesion_volume_ml"
    asked = {
        "columns": f"ID,label,session_ID,{path}", "xsiType": kind, "project": project, "session_ID": f"{exam},none",
        "sortBy": path, "format": "json",
    }  # fmt: skip
    found = rows(root.get("/data/experiments", params=asked))
    assert [row[path.lower()] for row in found] == ["3.0", "12.5"]
    assert {row["session_ID"] for row in found} == {exam}
    ranged = rows(root.get("/data/experiments", params={**asked, path: "5-20"}))
    assert [row[path.lower()] for row in ranged] == ["12.5"]
    descending = rows(root.get("/data/experiments", params={**asked, "sortOrder": "DESC"}))
    assert [row[path.lower()] for row in descending] == ["12.5", "3.0"]


def test_a_project_lists_sessions_and_assessors_only_when_asked(root: httpx.Client, project: str, exam: str) -> None:
    root.put(
        f"/data/experiments/{exam}/assessors/{exam}_RC",
        params={"xsiType": "icr:roiCollectionData", "icr:roiCollectionData/project": project},
    )
    types = {row["xsiType"] for row in rows(root.get(f"/data/projects/{project}/experiments?format=json"))}
    assert "icr:roiCollectionData" not in types
    assert "xnat:ctSessionData" in types
    collections = rows(root.get(f"/data/projects/{project}/experiments?format=json&xsiType=icr:roiCollectionData"))
    assert f"{exam}_RC" in {row["label"] for row in collections}
    assert {"session_ID", "session_label"} <= collections[0].keys()


@pytest.mark.inside
def test_filters_take_patterns_lists_and_days(root: httpx.Client, exam: str) -> None:
    root.put(f"/data/experiments/{exam}", params={"date": "2026-05-01", "note": "alpha_beta"})
    label = item(root.get(f"/data/experiments/{exam}?format=json"))["label"]

    def found(**asked: str) -> bool:
        answer = root.get("/data/experiments", params={**asked, "format": "json"})
        return exam in {row["ID"] for row in rows(answer)}

    assert found(label=f"{str(label)[:6]}*")
    assert found(label=f"none,{label}")
    assert not found(label="none*")
    assert found(note="alpha_*")
    assert not found(note="alphaX*")
    assert found(date="05/01/2026")
    assert found(date="04/01/2026-06/01/2026")
    assert not found(date="06/01/2026-07/01/2026")
    assert root.get("/data/experiments?date=2026-05-01").status_code == 400


def test_paging_leaves_the_total_out(root: httpx.Client, project: str, exam: str) -> None:
    for label in ("1", "2", "3"):
        root.put(f"/data/projects/{project}/subjects/{exam}/experiments/{exam}_{label}?xsiType=xnat:crSessionData")
    asked = {"label": f"{exam}_*", "format": "json", "sortBy": "label", "columns": "label"}
    page = root.get("/data/experiments", params={**asked, "limit": "2", "offset": "1"}).json()["ResultSet"]
    assert [row["label"] for row in page["Result"]] == [f"{exam}_2", f"{exam}_3"]
    assert "totalRecords" not in page


@pytest.mark.inside
def test_unknown_fields_are_refused_with_the_nearest_one(root: httpx.Client, exam: str) -> None:
    answer = root.put(f"/data/experiments/{exam}", params={"xnat:ctSessionData/nott": "x"})
    assert answer.status_code == 400
    assert "has no field &#x27;nott&#x27;" in answer.text
    assert "note" in answer.text
    wrong = root.put(f"/data/experiments/{exam}", params={"xnat:mrSessionData/note": "x"})
    assert wrong.status_code == 400
    assert root.get("/data/experiments", params={"xnat:ctSessionData/nott": "x"}).status_code == 400


def test_custom_variables_and_demographics(root: httpx.Client, project: str) -> None:
    variable = "xnat:subjectData/fields/field[name=site]/field"
    url = f"/data/projects/{project}/subjects/VARS"
    made = root.put(url, params={"gender": "female", "yob": "1970", variable: "A"})
    assert made.status_code == 201
    root.put(url, params={variable: "B", "group": "control"})
    document = root.get(f"/data/subjects/{made.text}?format=json").json()["items"][0]
    children = {child["field"]: [entry["data_fields"] for entry in child["items"]] for child in document["children"]}
    assert children["fields/field"] == [{"name": "site", "field": "B"}]
    assert children["demographics"] == [{"gender": "female", "yob": 1970}]
    assert document["data_fields"]["group"] == "control"
    listed = rows(root.get("/data/subjects", params={"yob": "1960-1980", "columns": "label,yob", "format": "json"}))
    assert listed == [{"label": "VARS", "yob": "1970", "URI": f"/data/subjects/{made.text}"}]


def test_xml_comes_back_as_it_was_put(root: httpx.Client, exam: str) -> None:
    root.put(f"/data/experiments/{exam}/scans/1", params={**SCAN, "frames": "7"})
    xml = root.get(f"/data/experiments/{exam}?format=xml")
    assert xml.text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<xnat:CTSession ')
    changed = xml.text.replace("<xnat:frames>7<", "<xnat:frames>8<")
    answer = root.put(f"/data/experiments/{exam}", content=changed, headers={"content-type": "text/xml"})
    assert (answer.status_code, answer.text) == (200, exam)
    assert item(root.get(f"/data/experiments/{exam}/scans/1?format=json"))["frames"] == 8
    broken = root.put(f"/data/experiments/{exam}", content="<xnat:CT", headers={"content-type": "text/xml"})
    assert broken.status_code == 422


def test_posting_answers_the_new_objects_url(root: httpx.Client, exam: str) -> None:
    answer = root.post(f"/data/experiments/{exam}/scans", params=SCAN)
    assert answer.status_code == 200
    assert answer.text == answer.headers["location"]
    assert answer.text.endswith(f"/data/experiments/{exam}/scans/1")
    assert item(root.get(answer.text, params={"format": "json"}))["ID"] == "1"


def test_deleting_needs_the_owner_and_takes_all_along(
    shared_hub: RunningHub, admin: httpx.Client, session: str
) -> None:
    admin.post("/xapi/users", json={"username": "mia", "password": "mias-password"})
    admin.put("/data/projects/P/users/member/mia")
    admin.put(f"/data/experiments/{session}/scans/1", params=SCAN)
    file = f"/data/experiments/{session}/scans/1/resources/DICOM/files/a.dcm"
    admin.put(file, content=b"abc", headers={"content-type": "application/dicom"})
    with shared_hub.client("mia", "mias-password") as mia:
        assert mia.get(file).content == b"abc"
        assert mia.put(f"/data/experiments/{session}?note=mine").status_code == 200
        assert mia.delete(f"/data/experiments/{session}?removeFiles=true").status_code == 403
    label = str(item(admin.get(f"/data/experiments/{session}?format=json"))["label"])
    folder = shared_hub.hub.layout.session("P", label)
    assert folder.is_dir()
    answer = admin.delete(f"/data/experiments/{session}?removeFiles=true")
    assert (answer.status_code, answer.text) == (200, "")
    assert admin.get(f"/data/experiments/{session}?format=json").status_code == 404
    assert not folder.exists()


def test_a_deleted_projects_id_is_gone_for_good(admin: httpx.Client) -> None:
    admin.put("/data/projects/GONE/subjects/S")
    assert admin.put("/data/projects/GONE").status_code == 200
    assert admin.put("/data/projects/GONE/subjects/S").status_code == 201
    assert admin.delete("/data/projects/GONE?removeFiles=true").status_code == 200
    assert admin.get("/data/projects/GONE?format=json").status_code == 404
    assert admin.put("/data/projects/GONE").status_code == 403
    assert admin.put("/data/projects/gone").status_code == 403


def test_project_names_and_codes(admin: httpx.Client) -> None:
    assert admin.put("/data/projects/Q?alias=QA&accessibility=public").status_code == 200
    assert item(admin.get("/data/projects/QA?format=json"))["ID"] == "Q"
    assert admin.get("/data/projects/Q/accessibility").text == "public"
    assert admin.put("/data/projects/Q/accessibility/private").status_code == 200
    assert admin.put("/data/projects/Q/accessibility/open").status_code == 400
    assert admin.put("/data/projects/Q/prearchive_code/0").status_code == 200
    assert admin.get("/data/projects/Q/prearchive_code").text == "0"
    assert admin.put("/data/projects/R?xnat:projectData/name=Q").status_code == 409
    assert admin.put("/data/projects/a%20b").status_code == 417


def test_members_of_a_project(admin: httpx.Client) -> None:
    admin.post("/xapi/users", json={"username": "col", "password": "cols-password", "firstName": "Col"})
    answer = admin.put("/data/projects/P/users/P_collaborator/col")
    assert {"GROUP_ID": "P_collaborator", "login": "col"}.items() <= next(
        row for row in rows(answer) if row["login"] == "col"
    ).items()
    assert admin.put("/data/projects/P/users/readers/col").status_code == 404
    assert admin.delete("/data/projects/P/users/Collaborators/col").status_code == 200
    assert admin.delete("/data/projects/P/users/Collaborators/col").status_code == 404


def test_sharing_gives_sight_and_nothing_more(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    admin.post("/xapi/users", json={"username": "guestreader", "password": "guest-password"})
    admin.put("/data/projects/OTHER")
    admin.put("/data/projects/OTHER/users/collaborator/guestreader")
    with shared_hub.client("guestreader", "guest-password") as reader:
        assert reader.get(f"/data/experiments/{session}?format=json").status_code == 404
        assert admin.put(f"/data/experiments/{session}/projects/OTHER").status_code == 200
        assert admin.put(f"/data/experiments/{session}/projects/OTHER").status_code == 409
        assert reader.get(f"/data/experiments/{session}?format=json").status_code == 200
        assert session in {row["ID"] for row in rows(reader.get("/data/experiments?format=json"))}
        assert session in {row["ID"] for row in rows(reader.get("/data/projects/OTHER/experiments?format=json"))}
        assert reader.put(f"/data/experiments/{session}?note=x").status_code == 403
    admin.delete(f"/data/projects/OTHER/experiments/{session}")
    assert item(admin.get(f"/data/experiments/{session}?format=json"))["ID"] == session
    assert [row["ID"] for row in rows(admin.get(f"/data/experiments/{session}/projects?format=json"))] == ["P"]


def test_sharing_a_session_or_subject_shares_not_what_hangs_on_it(
    shared_hub: RunningHub, admin: httpx.Client, session: str
) -> None:
    admin.post("/xapi/users", json={"username": "peer", "password": "peers-password"})
    admin.put("/data/projects/PEERS")
    admin.put("/data/projects/PEERS/users/owner/peer")
    kind = {"xsiType": "xnat:qcManualAssessorData", "xnat:qcManualAssessorData/project": "P"}
    assessor = admin.put(f"/data/experiments/{session}/assessors/secret_{session}", params=kind).text
    file = f"/data/experiments/{assessor}/resources/R/files/secret.txt"
    admin.put(file, content=b"secret", headers={"content-type": "text/plain"})
    subject = item(admin.get(f"/data/experiments/{session}?format=json"))["subject_ID"]
    admin.put(f"/data/subjects/{subject}/projects/PEERS")
    with shared_hub.client("peer", "peers-password") as peer:
        assert peer.get(f"/data/subjects/{subject}?format=json").status_code == 200
        assert rows(peer.get(f"/data/subjects/{subject}/experiments?format=json")) == []
        assert session not in peer.get(f"/data/subjects/{subject}?format=html").text
        admin.put(f"/data/experiments/{session}/projects/PEERS")
        assert len(rows(peer.get(f"/data/subjects/{subject}/experiments?format=json"))) == 1
        base = f"/data/experiments/{session}"
        assert rows(peer.get(f"{base}/assessors?format=json")) == []
        for url in ("?format=json", "?format=xml", "?format=html", "/files?all=true&format=json"):
            answer = peer.get(f"{base}{url}")
            assert answer.status_code == 200
            assert "secret" not in answer.text, url
        assert peer.get(f"{base}/assessors/{assessor}?format=json").status_code == 404
        assert peer.get(file).status_code == 404
        assert peer.delete(base).status_code == 403


@pytest.mark.inside
def test_routes_that_xnat_has_and_the_hub_lacks_say_so(root: httpx.Client, exam: str) -> None:
    answer = root.put(f"/data/experiments/{exam}/reconstructions/R?format=json")
    assert answer.status_code == 501
    assert "/data/experiments/{session}/reconstructions/{reconstruction}" in answer.text
    assert root.get("/data/no/such/thing").status_code == 404


def test_lists_show_only_what_may_be_read(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    admin.post("/xapi/users", json={"username": "nobody", "password": "nobodys-password"})
    with shared_hub.client("nobody", "nobodys-password") as nobody:
        assert rows(nobody.get("/data/experiments?format=json")) == []
        assert rows(nobody.get("/data/subjects?format=json")) == []
        assert nobody.get(f"/data/experiments/{session}/scans").status_code == 404


@pytest.mark.inside
def test_script_in_a_name_is_escaped_on_pages(root: httpx.Client, project: str) -> None:
    evil = "<script>alert(1)<%2Fscript>"
    made = root.put(
        f"/data/projects/{project}/subjects/EVIL/experiments/EVIL",
        params={"xsiType": "xnat:ctSessionData", "dcmPatientName": "<script>alert(1)</script>"},
    )
    html = root.get(f"/data/experiments/{made.text}?format=html").text
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html
    assert "<script>" not in root.get(f"/data/projects/{project}/subjects/{evil}?format=html").text


def test_errors_are_pages_with_the_reason(root: httpx.Client) -> None:
    answer = root.get("/data/experiments/NONE?format=json")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h3>Unable to identify experiment NONE</h3>" in answer.text


@pytest.mark.inside
def test_event_payloads_survive_json(root: httpx.Client, exam: str) -> None:
    document = root.get(f"/data/experiments/{exam}?format=json").json()
    assert json.loads(json.dumps(document)) == document
    assert document["items"][0]["meta"] == {"isHistory": False, "xsi:type": "xnat:ctSessionData"}
    assert isinstance(document["items"][0]["children"], list)
