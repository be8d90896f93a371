"""What of ours is recorded by the hub, and what is said of requests that XNAT would not understand."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from helpers import own_requests
from helpers.own_requests import OwnRequest
from hub_fixture import start_hub
from overread.hub.recording import VARIABLE, own_client
from overread.xnat.connection import open_archive


@pytest.mark.parametrize(
    ("verb", "path", "query"),
    [
        ("GET", "/data/projects/P/subjects", ("columns", "format")),
        ("GET", "/data/archive/projects/P/experiments", ("UID", "xsiType")),
        ("PUT", "/data/projects/P", ("xnat:projectData/secondary_ID",)),
        ("POST", "/xapi/commands", ()),
        ("PUT", "/xapi/roi/projects/P/sessions/E/collections/L", ("overwrite", "type", "XNAT_CSRF")),
        ("GET", "/xapi/dicomweb/projects/P/studies/1.2/series", ()),
    ],
)
def test_what_xnat_has_is_no_problem(verb: str, path: str, query: tuple[str, ...]) -> None:
    assert own_requests.problem(OwnRequest("toolkit", verb, path, query)) is None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (OwnRequest("toolkit", "GET", "/xapi/overread/audit", ()), "no such route"),
        (OwnRequest("page /overread/review", "GET", "/xapi/overread/runs", ()), "no such route"),
        (OwnRequest("toolkit", "DELETE", "/xapi/commands", ()), "not DELETE"),
        (OwnRequest("toolkit", "GET", "/data/services/workflows", ("nothing",)), "no parameter nothing"),
        (OwnRequest("toolkit", "POST", "/xapi/dicomscp", ("columns",)), "no parameter columns"),
    ],
)
def test_what_works_on_the_hub_alone_is_named(request_: OwnRequest, said: str) -> None:
    assert said in (own_requests.problem(request_) or "")


def test_each_exception_gives_a_reason() -> None:
    assert own_requests.exceptions()
    for row in own_requests.exceptions():
        assert len(row.why) > 20, row


def test_clients_of_others_are_not_ours() -> None:
    assert own_client({"user-agent": "xnatpy/0.8.1"}) is None
    assert own_client({"user-agent": "Mozilla/5.0", "referer": "https://x.org/viewer/?a=b"}) is None
    assert own_client({"user-agent": "overread-toolkit/1 xnatpy/0.8.1"}) == "toolkit"
    page = "https://x.org/overread/review/index.html?project=P"
    assert own_client({"user-agent": "Mozilla/5.0", "referer": page}) == "page /overread/review"


def test_the_hub_records_names_and_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "records"))
    hub = start_hub(tmp_path)
    try:
        with open_archive(hub.url, user="admin", password=hub.password) as archive:
            archive.get("/data/projects", {"name": "secret value"})
        httpx.get(f"{hub.url}/data/version", auth=("admin", hub.password))
    finally:
        hub.stop()
    (file,) = (tmp_path / "records").iterdir()
    assert "secret value" not in file.read_text()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"client": "toolkit", "verb": "GET", "path": "/data/projects", "query": ["name"]} in lines
    assert not [line for line in lines if line["path"] == "/data/version"]  # httpx is none of ours
    assert own_requests.problems(own_requests.read(tmp_path / "records")) == ()
