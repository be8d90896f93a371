"""A reader study that was cut off at every request ends the same; and who can see and change what of it, by REST."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from helpers.reading_site import FINDINGS, ReadingSite, start_reading_site
from overread.cli.main import main
from overread.errors import Unavailable
from overread.xnat.connection import Answer, FileArchive, Request

pytestmark = pytest.mark.slow

STUDY: dict[str, Any] = {
    key: value for key, value in FINDINGS.items() if key not in {"gate", "adjudicate", "crossover"}
} | {"arms": ["aided"], "groups": {"radiologist": {"per_case": 1}}}  # fmt: skip


class Breaking:
    """An archive whose line breaks at its first request that changes something, after it was carried out."""

    def __init__(self, archive: FileArchive) -> None:
        self._archive = archive
        self.sent: list[str] = []

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | None:
        return self._archive.get(path, query)

    def download(self, path: str, target: Path) -> None:
        self._archive.download(path, target)

    def send(self, request: Request) -> Answer:
        self._archive.send(request)
        self.sent.append(f"{request.method} {request.path}")
        raise Unavailable("the line broke")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingSite]:
    """A study that came about by a service that was cut off after each request it ever made."""
    site = start_reading_site(tmp_path_factory.mktemp("readers"), STUDY, exams=2)
    sent: list[str] = []
    with site.archive() as archive:
        while True:
            line = Breaking(archive)
            try:
                site.sync(line)
                break
            except Unavailable:
                assert not set(line.sent) & set(sent) - {"PUT /xapi/customforms/save", "POST /data/services/import"}, (
                    "nothing is done twice"
                )
                sent += line.sent
    assert len(sent) > 15
    yield site
    site.site.hub.stop()


def test_what_was_cut_off_everywhere_is_whole(site: ReadingSite) -> None:
    for login in ("anna", "ben"):
        (row,) = site.worklist(login)["readings"]
        with site.client(login) as client:
            project = site.project_of(login)
            (session,) = _rows(client, f"/data/projects/{project}/experiments")
            assert session["label"] == row["code"]
            assert len(_rows(client, f"/data/experiments/{session['ID']}/scans/ALL/files")) == 4
            (result,) = _rows(client, f"/data/experiments/{session['ID']}/assessors")
            assert [f["Name"] for f in _rows(client, f"/data/experiments/{result['ID']}/files")] == ["findings.json"]
    with site.client() as client:
        for project in ("KNEE_R01", "KNEE_R02"):
            forms = client.get("/xapi/customforms", params={"projectId": project}).json()
            assert len(forms) == 1
            users = {row["login"]: row["GROUP_ID"] for row in _rows(client, f"/data/projects/{project}/users")}
            assert sorted(users.values()) == [f"{project}_member", f"{project}_owner"]
            assert client.get(f"/data/prearchive/projects/{project}?format=json").json()["ResultSet"]["Result"] == []
    assert {row["exam"] for row in site.key().values()} == {"EXAM1", "EXAM2"}


LISTS = (
    "/data/projects", "/data/subjects", "/data/experiments", "/data/experiments?xsiType=knee:resultData",
    "/data/experiments?xsiType=icr:roiCollectionData", "/data/experiments?columns=ID,label,session_label,project",
    "/data/prearchive", "/data/services/workflows", "/xapi/access/projects", "/xapi/dicomweb/studies",
    "/xapi/dicomweb/series", "/data/search/saved", "/xapi/customforms", "/data/config/overread/studies",
)  # fmt: skip
OF_PROJECT = (
    "", "/subjects", "/experiments", "/users", "/resources", "/config", "/config/overread/worklist?contents=true",
    "/config/overread/progress?contents=true", "/history", "/experiments?columns=ID,label,UID", "/files",
)  # fmt: skip


def test_reader_sees_neither_others_nor_the_source(site: ReadingSite) -> None:
    mine, others = site.project_of("anna"), site.project_of("ben")
    (his,) = site.worklist("ben")["readings"]
    with site.client() as client:
        (session,) = _rows(client, f"/data/projects/{others}/experiments")
        originals = [row["ID"] for row in _rows(client, "/data/projects/KNEE/experiments")]
    secrets = [his["code"], his["study_instance_uid"], others, "KNEE_KEY", "EXAM1", "EXAM2", "SECRET", "record.json"]
    hidden = [f"/data/projects/{project}{path}" for project in (others, "KNEE", "KNEE_KEY") for path in OF_PROJECT]
    hidden += [f"/xapi/overread/projects/KNEE/{name}" for name in ("answers", "cases")]
    for number in (session["ID"], *originals):
        hidden += [f"/data/experiments/{number}{path}" for path in ("", "/scans", "/assessors", "/scans/ALL/files")]
        hidden += [f"/xapi/custom-fields/experiments/{number}/fields"]
    hidden += [f"/data/projects/KNEE_KEY/resources/KEY/files/{name}" for name in ("key.json", "record.json")]
    with site.client("anna") as client:
        for path in LISTS:
            text = client.get(path).text
            assert not [word for word in secrets if word in text], path
        own = client.get("/data/experiments?format=json").text
        assert site.worklist("anna")["readings"][0]["code"] in own, "but the own case stands in the same list"
        for path in hidden:
            answer = client.get(path)
            assert answer.status_code in {403, 404}, (path, answer.status_code)
        field: dict[str, Any] = {"answer:x:anna": {"data": {}}}
        for project, code in ((others, his["code"]), ("KNEE", "EXAM1")):
            where = f"/xapi/custom-fields/projects/{project}/experiments/{code}/fields"
            assert client.put(where, json=field).status_code in {403, 404}
        assert client.get(f"/data/projects/{mine}/experiments").status_code == 200


def test_outsider_sees_nothing(site: ReadingSite) -> None:
    words = ["KNEE", *(row["code"] for login in ("anna", "ben") for row in site.worklist(login)["readings"])]
    with site.client("outsider") as client:
        for path in LISTS:
            text = client.get(path).text.replace("knee:", "")
            # the site's table names the study, for links from the PACS; nothing of what is in it
            assert not [w for w in words if w in text] or path == "/data/config/overread/studies", path
        for project in ("KNEE", "KNEE_KEY", "KNEE_R01", "KNEE_R02"):
            for path in OF_PROJECT:
                assert client.get(f"/data/projects/{project}{path}").status_code in {403, 404}, (project, path)


def test_two_readers_at_once_lose_nothing(site: ReadingSite) -> None:
    codes = {login: site.worklist(login)["readings"][0]["code"] for login in ("anna", "ben")}

    def save(task: tuple[str, int]) -> None:
        login, number = task
        site.answer(
            login, codes[login], {"usable": "yes", "why": f"=said {number}"}, previous=[{"data": {"n": number}}]
        )
        project = site.project_of(login)
        with site.client(login) as client:
            where = f"/xapi/custom-fields/projects/{project}/experiments/{codes[login]}/fields"
            assert client.put(where, json={f"draft:{number}:{login}": {"data": {"n": number}}}).status_code == 200

    tasks = [(login, number) for number in range(4) for login in codes]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, tasks))
    for login, code in codes.items():
        with site.client(login) as client:
            where = f"/xapi/custom-fields/projects/{site.project_of(login)}/experiments/{code}/fields"
            fields = client.get(where).json()
        assert {f"draft:{number}:{login}" for number in range(4)} <= set(fields)
        assert [name for name in fields if name.startswith("answer:")] == [
            f"answer:{site.worklist(login)['form_uuid']}:{login}"
        ]
    assert [line["submitted"] for line in site.sync()["readers"]] == [1, 1]
    assert all("submitted_at" in row for login in codes for row in site.worklist(login)["readings"])


def run(site: ReadingSite, command: str, *options: str) -> Result:
    where = ["--url", site.url, "--user", "admin"]
    environment = {"OVERREAD_PASSWORD": site.site.hub.password}
    return CliRunner().invoke(main, ["readers", command, str(site.site.manifest), *where, *options], env=environment)


def test_answers_of_all_readers_blinded_and_not(site: ReadingSite) -> None:
    blinded = run(site, "answers")
    assert blinded.exit_code == 0, blinded.output
    rows = list(csv.DictReader(io.StringIO(blinded.stdout)))
    assert not {"exam", "source", "arm", "repeat"} & set(rows[0])
    assert not any(word in blinded.stdout for word in ("EXAM", "aided"))
    current = [row for row in rows if row["current"] == "true"]
    assert [(row["reader"], row["answer.usable"], row["active_s"], row["mode"]) for row in current] == [
        ("anna", "yes", "7.5", "assist"), ("ben", "yes", "7.5", "assist"),
    ]  # fmt: skip
    assert current[0]["answer.why"].startswith("'=said"), "nothing that a spreadsheet would run"
    told = run(site, "answers", "--format", "json", "--unblinded", "--secrets", str(site.secrets))
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)["answers"]
    assert {row["exam"] for row in document} == {"EXAM1", "EXAM2"}
    assert {(row["arm"], row["source"], row["repeat"]) for row in document} == {("aided", None, False)}
    assert run(site, "answers", "--unblinded").exit_code == 2


def test_readers_join_and_leave(site: ReadingSite, tmp_path: Path) -> None:
    site.add_exam(3)
    site.add_exam(4)
    site.sync()
    site.roster["radiologist"] = ["anna", "cleo"]
    roster = tmp_path / "readers.yaml"
    roster.write_text(yaml.safe_dump({"groups": site.roster}), "utf-8")
    planned = run(site, "plan", "--readers", str(roster), "--secrets", str(site.secrets))
    assert planned.exit_code == 0, planned.output
    assert "ben left radiologist: 1 cases go to the others" in planned.stdout
    assert "project KNEE_R03, for cleo" in planned.stdout
    others = site.project_of("ben")
    progress = site.sync()
    assert [(line["reader"], line["present"]) for line in progress["readers"]] == [
        ("anna", True), ("ben", False), ("cleo", True),
    ]  # fmt: skip
    with site.client("ben") as client:
        assert client.get(f"/data/projects/{others}").status_code == 404
    with site.client() as client:
        kept = _rows(client, f"/data/projects/{others}/experiments")
        assert len(kept) == 2, "what he was given stays, and so do his answers"
    read = [line["total"] for line in progress["readers"]]
    assert sum(read) == 4, "each case has its reader"
    shown = run(site, "status")
    assert "KNEE_R02 reader ben (left): 1 of 1 read, 0 open" in shown.stdout


def test_fewer_readers_than_a_case_needs_is_said_in_words(site: ReadingSite, tmp_path: Path) -> None:
    roster = tmp_path / "readers.yaml"
    roster.write_text("groups: {radiologists: [anna]}\n", "utf-8")
    result = run(site, "plan", "--readers", str(roster), "--secrets", str(site.secrets))
    assert result.exit_code == 2
    assert "the study has no such group; one of radiologist" in result.stderr


def _rows(client: Any, path: str) -> list[dict[str, str]]:
    answer = client.get(path, params={"format": "json"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def test_in_shadow_no_result_is_within_a_readers_reach(site: ReadingSite) -> None:
    """Copies with a result, sent or not, and the study itself: by REST, DICOMweb, search, files."""
    mine = site.project_of("anna")
    with site.client() as client:
        assert client.put("/data/projects/KNEE/users/member/outsider").status_code == 200
        copies = _rows(client, f"/data/projects/{mine}/experiments")
        exams = _rows(client, "/data/projects/KNEE/experiments")
        uids = [client.get(f"/data/experiments/{row['ID']}?format=json") for row in (*copies, *exams)]
        studies = {
            row["ID"]: str(answer.json()["items"][0]["data_fields"]["UID"])
            for row, answer in zip((*copies, *exams), uids, strict=True)
        }
        results = {
            row["ID"]: session["ID"]
            for session in (*copies, *exams)
            for row in _rows(client, f"/data/experiments/{session['ID']}/assessors")
        }
        files = [row["URI"] for result in results for row in _rows(client, f"/data/experiments/{result}/files")]
    assert len(results) == len(copies) + len(exams), "each has its result"
    assert copies
    assert len(files) == len(results)
    paths = [f"/data/projects/KNEE{path}" for path in OF_PROJECT]
    paths += [f"/xapi/overread/projects/KNEE/{name}" for name in ("answers", "cases")]
    paths += files
    for result, session in results.items():
        paths += [
            f"/data/experiments/{result}", f"/data/experiments/{session}/assessors/{result}",
            f"/data/experiments/{result}/resources", f"/xapi/custom-fields/experiments/{result}/fields",
            f"/data/experiments/{session}", f"/data/experiments/{session}/scans/ALL/files",
            f"/xapi/roi/projects/KNEE/sessions/{session}/collections",
        ]  # fmt: skip
    of_study = [path for path in paths if "KNEE" in path]
    for project in (mine, "KNEE", "KNEE_KEY"):
        for uid in studies.values():
            base = f"/xapi/dicomweb/projects/{project}/studies/{uid}"
            paths += [base, f"{base}/metadata", f"{base}/series"]

    with site.client("anna") as client:
        seen = [client.get(path).status_code for path in paths if mine in path or path.startswith("/data/experiments/")]
        assert 200 in seen, "before, the copies were hers"
    with site.client("outsider") as client:
        assert client.get(of_study[0]).status_code == 200, "before, a member of the study's project saw it"
    shadow = site.site.run("study", "mode", str(site.site.manifest), "shadow", "--reason", "the model is to be renewed")
    assert shadow.exit_code == 0, shadow.output
    line = next(one for one in site.sync()["readers"] if one["reader"] == "anna")
    assert (line["open"], line["submitted"], line["withheld"]) == (0, 1, 1)
    for login in ("anna", "outsider"):
        with site.client(login) as client:
            for path in paths:
                answer = client.get(path)
                empty = answer.status_code in {200, 204} and not [uid for uid in studies.values() if uid in answer.text]
                told = answer.status_code if not (empty and "/dicomweb/" in path) else 404
                assert told in {403, 404}, (login, path, answer.status_code, answer.text[:200])
            for path in LISTS:
                text = client.get(path).text
                assert not [one for one in (*results, *studies.values()) if one in text], (login, path)

    # What she had said is kept, counts, and is not asked again; the copies come back with the next mode.
    assert any(
        row["code"] == copies[0]["label"]
        for row in json.loads(run(site, "answers", "--format", "json").stdout)["answers"]
    )
    live = site.site.run(
        "study", "mode", str(site.site.manifest), "live", "--reason", "the model was renewed, and is in use"
    )
    assert live.exit_code == 0, live.output
    site.sync()
    with site.client("anna") as client:
        assert [row["ID"] for row in _rows(client, f"/data/projects/{mine}/experiments")] == [
            row["ID"] for row in copies
        ]
        (own, *_) = (result for result, session in results.items() if session == copies[0]["ID"])
        assert client.get(f"/data/experiments/{own}").status_code == 200
    said = json.loads(run(site, "answers", "--format", "json").stdout)["answers"]
    assert {row["mode"] for row in said if row["project"] == mine and row["current"]} == {"assist"}, (
        "by the time of the answer"
    )
