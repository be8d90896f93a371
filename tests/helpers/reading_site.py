"""A hub with a small reader study: exams with results, accounts of readers, and a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydicom.uid import generate_uid

from helpers.segments import seg_of, through_bytes
from helpers.study_folder import FORM
from helpers.study_site import Site, start_site
from helpers.uploads import zipped
from overread.study.reading import Reading, Roster, prefix_of
from overread.synthetic.phantoms import make_case
from overread.xnat.bundle import StudyBundle, load_bundle
from overread.xnat.connection import FileArchive, open_archive
from overread.xnat.reading.sync import sync

PASSWORD = "Long-enough-1"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
FINDINGS: dict[str, Any] = {
    "page": "findings",
    "form": "knee-form.json",
    "groups": {"radiologist": {"per_case": 2}},
    "arms": ["unaided", "aided"],
    "crossover": {"washout_days": 28},
    "order": {"kind": "blocks", "seed": 3, "block": 2},
    "gate": {"group": "technologist", "form": "gate-form.json", "pass": [{"answer": "usable", "equals": "yes"}]},
    "adjudicate": {"group": "senior", "differ": ["usable"]},
}
SOURCES: dict[str, Any] = {
    "page": "segmentation",
    "form": "knee-form.json",
    "groups": {"radiologist": {"per_case": 2}},
    "sources": ["model", "expert"],
    "show": {"segments": [{"number": 1, "label": "Lesion", "color": "#d73c3c"}]},
}
ROSTER = {"radiologist": ["anna", "ben"], "technologist": ["tess"], "senior": ["sara"]}


@dataclass
class ReadingSite:
    """A site, its study's readers, and where the coordinator's secrets lie."""

    site: Site
    secrets: Path
    now: datetime = START
    roster: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.site.hub.url

    def bundle(self) -> StudyBundle:
        return load_bundle(self.site.manifest)

    @contextmanager
    def archive(self) -> Iterator[FileArchive]:
        with open_archive(self.url, user="admin", password=self.site.hub.password) as archive:
            yield archive

    def client(self, login: str = "") -> httpx.Client:
        return self.site.hub.client(login or "admin", PASSWORD if login else None)

    def who(self) -> Roster:
        return Roster.model_validate({"groups": self.roster})

    def sync(self, archive: FileArchive | None = None) -> dict[str, Any]:
        if archive is not None:
            return sync(archive, self.bundle(), self.who(), self.secrets, now=self.now, tell=self.said.append)
        with self.archive() as own:
            return self.sync(own)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def project_of(self, login: str) -> str:
        record = json.loads((self.secrets / "record.json").read_text("utf-8"))
        found: str = record["projects"][login]
        return found

    def worklist(self, login: str) -> dict[str, Any]:
        """Return a reader's worklist as his page gets it."""
        with self.client(login) as client:
            path = f"/data/projects/{self.project_of(login)}/config/overread/worklist"
            found: dict[str, Any] = client.get(path, params={"contents": "true"}).json()
            return found

    def open(self, login: str) -> list[dict[str, Any]]:
        return [row for row in self.worklist(login)["readings"] if "submitted_at" not in row]

    def answer(self, login: str, code: str, data: Mapping[str, Any], **more: Any) -> None:
        """Answer as the page does."""
        project, form = self.project_of(login), self.worklist(login)["form_uuid"]
        value = {"data": data, "submitted_at": self.now.isoformat(), "form_version": 1, "active_s": 7.5, **more}
        path = f"/xapi/custom-fields/projects/{project}/experiments/{code}/fields"
        with self.client(login) as client:
            assert client.put(path, json={f"answer:{form}:{login}": value}).status_code == 200

    def answer_all(self, login: str, data: Mapping[str, Any]) -> int:
        rows = self.open(login)
        for row in rows:
            self.answer(login, row["code"], data)
        return len(rows)

    def key(self) -> dict[str, dict[str, Any]]:
        document = json.loads((self.secrets / "key.json").read_text("utf-8"))
        return {row["code"]: row for row in document["readings"]}

    def add_exam(self, number: int) -> str:
        """Add an exam with the model's result, and a segmentation of each source; return its ID."""
        case = make_case(
            (4, 16, 16), (3.0, 1.0, 1.0), seed=number, series_description="PD", patient_id=f"SECRET-PATIENT-{number}",
            patient_name=f"Secret^Name{number}",
        )  # fmt: skip
        where = {"project": "KNEE", "subject": f"SUB{number}", "session": f"EXAM{number}"}
        options = {"import-handler": "DICOM-zip", "inbody": "true", "dest": "/archive/projects/KNEE"}
        images = list(case.datasets)
        with self.client() as client:
            answer = client.post(
                "/data/services/import", params={**options, **where}, content=zipped(images),
                headers={"content-type": "application/zip"},
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            base = f"/data/projects/KNEE/subjects/SUB{number}/experiments/EXAM{number}"
            session: str = client.get(base, params={"format": "json"}).json()["items"][0]["data_fields"]["ID"]
            answer = client.put(
                f"{base}/assessors/RESULT-{number}",
                params={
                    "xsiType": "knee:resultData", "knee:resultData/status": "ok", "knee:resultData/effusion_ml": "3.5",
                    "knee:resultData/remarks": "host gpu7",
                },
            )  # fmt: skip
            assert answer.status_code == 201, answer.text
            box = {"sop_instance_uid": images[0].SOPInstanceUID, "x": 1, "y": 2, "width": 3, "height": 4}
            finding = {"name": "knee", "side": "left", "class": "effusion", "confidence": 0.8, "box": box, "host": "g7"}
            content = json.dumps({"findings": [finding], "model": {"name": "secret-model"}}).encode()
            path = f"/data/experiments/{answer.text.strip()}/resources/RESULT/files/result.json"
            assert client.put(path, params={"inbody": "true"}, content=content).status_code == 200
            reading = self.bundle().manifest.reading
            for source in reading.segmentations if reading else ():
                seg = through_bytes(seg_of(case))
                path = f"/xapi/roi/projects/KNEE/sessions/{session}/collections/{prefix_of(source)}{number}"
                body = file_bytes(seg, source)
                answer = client.put(path, params={"type": "SEG"}, content=body, headers=_OCTETS)
                assert answer.status_code in (200, 201), answer.text
        return session


_OCTETS = {"content-type": "application/octet-stream"}


def file_bytes(seg: Any, source: str) -> bytes:
    """Return a segmentation that says everywhere who made it."""
    seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[source])
    seg.SeriesInstanceUID = generate_uid(entropy_srcs=[source, str(seg.StudyInstanceUID)])
    seg.SeriesDescription, seg.Manufacturer = f"drawn by {source}", f"maker of {source}"
    buffer = BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def start_reading_site(folder: Path, reading: Mapping[str, Any], *, exams: int, mode: str = "assist") -> ReadingSite:
    """Start a hub, apply a study with this block to it, and add accounts and exams."""
    Reading.model_validate(reading)
    site = start_site(folder)
    text = site.manifest.read_text("utf-8")
    site.manifest.write_text(f"{text}mode: {mode}\n{yaml.safe_dump({'reading': dict(reading)})}", "utf-8")
    gate = {**FORM, "title": "Is it usable"}
    (site.manifest.parent / "gate-form.json").write_text(json.dumps(gate), "utf-8")
    # the study's own events would start its model, which is no part of this
    assert site.apply().exit_code == 0
    found = ReadingSite(site, folder / "secrets")
    with found.client() as client:
        client.put("/xapi/events/prefs", json={"enabled": False})
        for login in ("anna", "ben", "tess", "sara", "cleo", "outsider"):
            body = {
                "username": login, "password": PASSWORD, "firstName": login, "lastName": "R",
                "email": f"{login}@example.org", "enabled": True, "verified": True,
            }  # fmt: skip
            assert client.post("/xapi/users", json=body).status_code == 201
    parsed = Reading.model_validate(reading)
    found.roster = {group: list(ROSTER[group]) for group in parsed.roles}
    for number in range(1, exams + 1):
        found.add_exam(number)
    return found
