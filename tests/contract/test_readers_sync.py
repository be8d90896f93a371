"""`overread readers sync` against a hub: projects, copies, worklists, gate, wash-out, adjudication, answers."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from helpers.reading_site import FINDINGS, SOURCES, ReadingSite, start_reading_site
from overread.errors import OverreadError

YES, NO = {"usable": "yes"}, {"usable": "no", "why": "blurred"}


@pytest.fixture
def hip(tmp_path: Path) -> Iterator[ReadingSite]:
    """A study of findings: gate, crossover, adjudication."""
    site = start_reading_site(tmp_path, FINDINGS, exams=3)
    yield site
    site.site.hub.stop()


def test_a_study_from_gate_to_adjudication(hip: ReadingSite) -> None:
    first = hip.sync()
    assert first["gate"] == {"open": 3, "passed": 0, "refused": [], "median_s": None}
    assert (len(hip.open("tess")), hip.worklist("tess")["role"]) == (3, "gate")
    assert [hip.worklist(login)["readings"] for login in ("anna", "ben", "sara")] == [[], [], []]
    one, two, three = hip.open("tess")
    hip.answer("tess", one["code"], NO)
    hip.answer("tess", two["code"], YES)
    hip.answer("tess", three["code"], YES, submitted_at="yesterday")
    assert hip.sync()["gate"]["passed"] == 1, "by REST one may write anything: what has no time does not count"
    hip.answer("tess", three["code"], YES)
    after = hip.sync()
    assert after["gate"] == {
        "open": 0, "passed": 2, "refused": [{"reason": "usable: no", "count": 1}], "median_s": 7.5,
    }  # fmt: skip
    assert (len(hip.open("anna")), len(hip.open("ben"))) == (2, 2), "only what passed reaches readers"
    assert hip.sync() == after, "a second run changes nothing"
    _copies_tell_nothing(hip)

    # first period: both read all they have; they differ on one case
    a, b = hip.open("anna"), hip.open("ben")
    assert {row["period"] for row in a + b} == {1}
    cases = {code: row["exam"] for code, row in hip.key().items()}
    for row in a:
        hip.answer("anna", row["code"], YES)
    disputed = next(cases[row["code"]] for row in b if row["arm"] == "aided")
    for row in b:
        hip.answer("ben", row["code"], NO if cases[row["code"]] == disputed else YES)
    hip.later(hours=1)
    waiting = hip.sync()
    assert [line["waiting_washout"] for line in waiting["readers"] if line["role"] == "reader"] == [2, 2]
    assert hip.worklist("anna")["next_period_from"] == "2026-02-02"
    assert hip.open("anna") == []

    # what is in wash-out is not on the server at all, and what was sent can't be looked up
    mine = [row["code"] for row in hip.worklist("anna")["readings"]]
    assert len(mine) == 2
    assert _labels(hip, hip.project_of("anna")) == []
    assert set(mine) <= set(_labels(hip, "KNEE_KEY"))
    with hip.client("anna") as client:
        assert all(client.get(f"/data/projects/KNEE_KEY/experiments/{code}").status_code in {403, 404} for code in mine)
    assert len(_labels(hip, hip.project_of("tess"))) == 3, "a technologist meets no case again, and may change his mind"

    # second period: the other arm
    hip.later(days=28)
    hip.sync()
    again = hip.open("anna")
    assert {row["period"] for row in again} == {2}
    arms = {(row["exam"], row["arm"]) for code, row in hip.key().items() if row["reader"] == "anna"}
    assert len(arms) == 4, "each case in both arms"
    for login in ("anna", "ben"):
        for row in hip.open(login):
            hip.answer(login, row["code"], NO if login == "ben" and cases[row["code"]] == disputed else YES)
    done = hip.sync()
    assert done["adjudication"] == {"open": 1, "done": 0}
    assert hip.sync()["adjudication"] == {"open": 1, "done": 0}
    (one,) = hip.open("sara")
    assert (hip.key()[one["code"]]["exam"], one["arm"]) == (disputed, None)
    hip.answer("sara", one["code"], YES)
    assert hip.sync()["adjudication"] == {"open": 0, "done": 1}


def _labels(site: ReadingSite, project: str) -> list[str]:
    """Return the sessions that a project has."""
    with site.client() as client:
        return [row["label"] for row in _rows(client, f"/data/projects/{project}/experiments")]


def _copies_tell_nothing(site: ReadingSite) -> None:
    """No copy holds the patient, the exam's UIDs, or anything of the model but its findings."""
    with site.client("anna") as client:
        project = site.project_of("anna")
        for row in site.worklist("anna")["readings"]:
            code = row["code"]
            listed = _rows(client, f"/data/projects/{project}/experiments", label=code)
            number = listed[0]["ID"]
            packed = client.get(f"/data/experiments/{number}/scans/ALL/files", params={"format": "zip"}).content
            with zipfile.ZipFile(io.BytesIO(packed)) as z:
                content = [z.read(name) for name in z.namelist() if name.endswith(".dcm")]
            images = [dcmread(io.BytesIO(one)) for one in content]
            assert len(images) == 4
            assert all(b"SECRET" not in one and b"Secret" not in one for one in content)
            assert {str(image.PatientID) for image in images} <= {code, ""}
            assert {str(image.StudyInstanceUID) for image in images} == {row["study_instance_uid"]}
            assessors = _rows(client, f"/data/experiments/{number}/assessors")
            assert [one["label"] for one in assessors] == ([f"{code}_RESULT"] if row["arm"] == "aided" else [])
            for one in assessors:
                _only_findings(client, one["ID"], images)


