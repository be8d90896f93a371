"""The contract's test vectors for containers, events, forms and ROI collections (``10.3 n``, ``10.4 n``).

In the order in which the contract lists them. A server without the plugin that one needs skips it; what an engine has
to run (queue, then history; log files; masked password; outputs) is in test_containers.py and test_events.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from helpers.arrivals import file_bytes
from helpers.runs import document
from helpers.segments import seg_of
from helpers.server import Server, rows
from helpers.uploads import zipped
from overread.synthetic.phantoms import PhantomCase, make_case

OCTETS = {"content-type": "application/octet-stream"}
ACTION = "org.nrg.containers.services.CommandActionProvider"


def need_plugin(client: httpx.Client, name: str) -> None:
    if name not in client.get("/xapi/plugins").json():
        pytest.skip(f"the server has no plugin {name}")


def bare_document(name: str) -> dict[str, Any]:
    """A command of which nothing is stored, whose image nobody has."""
    whole = document(name=name, outputs=[])
    whole["xnat"][0] |= {"name": f"{name}-session", "output-handlers": []}
    return whole


@pytest.fixture
def command(root: httpx.Client) -> Iterator[int]:
    """ID of a command that is deleted again."""
    need_plugin(root, "containers")
    answer = root.post("/xapi/commands", json=bare_document(f"vector{secrets.token_hex(4)}"))
    assert answer.status_code == 201, answer.text
    number = int(answer.text)
    yield number
    root.delete(f"/xapi/commands/{number}")


@pytest.fixture
def wrapper(root: httpx.Client, project: str, command: int) -> int:
    """ID of a wrapper that is enabled in the project."""
    number = int(root.get(f"/xapi/commands/{command}").json()["xnat"][0]["id"])
    for place in ("", f"/projects/{project}"):
        assert root.put(f"/xapi{place}/wrappers/{number}/enabled").status_code == 200
    return number


def test_10_3_1_a_command_is_created_with_201_and_its_bare_number(root: httpx.Client) -> None:
    need_plugin(root, "containers")
    answer = root.post("/xapi/commands", json=bare_document(f"vector{secrets.token_hex(4)}"))
    assert answer.status_code == 201
    assert answer.text.strip().isdecimal()
    assert root.delete(f"/xapi/commands/{answer.text.strip()}").status_code == 204


def test_10_3_2_deletes_answer_204(root: httpx.Client, command: int) -> None:
    number = root.get(f"/xapi/commands/{command}").json()["xnat"][0]["id"]
    assert root.delete(f"/xapi/wrappers/{number}").status_code == 204
    assert root.delete(f"/xapi/commands/{command}").status_code == 204
    assert root.get(f"/xapi/commands/{command}").status_code == 404


def test_10_3_3_a_launch_that_fails_is_500_with_json(root: httpx.Client, project: str, wrapper: int) -> None:
    url = f"/xapi/projects/{project}/wrappers/{wrapper}/root/session/launch"
    answer = root.post(url, json={"session": "/archive/experiments/NONE_E99999"})
    assert answer.status_code == 500
    assert answer.json()["status"] == "failure"
    assert answer.json()["message"]


def test_10_3_4_a_launch_is_queued_and_its_workflow_to_be_assigned(
    root: httpx.Client, project: str, wrapper: int, exam: str
) -> None:
    url = f"/xapi/projects/{project}/wrappers/{wrapper}/root/session/launch"
    answer = root.post(url, json={"session": f"/archive/experiments/{exam}"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["wrapper-id"], told["workflow-id"]) == ("success", wrapper, "To be assigned")
    assert told["id"] is None


def test_10_4_1_a_subscription_answers_its_name_and_number(root: httpx.Client, project: str, wrapper: int) -> None:
    name = f"vector {secrets.token_hex(4)}"
    answer = root.post(
        "/xapi/events/subscription",
        json={
            "name": name, "active": False, "action-key": f"{ACTION}:{wrapper}", "attributes": {},
            "event-filter": {
                "event-type": "org.nrg.xnat.eventservice.events.SessionEvent", "status": "CREATED",
                "project-ids": [project],
            },
            "act-as-event-user": False,
        },
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    told, _, number = answer.text.strip().rpartition(":")
    assert told == name
    assert root.get(f"/xapi/events/subscription/{number}").json()["name"] == name
    assert root.delete(f"/xapi/events/subscription/{number}").status_code == 200


def test_10_4_2_custom_fields_are_merged_by_their_top_level_key(root: httpx.Client, exam: str) -> None:
    url = f"/xapi/custom-fields/experiments/{exam}/fields"
    first = {"a": {"x": 1, "y": 2}, "b": "text"}
    assert root.put(url, json=first).json() == first
    merged = {"a": {"x": 3}, "b": "text", "c": None}
    answer = root.put(url, json={"a": {"x": 3}, "c": None})
    assert (answer.status_code, answer.json()) == (200, merged)
    assert root.get(url).json() == merged
    assert root.get(f"{url}/b").text == "text"
    assert root.delete(f"{url}/c").status_code == 404, "a null counts as absent"
    assert root.get(f"{url}/none").status_code == 404


def test_10_4_3_a_form_is_saved_with_201_and_listed(root: httpx.Client, project: str) -> None:
    title = f"Vector {secrets.token_hex(4)}"
    form = {
        "submission": {
            "data": {
                "formTitle": title, "zIndex": 10,
                "xnatDatatype": {"label": "CT Session", "value": "xnat:ctSessionData"},
                "isThisASiteWideConfiguration": "no", "xnatProject": [{"label": project, "value": project}],
            }
        },
        "builder": {
            "display": "form", "title": title, "settings": {},
            "components": [{"label": "Quality", "key": "quality", "type": "textfield", "input": True}],
        },
    }  # fmt: skip
    answer = root.put("/xapi/customforms/save", json=form)
    assert answer.status_code == 201, answer.text
    listed = root.get("/xapi/customforms", params={"projectId": project}).json()
    (mine,) = (one for one in listed if one["formUUID"] == answer.text.strip())
    assert (mine["scope"], mine["hasData"]) == ("Project", False)
    told = root.request("DELETE", "/xapi/customforms", json=mine["appliesToList"])
    assert (told.status_code, told.text.startswith("Form ")) == (200, True)


@pytest.fixture(scope="module")
def case() -> PhantomCase:
    """An exam of a study that nobody had before."""
    uids: dict[str, Any] = {f"{level}_instance_uid": f"2.25.{secrets.randbits(100)}" for level in ("study", "series")}
    return make_case((8, 24, 28), **uids)


@pytest.fixture(scope="module")
def archived(server: Server, project: str, case: PhantomCase) -> str:
    """Accession ID of that exam in the archive."""
    with server.client() as client:
        need_plugin(client, "ohifViewerPlugin")
        query = {
            "import-handler": "DICOM-zip", "inbody": "true", "project": project, "subject": "ROI", "session": "ROI",
            "dest": f"/archive/projects/{project}", "overwrite": "append",
        }  # fmt: skip
        answer = client.post(
            "/data/services/import",
            params=query,
            content=zipped(case.datasets),
            headers={"content-type": "application/zip"},
        )
        assert answer.status_code == 200, answer.text
        uid = str(case.datasets[0].StudyInstanceUID)
        (row,) = rows(client.get("/data/experiments", params={"UID": uid, "format": "json"}))
        return row["ID"]


class Collections:
    """Where ROI collections of a project are put."""

    def __init__(self, client: httpx.Client, project: str) -> None:
        self.client = client
        self.project = project

    def put(self, session: str, label: str, content: bytes, **query: str) -> httpx.Response:
        url = f"/xapi/roi/projects/{self.project}/sessions/{session}/collections/{label}"
        return self.client.put(url, params={"type": "SEG"} | query, content=content, headers=OCTETS)


@pytest.fixture
def collections(root: httpx.Client, project: str) -> Collections:
    return Collections(root, project)


@pytest.fixture
def elsewhere(root: httpx.Client, exam: str) -> str:
    """Accession ID of another session of the project, of the same modality."""
    query = {"xsiType": "xnat:ctSessionData", "xnat:ctSessionData/modality": "CT"}
    assert root.put(f"/data/experiments/{exam}", params=query).status_code == 200
    return exam


@pytest.fixture(scope="module")
def seg(case: PhantomCase) -> bytes:
    return file_bytes(seg_of(case))


def label() -> str:
    return f"SEG_{secrets.token_hex(4)}"


def test_10_4_4_roi_check_1_rights(server: Server, project: str, archived: str, seg: bytes) -> None:
    with server.client(server.new_user(project, "collaborator")) as reader:
        assert Collections(reader, project).put(archived, label(), seg).status_code == 403


def test_10_4_4_roi_check_2_modality(collections: Collections, root: httpx.Client, archived: str, seg: bytes) -> None:
    url = f"/data/experiments/{archived}"
    kind = {"xsiType": "xnat:mrSessionData"}
    try:
        assert root.put(url, params=kind | {"xnat:mrSessionData/modality": "CR"}).status_code == 200
        answer = collections.put(archived, label(), seg)
    finally:
        root.put(url, params=kind | {"xnat:mrSessionData/modality": "MR"})
    assert answer.status_code == 422
    assert "not supported for modality CR" in answer.text


def test_10_4_4_roi_check_3_labels(collections: Collections, archived: str, elsewhere: str, seg: bytes) -> None:
    name = label()
    made = collections.put(archived, name, seg)
    assert made.status_code == 200
    assert made.text.startswith("RoiCollection_"), "10.5 2"
    again = collections.put(archived, name, seg)
    assert again.status_code == 422
    assert "ROI collection exists, overwrite not specified" in again.text
    assert collections.put(archived, name, seg, overwrite="true").text == made.text, "check 7 of the PUT"
    assert collections.put(elsewhere, name, seg).status_code == 409


def test_10_4_4_roi_check_4_the_session_goes_by_its_id(collections: Collections, archived: str, seg: bytes) -> None:
    """Unsure: which code a label in the session's place gets."""
    answer = collections.put("ROI", label(), seg)
    assert 400 <= answer.status_code < 500
    assert collections.put(archived, label(), seg).status_code == 200


