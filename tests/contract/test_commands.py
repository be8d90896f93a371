"""Commands, wrappers, where they are enabled and their defaults, as the Container Service answers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from helpers.archive import add_project, add_user
from helpers.runs import document
from hub_fixture import RunningHub


@pytest.fixture
def client(hub: RunningHub) -> Iterator[httpx.Client]:
    add_project(hub.hub)
    with hub.client() as client:
        yield client


def test_a_command_is_added_read_changed_and_deleted(client: httpx.Client) -> None:
    answer = client.post("/xapi/commands", json=document())
    assert (answer.status_code, answer.text) == (201, "1")
    kept = client.get("/xapi/commands/1").json()
    assert kept["id"] == 1
    assert kept["inputs"][0]["replacement-key"] == "#mode#"
    assert kept["xnat"][0]["external-inputs"][0]["load-children"] is True
    wrapper = kept["xnat"][0]["id"]
    kept["label"] = "changed"
    kept["xnat"][0]["name"] = "renamed"
    assert client.post("/xapi/commands/1", json=kept).status_code == 200
    again = client.get("/xapi/commands/1").json()
    assert (again["label"], again["xnat"][0]["name"], again["xnat"][0]["id"]) == ("changed", "renamed", wrapper)
    assert client.delete("/xapi/commands/1").status_code == 204
    assert client.get("/xapi/commands/1").status_code == 404


def test_name_and_version_are_unique(client: httpx.Client) -> None:
    assert client.post("/xapi/commands", json=document()).status_code == 201
    assert client.post("/xapi/commands", json=document()).status_code == 400
    assert client.post("/xapi/commands", json=document(version="2.0")).status_code == 201
    assert [one["version"] for one in client.get("/xapi/commands", params={"name": "tiny"}).json()] == ["1.0", "2.0"]
    assert len(client.get("/xapi/commands", params={"name": "tiny", "version": "2.0"}).json()) == 1
    assert client.get("/xapi/commands", params={"version": "2.0"}).status_code == 400


def test_the_image_can_be_named_beside_the_document(client: httpx.Client) -> None:
    bare = {key: value for key, value in document().items() if key != "image"}
    assert client.post("/xapi/commands", json=bare).status_code == 400
    assert client.post("/xapi/commands", params={"image": "a/b:1"}, json=bare).status_code == 201
    assert client.get("/xapi/commands/1").json()["image"] == "a/b:1"


def test_a_wrong_command_is_refused_with_all_that_is_wrong(client: httpx.Client) -> None:
    answer = client.post("/xapi/commands", json=document(name="", image="overread/tiny"))
    assert answer.status_code == 400
    assert "name cannot be blank" in answer.text
    assert "must include version tag" in answer.text
    assert client.post("/xapi/commands", json=[1]).status_code == 400
    assert client.get("/xapi/commands").json() == []


def test_special_commands_declare_nothing(client: httpx.Client) -> None:
    wrap = {"name": "w", "type": "docker-wrapup", "image": "a/w:1", "command-line": "true"}
    assert client.post("/xapi/commands", json=wrap | {"mounts": document()["mounts"]}).status_code == 400
    assert client.post("/xapi/commands", json=wrap).status_code == 201


def test_wrappers_are_enabled_for_site_and_project(client: httpx.Client) -> None:
    client.post("/xapi/commands", json=document())
    wrapper = client.get("/xapi/commands/1").json()["xnat"][0]["id"]
    for base in (f"/xapi/wrappers/{wrapper}", "/xapi/commands/1/wrappers/tiny-session"):
        assert client.get(f"{base}/enabled").json() is False
        assert client.put(f"{base}/enabled").status_code == 200
        assert client.get(f"{base}/enabled").json() is True
        assert client.put(f"{base}/disabled").status_code == 200
    project = f"/xapi/projects/P/wrappers/{wrapper}"
    assert client.put(f"{project}/enabled").status_code == 200
    assert client.get(f"{project}/enabled").json() == {
        "enabled-for-site": False, "enabled-for-project": True, "project": "P",
    }  # fmt: skip
    available = {"project": "P", "xsiType": "xnat:mrSessionData"}
    assert client.get("/xapi/commands/available", params=available).json() == []
    client.put(f"/xapi/wrappers/{wrapper}/enabled")
    (row,) = client.get("/xapi/commands/available", params=available).json()
    assert (row["wrapper-id"], row["root-element-name"], row["enabled"]) == (wrapper, "session", True)
    assert client.get("/xapi/commands/available", params=available | {"xsiType": "xnat:subjectData"}).json() == []
    assert client.get(f"/xapi/wrappers/{wrapper}/projects").json() == ["P"]


def test_defaults_of_a_project_replace_those_of_the_site(client: httpx.Client) -> None:
    client.post("/xapi/commands", json=document())
    wrapper = client.get("/xapi/commands/1").json()["xnat"][0]["id"]
    site, project = f"/xapi/wrappers/{wrapper}/config", f"/xapi/projects/P/wrappers/{wrapper}/config"
    assert client.post(site, json={"inputs": {"mode": {"default-value": "fast"}}, "outputs": {}}).status_code == 201
    assert client.get(project).json()["inputs"]["mode"]["default-value"] == "fast"
    assert client.post(project, json={"inputs": {"mode": {"default-value": "full"}}}).status_code == 201
    assert client.get(project).json()["inputs"]["mode"]["default-value"] == "full"
    assert client.get(site).json()["inputs"]["mode"]["default-value"] == "fast"
    assert client.delete(project).status_code == 204
    assert client.get(project).json()["inputs"]["mode"]["default-value"] == "fast"
    assert client.post(project, json={"inputs": {"none": {}}}).status_code == 400


def test_who_may_do_what(hub: RunningHub, client: httpx.Client) -> None:
    add_user(hub.hub, "member", role="member", project="P")
    add_user(hub.hub, "owner", role="owner", project="P")
    client.post("/xapi/commands", json=document())
    wrapper = client.get("/xapi/commands/1").json()["xnat"][0]["id"]
    enable = f"/xapi/projects/P/wrappers/{wrapper}/enabled"
    with hub.client("member", "secret") as member:
        assert member.post("/xapi/commands", json=document(name="x")).status_code == 403
        assert member.put(f"/xapi/wrappers/{wrapper}/enabled").status_code == 403
        assert member.put(enable).status_code == 403
        assert member.get("/xapi/commands/1").status_code == 200
    with hub.client("owner", "secret") as owner:
        assert owner.put(enable).status_code == 200
        assert owner.delete("/xapi/commands/1").status_code == 403