def _only_findings(client: httpx.Client, result: str, images: Sequence[Dataset]) -> None:
    fields = client.get(f"/data/experiments/{result}?format=json").json()["items"][0]["data_fields"]
    assert (fields["status"], fields["effusion_ml"]) == ("ok", 3.5)
    assert "remarks" not in fields, "free text may tell the host"
    (file,) = _rows(client, f"/data/experiments/{result}/files")
    document = client.get(file["URI"]).json()
    (finding,) = document["findings"]
    assert finding.pop("box").pop("sop_instance_uid") in {str(image.SOPInstanceUID) for image in images}
    assert finding == {"name": "knee", "side": "left", "class": "effusion", "confidence": 0.8}


def _rows(client: httpx.Client, path: str, **query: str) -> list[dict[str, str]]:
    answer = client.get(path, params={"format": "json", **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def test_the_models_mask_goes_with_the_aided_arm_alone(tmp_path: Path) -> None:
    block = {key: value for key, value in SOURCES.items() if key != "sources"}
    block |= {"groups": {"radiologist": {"per_case": 1}}, "arms": ["unaided", "aided"], "order": {"block": 2}}
    site = start_reading_site(tmp_path, block, exams=2)
    try:
        assert site.sync()["troubles"] == []
        rows = [(login, row) for login in ("anna", "ben") for row in site.open(login)]
        assert len(rows) == 2
        for login, row in rows:
            with site.client(login) as client:
                (exam,) = _rows(client, f"/data/projects/{site.project_of(login)}/experiments", label=row["code"])
                masks = [one["label"] for one in _rows(client, f"/data/experiments/{exam['ID']}/assessors")]
            assert masks == ([f"{row['code']}_SEG"] if row["arm"] == "aided" else [])
    finally:
        site.site.hub.stop()


def test_sources_are_judged_blind(tmp_path: Path) -> None:
    site = start_reading_site(tmp_path, SOURCES, exams=2)
    try:
        site.sync()
        key = site.key()
        assert {row["source"] for row in key.values()} == {"model", "expert"}
        with site.client("anna") as client:
            project = site.project_of("anna")
            rows = site.open("anna")
            assert len(rows) == 4
            sizes = set()
            for row in rows:
                number = _rows(client, f"/data/projects/{project}/experiments", label=row["code"])[0]["ID"]
                (collection,) = _rows(client, f"/data/experiments/{number}/assessors")
                assert collection["label"] == f"{row['code']}_SEG"
                (file,) = [
                    f for f in _rows(client, f"/data/experiments/{collection['ID']}/files") if f["Name"].endswith("dcm")
                ]
                content = client.get(file["URI"]).content
                seg = dcmread(io.BytesIO(content))
                assert seg.SeriesDescription == row["code"]
                assert not any(word in content for word in (b"drawn by", b"maker of", b"SECRET"))
                sizes.add(len(content))
            assert len(sizes) == 1, "not even the size tells"
        before = json.dumps(site.worklist("anna"))
        assert not any(word in before for word in ("model", "expert", "EXAM", "SECRET"))
        assert site.sync()["readers"][0]["released"] == 4
        # in shadow the model's contours are no result for readers
        again = [row for row in site.key().values() if row["source"] == "model"]
        assert len(again) == 4
    finally:
        site.site.hub.stop()


def test_reader_who_can_see_the_study_is_refused(hip: ReadingSite) -> None:
    with hip.client() as client:
        assert client.put("/data/projects/KNEE/users/collaborator/anna").status_code == 200
    with pytest.raises(OverreadError, match="anna can see project KNEE, which holds originals and results"):
        hip.sync()
    with hip.client() as client:
        assert client.get("/data/projects/KNEE_R01").status_code == 404, "nothing was made"
        client.delete("/data/projects/KNEE/users/collaborator/anna")
        client.put("/xapi/users/ben/roles/Administrator")
    with pytest.raises(OverreadError, match="ben is an administrator of the site and so sees all projects"):
        hip.sync()
