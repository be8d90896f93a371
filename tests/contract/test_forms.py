"""Custom forms and custom fields: what a reader is asked, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from helpers.archive import add_project, add_session, add_user
from helpers.arrivals import store_manifest
from hub_fixture import RunningHub

FORM = {"display": "form", "components": [{"label": "Image quality", "key": "quality", "type": "radio", "input": True}]}


@pytest.fixture
def client(hub: RunningHub) -> Iterator[httpx.Client]:
    add_project(hub.hub)
    with hub.client() as client:
        yield client


def submission(**changes: Any) -> dict[str, Any]:
    data = {
        "formTitle": "Reader grading",
        "zIndex": 10,
        "xnatDatatype": {"label": "MR Session", "value": "xnat:mrSessionData"},
        "isThisASiteWideConfiguration": "no",
        "xnatProject": [{"label": "P", "value": "P"}],
    }
    return {"submission": {"data": data | changes}, "builder": FORM}


def test_a_form_is_saved_listed_changed_and_deleted(client: httpx.Client) -> None:
    answer = client.put("/xapi/customforms/save", json=submission())
    assert answer.status_code == 201
    form_id = answer.text
    (listed,) = client.get("/xapi/customforms", params={"projectId": "P"}).json()
    assert (listed["formUUID"], listed["scope"], listed["hasData"]) == (form_id, "Project", False)
    assert json.loads(listed["contents"]) == FORM
    (row,) = listed["appliesToList"]
    assert (row["entityId"], row["status"]) == ("P", "enabled")
    number = row["idCustomVariableFormAppliesTo"]
    changed = submission(idCustomVariableFormAppliesTo=number, formTitle="Changed") | {"builder": json.dumps(FORM)}
    assert client.put("/xapi/customforms/save", json=changed).text == form_id
    assert len(client.get("/xapi/customforms").json()) == 1
    query = {"xsiType": "xnat:mrSessionData", "projectId": "P", "id": "null"}
    (part,) = client.get("/xapi/customforms/element", params=query).json()["components"]
    assert (part["key"], part["label"], part["components"]) == (form_id, "Changed", FORM["components"])
    rows = [{"idCustomVariableFormAppliesTo": number}]
    assert client.post("/xapi/customforms/disable", json=rows).status_code == 200
    assert client.get("/xapi/customforms/element", params=query).json()["components"] == []
    assert client.post("/xapi/customforms/enable", json=rows).text == "Form Enabled"
    assert client.request("DELETE", "/xapi/customforms", json=rows).text == "Form deleted"
    assert client.get("/xapi/customforms").json() == []


_WRONG: list[tuple[dict[str, Any], str]] = [
    (submission(formTitle=""), "Missing form title"),
    (submission(formTitle="<script>"), "forbidden characters"),
    (submission(xnatDatatype={"value": "no:type"}), "data type"),
    (submission(xnatProject=[{"value": "NONE"}]), "no project 'NONE'"),
    (submission(xnatProject=[]), "needs a project"),
    (submission() | {"builder": "no form"}, "builder"),
    ({"builder": FORM}, "submission.data"),
]


def test_a_wrong_form_is_refused(client: httpx.Client) -> None:
    for broken, message in _WRONG:
        answer = client.put("/xapi/customforms/save", json=broken)
        assert answer.status_code == 400
        assert answer.text.startswith("Invalid form submission")
        assert message in answer.text


def test_a_form_with_answers_is_kept(hub: RunningHub, client: httpx.Client) -> None:
    form_id = client.put("/xapi/customforms/save", json=submission()).text
    session = add_session(hub.hub)
    fields = f"/xapi/custom-fields/experiments/{session}/fields"
    assert client.put(fields, json={f"answer:{form_id}:admin": {"data": {"quality": "good"}}}).status_code == 200
    (listed,) = client.get("/xapi/customforms").json()
    assert listed["hasData"] is True
    rows = listed["appliesToList"]
    assert client.request("DELETE", "/xapi/customforms", json=rows).text == "Form disabled"
    assert client.get("/xapi/customforms").json()[0]["appliesToList"][0]["status"] == "disabled"


def test_only_managers_save_forms(hub: RunningHub, client: httpx.Client) -> None:
    add_user(hub.hub, "owner", role="owner", project="P")
    add_user(hub.hub, "stranger")
    client.put("/xapi/customforms/save", json=submission())
    with hub.client("owner", "secret") as owner:
        assert owner.put("/xapi/customforms/save", json=submission()).status_code == 401
        assert len(owner.get("/xapi/customforms", params={"projectId": "P"}).json()) == 1
    with hub.client("stranger", "secret") as stranger:
        assert stranger.get("/xapi/customforms").json() == []
        assert stranger.get("/xapi/customforms", params={"projectId": "P"}).status_code == 403


def test_fields_merge_by_top_level_key(hub: RunningHub, client: httpx.Client) -> None:
    session = add_session(hub.hub)
    for url in (
        "/xapi/custom-fields/projects/P/fields",
        "/xapi/custom-fields/projects/P/subjects/SUB/fields",
        f"/xapi/custom-fields/experiments/{session}/fields",
        "/xapi/custom-fields/projects/P/experiments/S1/scans/1/fields",
    ):
        assert client.get(url).json() == {}
        values = {"a": {"x": 1, "y": [1, None, "z"]}, "b": None, "c": "text", "d": 1.5}
        assert client.put(url, json=values).json() == values
        assert client.put(url, json={"a": {"x": 2}}).json() == values | {"a": {"x": 2}}
        assert client.get(url, params={"fieldNames": "c,d"}).json() == {"c": "text", "d": 1.5}
        assert client.get(f"{url}/c").text == "text"
        assert client.get(f"{url}/a").text == '{"x": 2}'
        assert client.get(f"{url}/none").status_code == 404
        assert client.delete(f"{url}/b").status_code == 404
        assert client.delete(f"{url}/c").json() == {"a": {"x": 2}, "b": None, "d": 1.5}
        assert client.put(url, json=[1]).status_code == 400
    # One item, whatever way it is named.
    by_id = client.get(f"/xapi/custom-fields/experiments/{session}/fields").json()
    assert client.get("/xapi/custom-fields/projects/P/subjects/SUB/experiments/S1/fields").json() == by_id


def test_fields_of_others_are_not_to_be_had(hub: RunningHub, client: httpx.Client) -> None:
    add_user(hub.hub, "collaborator", role="collaborator", project="P")
    add_user(hub.hub, "stranger")
    session = add_session(hub.hub)
    url = f"/xapi/custom-fields/experiments/{session}/fields"
    client.put(url, json={"a": 1})
    with hub.client("collaborator", "secret") as reader:
        assert reader.get(url).json() == {"a": 1}
        assert reader.put(url, json={"a": 2}).status_code == 403
        assert reader.delete(f"{url}/a").status_code == 403
    with hub.client("stranger", "secret") as stranger:
        assert stranger.get(url).status_code in (403, 404)
        assert stranger.put(url, json={"a": 2}).status_code in (403, 404)
    assert client.get(url).json() == {"a": 1}
    assert client.get("/xapi/custom-fields/experiments/NONE/fields").status_code == 404


def test_an_answer_is_changed_by_its_own_reader_alone(hub: RunningHub, client: httpx.Client) -> None:
    for login, role in (("anna", "member"), ("na", "member"), ("owner", "owner")):
        add_user(hub.hub, login, role=role, project="P")
    session = add_session(hub.hub)
    url = f"/xapi/custom-fields/experiments/{session}/fields"
    key = "answer:11111111-2222-3333-4444-555555555555:anna"
    said = {key: {"data": {"quality": "good"}}}
    with hub.client("anna", "secret") as anna:
        assert anna.put(url, json=said).json() == said
    others = [hub.client(login, "secret") for login in ("na", "owner")]
    for other in (*others, client):
        answer = other.put(url, json={"note": "mine", key: {"data": {"quality": "poor"}}})
        assert answer.status_code == 403
        assert "another reader" in answer.text
        assert other.delete(f"{url}/{key}").status_code == 403
    for other in others:
        other.close()
    assert client.get(url).json() == said  # nothing of a refused request is kept, not even the note
    with hub.client("anna", "secret") as anna:
        assert anna.put(url, json={key: {"data": {"quality": "fair"}}}).status_code == 200
        assert anna.delete(f"{url}/{key}").json() == {}


FORM_ID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.inside
@pytest.mark.parametrize("blind", ["none", "readers", "result"])
def test_a_blinded_study_hides_what_others_said_until_one_has_answered(hub: RunningHub, blind: str) -> None:
    add_project(hub.hub)
    result = add_session(hub.hub, event="")
    for login in ("anna", "bert"):
        add_user(hub.hub, login, role="member", project="P")
    readers = {"group": "readers", "per_case": 2, "blind": blind}
    store_manifest(hub, project="P", more={"form_uuid": FORM_ID, "readers": readers})
    fields = f"/xapi/custom-fields/experiments/{result}/fields"
    theirs, draft, mine = (f"{kind}:{FORM_ID}:{login}" for kind, login in
                           (("answer", "anna"), ("draft", "anna"), ("answer", "bert")))  # fmt: skip
    with hub.client() as admin, hub.client("anna", "secret") as anna, hub.client("bert", "secret") as bert:
        assert set(anna.put(fields, json={theirs: {"data": {}}, draft: {"data": {}}}).json()) == {theirs, draft}
        hidden = blind != "none"
        seen = bert.get(fields).json()
        assert set(seen) == (set() if hidden else {theirs, draft})
        assert bert.get(f"{fields}/{theirs}").status_code == (404 if hidden else 200)
        assert set(bert.get(fields, params={"fieldNames": theirs}).json()) == set(seen) - {draft}
        # Writing something else does not tell either; an answer of one's own does, drafts stay their writers'.
        assert (theirs in bert.put(fields, json={"note": 1}).json()) == (not hidden)
        after = bert.put(fields, json={mine: {"data": {}}}).json()
        assert set(after) == {"note", theirs, mine} | (set() if hidden else {draft})
        assert set(admin.get(fields).json()) == {theirs, draft, "note", mine}