def test_10_4_4_roi_check_5_references(
    collections: Collections, archived: str, elsewhere: str, case: PhantomCase, seg: bytes
) -> None:
    foreign = collections.put(elsewhere, label(), seg)
    assert (foreign.status_code, "study UID" in foreign.text) == (422, True), foreign.text
    uids: dict[str, Any] = {
        "study_instance_uid": str(case.datasets[0].StudyInstanceUID),
        "series_instance_uid": "2.25.77",
    }
    other = collections.put(archived, label(), file_bytes(seg_of(make_case((8, 24, 28), seed=2, **uids))))
    assert (other.status_code, "series UID" in other.text) == (422, True), other.text


def test_10_4_4_roi_check_6_how_it_is_stored(
    collections: Collections, root: httpx.Client, archived: str, seg: bytes
) -> None:
    name = label()
    made = collections.put(archived, name, seg).text
    document = root.get(f"/data/experiments/{made}?format=json").json()["items"][0]
    assert document["meta"]["xsi:type"] == "icr:roiCollectionData"
    assert document["data_fields"]["collectionType"] == "SEG"
    (file,) = rows(root.get(f"/data/experiments/{archived}/assessors/{made}/files?format=json"))
    assert (file["Name"], file["collection"]) == (f"{name}.dcm", "SEG")


def test_10_4_5_the_viewers_json_names_files_of_the_archive(root: httpx.Client, project: str, archived: str) -> None:
    url = f"/xapi/viewer/projects/{project}/experiments/{archived}"
    found = root.get(url).json()
    assert root.get(f"{url}/exists").status_code == 200
    assert found["transactionId"] == archived
    instances = [one for study in found["studies"] for series in study["series"] for one in series["instances"]]
    assert len(instances) == 8
    assert all("/data/archive/" in one["url"] for one in instances)
    place = instances[0]["url"]
    assert root.get(place[place.index("/data/archive/") :]).status_code == 200
