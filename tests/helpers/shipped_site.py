"""Hubs with the shipped reader studies: exams with results made by hand, since what is tried is reading, not models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from helpers.ports import free_port
from helpers.reading_site import PASSWORD, ReadingSite, file_bytes
from helpers.requirements import REPOSITORY
from helpers.segments import through_bytes
from helpers.study_site import Site
from helpers.uploads import zipped
from hub_fixture import start_hub
from overread.dicom.seg import write_seg
from overread.operators.liver import SEGMENTS
from overread.study.reading import prefix_of
from overread.synthetic.abdomen_exams import ct_images
from overread.synthetic.hip_conditions import Condition
from overread.synthetic.hip_exams import FIVE, PlannedHipExam
from overread.synthetic.mr import SeriesHeader, StudyHeader, centred_grid, uid_from

_OCTETS = {"content-type": "application/octet-stream"}
CT_SHAPE = (30, 64, 96)


@dataclass
class ShippedSite(ReadingSite):
    """A hub with one of the shipped studies."""

    project: str = ""

    def archive_exam(self, subject: str, images: Sequence[Dataset], fields: Mapping[str, Any]) -> tuple[str, str]:
        """Archive an exam with a result; return the IDs of both."""
        bundle = self.bundle()
        kind = bundle.datatype.xsi_type
        with self.client() as client:
            place = f"/archive/projects/{self.project}/subjects/{subject}/experiments/{subject}_1"
            client.post(
                "/data/services/import", params={"import-handler": "DICOM-zip", "inbody": "true", "dest": place},
                content=zipped(list(images)), headers={"content-type": "application/zip"},
            ).raise_for_status()  # fmt: skip
            base = f"/data/projects/{self.project}/subjects/{subject}/experiments/{subject}_1"
            document = client.get(base, params={"format": "json"}).raise_for_status().json()
            named = {f"{kind}/{name}": value for name, value in {"status": "ok", **fields}.items()}
            made = client.put(f"{base}/assessors/RESULT_{subject}", params={"xsiType": kind, **named})
            return str(document["items"][0]["data_fields"]["ID"]), made.raise_for_status().text.strip()


class HipSite(ShippedSite):
    """Radiographs of a pelvis, two images each, and what the model would say of them."""

    def add_exam(self, number: int) -> str:
        right = Condition(name="no-fracture")
        left = Condition(name="fracture", kind="neck", severity=0.8) if number == 1 else right
        exam = PlannedHipExam(
            patient_id=f"SECRET-{number}", patient_name=f"Secret^Name{number}", study_date="20260105",
            right=right, left=left, seed=40 + number, spacing_mm=1.2, images=(FIVE[0], FIVE[3]),
        )  # fmt: skip
        images = exam.datasets()
        session, result = self.archive_exam(f"SUB{number}", images, exam.truth)
        rows, columns = images[0].Rows, images[0].Columns
        boxes = {"right": 0.2, "left": 0.6}
        findings = [
            {"name": "hip", "side": side, "class": exam.truth[f"{side}_class"], "confidence": 0.9,
             "box": {"sop_instance_uid": str(images[0].SOPInstanceUID), "x": columns * at, "y": rows * 0.4,
                     "width": columns * 0.2, "height": rows * 0.3}}
            for side, at in boxes.items()
        ]  # fmt: skip
        content = json.dumps({"findings": findings, "model": {"name": "secret-model"}})
        with self.client() as client:
            where = f"/data/experiments/{result}/resources/RESULT/files/result.json"
            client.put(where, params={"inbody": "true"}, content=content).raise_for_status()
        return session


class LiverSite(ShippedSite):
    """A block of tissue with two lobes and a vessel, as three would draw it."""

    def add_exam(self, number: int) -> str:
        images, masks = liver_case(number)
        session, _ = self.archive_exam(f"SUB{number}", images, {"total_ml": 1.0})
        reading = self.bundle().manifest.reading
        assert reading is not None
        segments = [replace(each, tracking_uid=uid_from("liver", number, each.number)) for each in SEGMENTS]
        for shift, source in enumerate(reading.sources):
            drawn = {at: np.roll(mask, shift, axis=2) for at, mask in masks.items()}
            seg = through_bytes(write_seg(images, drawn, segments))
            label = f"{prefix_of(source)}{number}"
            with self.client() as client:
                client.put(
                    f"/xapi/roi/projects/{self.project}/sessions/{session}/collections/{label}",
                    params={"type": "SEG"}, content=file_bytes(seg, source), headers=_OCTETS,
                ).raise_for_status()  # fmt: skip
        return session


def liver_case(number: int) -> tuple[list[Dataset], dict[int, Any]]:
    """Return CT images, and the masks of left lobe, right lobe and vessels by segment number."""
    grid = centred_grid(CT_SHAPE, (3.0, 2.0, 2.0), orientation="axial")
    masks = {at: np.zeros(CT_SHAPE, dtype=np.bool_) for at in (1, 2, 3)}
    masks[2][8:22, 16:48, 14:50] = True
    masks[1][8:22, 16:48, 50:70] = True
    masks[3][8:22, 30:34, 14:70] = True
    for lobe in (1, 2):
        masks[lobe] &= ~masks[3]
    volume = np.full(CT_SHAPE, -900.0)
    volume[:, 6:58, 6:90] = 40.0
    volume[masks[1] | masks[2]] = 110.0
    volume[masks[3]] = 170.0
    study = StudyHeader(
        study_instance_uid=uid_from("liver", number), patient_id=f"SECRET-{number}",
        patient_name=f"Secret^Name{number}", study_description="CT liver donor",
    )  # fmt: skip
    series = SeriesHeader(
        series_instance_uid=uid_from("liver", number, "series"),
        frame_of_reference_uid=uid_from("liver", number, "frame of reference"),
        series_description="Portal venous", attributes={"ContrastBolusAgent": "contrast"},
    )  # fmt: skip
    return ct_images(volume, grid, study=study, series=series), masks


def start_shipped(folder: Path, study: str, *, exams: int, roster: Mapping[str, Sequence[str]]) -> ShippedSite:
    """Start a hub with a shipped study, its readers' accounts, and exams."""
    manifest = REPOSITORY / "xnat-plugins" / study / "study.yaml"
    hub = start_hub(folder, plugins=REPOSITORY / "build/plugins", ohif=REPOSITORY / "build/ohif")
    site = Site(hub, manifest, free_port())
    done = site.apply()
    assert done.exit_code == 0, done.output
    kind = HipSite if study == "hip-fracture" else LiverSite
    found = kind(site, folder / "secrets", now=datetime.now(UTC))  # pages tell the time by the clock
    found.project = found.bundle().manifest.project
    found.roster = {group: list(logins) for group, logins in roster.items()}
    with found.client() as client:
        client.put("/xapi/events/prefs", json={"enabled": False}).raise_for_status()
        for login in [login for logins in roster.values() for login in logins] + ["outsider"]:
            account = {
                "username": login, "password": PASSWORD, "firstName": login, "lastName": "R",
                "email": f"{login}@example.org", "enabled": True, "verified": True,
            }  # fmt: skip
            client.post("/xapi/users", json=account).raise_for_status()
    for number in range(1, exams + 1):
        found.add_exam(number)
    found.sync()
    return found
