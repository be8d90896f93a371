"""A hub with reading projects as `overread readers sync` leaves them, made by REST: for tests of the reading pages.

Two readers read radiographs, each in a project of their own; a third one corrects a mask.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from helpers.requirements import REPOSITORY
from helpers.segments import seg_of
from hub_fixture import RunningHub, start_hub
from overread.synthetic.mr import uid_from
from overread.synthetic.phantoms import PhantomCase, Sphere, make_case

PASSWORD: Final = "Reader-of-tests-1"
READERS: Final = ("ada", "bob", "eva")
PROJECTS: Final = ("XR_R01", "XR_R02", "MR_R01")
CODES: Final = ("7F3KQ2M4VX", "B6TRW9HPJ1", "QX58NDKC3Z")
MASK_CODE: Final = "M4SKZR7P2D"
"""With the model's mask, and the same exam without it."""
BARE_CODE: Final = "N0M4SKW8TF"
SIDES: Final = {"right": (60, 120), "left": (260, 120)}
BOX_PX: Final = 80


def radiograph(code: str, number: int) -> Dataset:
    """Return a made-up radiograph of 300 rows and 400 columns: two bright rounds where hips would be."""
    y, x = np.mgrid[0:300, 0:400]
    picture = 900.0 + 2.0 * y + 200 * np.sin(x / 9) * (number > 1)
    for left, top in SIDES.values():
        inside = np.hypot(x - left - BOX_PX / 2, y - top - BOX_PX / 2) < BOX_PX / 2
        picture += 1500 * inside
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid_from(code, number))
    ds.StudyInstanceUID = uid_from(code)
    ds.SeriesInstanceUID = uid_from(code, "series", number)
    ds.PatientID = ds.PatientName = ds.StudyID = code
    ds.Modality, ds.StudyDate, ds.SeriesNumber, ds.InstanceNumber = "DX", "20260101", number, 1
    ds.SeriesDescription = ("Pelvis AP", "Hip lateral")[number - 1]
    ds.ViewPosition = ("AP", "LATERAL")[number - 1]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, ("MONOCHROME2", "MONOCHROME1")[number - 1]
    ds.Rows, ds.Columns = picture.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 2000, 3000
    ds.PixelData = picture.clip(0, 4095).astype("<u2").tobytes()
    return ds


def reader_form() -> dict[str, Any]:
    """Return a form with one question for each side, and others that an accepted case answers by itself."""

    def choice(key: str, label: str, *values: str, accept: str = "") -> dict[str, Any]:
        return {
            "key": key, "label": label, "type": "radio", "input": True, "inline": True,
            "values": [{"label": value, "value": value} for value in values],
            "properties": {"accept": accept} if accept else {}, "validate": {"required": True},
        }  # fmt: skip

    return {
        "display": "form",
        "title": "Hip reading",
        "settings": {},
        "components": [
            choice("right_class", "Right hip", "no fracture", "fracture", "hardware"),
            choice("left_class", "Left hip", "no fracture", "fracture", "hardware"),
            choice("image_quality", "Image quality", "good", "poor", accept="good"),
            {"key": "note", "label": "Note", "type": "textarea", "input": True, "validate": {"maxLength": 500}},
        ],
    }


@dataclass(frozen=True)
class ReadingRoom:
    """The hub, and what is in it."""

    hub: RunningHub

    @property
    def url(self) -> str:
        return self.hub.url

    def client(self, login: str = "admin") -> httpx.Client:
        return self.hub.client(login, None if login == "admin" else PASSWORD)

    def fields(self, project: str, code: str) -> dict[str, Any]:
        """Return what the pages kept with a session."""
        with self.client() as client:
            found = client.get(f"/data/projects/{project}/experiments", params={"columns": "ID,label", "label": code})
            (row,) = found.raise_for_status().json()["ResultSet"]["Result"]
            where = f"/xapi/custom-fields/projects/{project}/experiments/{row['ID']}/fields"
            fields: dict[str, Any] = client.get(where).raise_for_status().json()
        return fields

    def answer(self, project: str, code: str, login: str) -> dict[str, Any]:
        """Return the one answer that `login` gave."""
        found = [
            v for k, v in self.fields(project, code).items() if k.startswith("answer:") and k.endswith(f":{login}")
        ]
        assert len(found) == 1, found
        answer: dict[str, Any] = found[0]
        return answer


def start_reading_room(folder: Path) -> ReadingRoom:
    """Start the hub and put everything into it."""
    hub = start_hub(folder, plugins=REPOSITORY / "build/plugins", ohif=REPOSITORY / "build/ohif")
    room = ReadingRoom(hub)
    with room.client() as client:
        for login, project in zip(READERS, PROJECTS, strict=True):
            client.put(f"/data/projects/{project}").raise_for_status()
            account = {
                "username": login, "password": PASSWORD, "firstName": "Robin", "lastName": login.title(),
                "email": f"{login}@example.org", "enabled": True, "verified": True,
            }  # fmt: skip
            client.post("/xapi/users", json=account).raise_for_status()
            client.put(f"/data/projects/{project}/users/member/{login}").raise_for_status()
        for project in PROJECTS[:2]:
            for code in CODES:
                _archive(client, project, code, [radiograph(code, 1), radiograph(code, 2)])
                if code != CODES[0]:
                    _add_findings(client, project, code)
            _worklist(client, project, "findings", "xnat:dxSessionData", CODES)
        case = mask_case()
        _archive(client, PROJECTS[2], MASK_CODE, case.datasets)
        _add_mask(client, PROJECTS[2], MASK_CODE, seg_of(case))
        _archive(client, PROJECTS[2], BARE_CODE, mask_case(BARE_CODE).datasets)
        _worklist(client, PROJECTS[2], "segmentation", "xnat:mrSessionData", [MASK_CODE, BARE_CODE])
        progress = {
            "version": 1, "updated_at": "2026-11-24T10:00:00Z", "cases": 3,
            "gate": {"open": 1, "passed": 3, "refused": [{"reason": "not relevant", "count": 2}], "median_s": 41},
            "readers": [
                {"reader": "ada", "project": "XR_R01", "role": "reader", "total": 6, "released": 3, "submitted": 1,
                 "waiting_washout": 3, "next_period_from": "2026-12-22", "median_active_s": 95.0},
                {"reader": "<b>bob</b>", "project": "XR_R02", "role": "adjudicator", "total": 3, "released": 3,
                 "submitted": 3, "waiting_washout": 0, "next_period_from": None, "median_active_s": 30},
            ],
            "adjudication": {"open": 1, "done": 2},
        }  # fmt: skip
        client.put("/data/projects/XR").raise_for_status()
        _configure(client, "XR", "progress", progress)
        _configure(client, "XR", "study", {"id": "hip-fracture", "title": "Hip fracture", "mode": "assist"})
        change = {
            "at": "2026-11-20T09:30:00.000+00:00", "before": "shadow", "after": "assist", "by": "carla",
            "reason": "the committee said <b>yes</b>", "withdrawn": [],
        }  # fmt: skip
        _configure(client, "XR", "modes", {"version": 1, "changes": [change]})
    return room


def _worklist(client: httpx.Client, project: str, page: str, xsi_type: str, codes: Sequence[str]) -> None:
    data = {
        "formTitle": "Hip reading",
        "zIndex": 10,
        "xnatDatatype": {"label": "Session", "value": xsi_type},
        "isThisASiteWideConfiguration": "no",
        "xnatProject": [{"label": project, "value": project}],
        "idCustomVariableFormAppliesTo": "-1_-1",
    }
    body = {"submission": {"data": data}, "builder": reader_form()}
    uuid = client.put("/xapi/customforms/save", json=body).raise_for_status().text
    arms = ["unaided", "aided", "aided"] if page == "findings" else ["aided", "unaided"]
    readings = [
        {"code": code, "session": code, "period": 1, "position": at, "released_at": "2026-11-24T08:00:00Z",
         "study_instance_uid": uid_from(code), "arm": arms[at - 1]}
        for at, code in enumerate(codes, start=1)
    ]  # fmt: skip
    show = {
        "segments": [{"number": 1, "label": "Liver <i>left</i>", "color": "#6cb8ff"}],
        "remnant": {"of": [1, 2], "keep": [1]},
    }
    document = {
        "version": 1, "study": "hip-fracture", "title": "Hip fracture reading", "reader": "x", "role": "reader",
        "page": page, "form_uuid": uuid, "form_version": 1, "idle_s": 30, "total": len(codes) * 2,
        "next_period_from": "2026-12-22", "readings": readings, "show": show,
    }  # fmt: skip
    _configure(client, project, "worklist", document)


def _configure(client: httpx.Client, project: str, path: str, document: dict[str, Any]) -> None:
    where = f"/data/projects/{project}/config/overread/{path}"
    client.put(where, params={"inbody": "true"}, content=json.dumps(document)).raise_for_status()


def _archive(client: httpx.Client, project: str, code: str, datasets: Sequence[Dataset]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, ds in enumerate(datasets):
            one = io.BytesIO()
            ds.save_as(one, enforce_file_format=True)
            archive.writestr(f"{number}.dcm", one.getvalue())
    place = f"/archive/projects/{project}/subjects/{code}/experiments/{code}"
    query = {"import-handler": "DICOM-zip", "dest": place, "inbody": "true"}
    kind = {"content-type": "application/zip"}
    client.post("/data/services/import", params=query, content=buffer.getvalue(), headers=kind).raise_for_status()


def _add_mask(client: httpx.Client, project: str, code: str, seg: Dataset) -> None:
    listed = client.get(f"/data/projects/{project}/experiments", params={"columns": "ID,label", "label": code})
    (row,) = listed.raise_for_status().json()["ResultSet"]["Result"]
    buffer = io.BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    where = f"/xapi/roi/projects/{project}/sessions/{row['ID']}/collections/{code}_SEG"
    kind = {"content-type": "application/octet-stream"}
    client.put(where, params={"type": "SEG"}, content=buffer.getvalue(), headers=kind).raise_for_status()


def _add_findings(client: httpx.Client, project: str, code: str) -> None:
    place = f"/data/projects/{project}/subjects/{code}/experiments/{code}/assessors/{code}_RESULT"
    client.put(place, params={"xsiType": "xnat:qcAssessmentData"}).raise_for_status()
    found = [
        {"name": "hip", "side": side, "class": "fracture" if side == "left" else "no-fracture", "confidence": 0.91,
         "box": {"sop_instance_uid": uid_from(code, 1), "x": at[0], "y": at[1], "width": BOX_PX, "height": BOX_PX}}
        for side, at in SIDES.items()
    ]  # fmt: skip
    where = f"{place}/resources/FINDINGS/files/findings.json"
    body = json.dumps({"findings": found})
    client.put(where, params={"inbody": "true"}, content=body).raise_for_status()


def mask_volume_ml() -> float:
    """Return the volume of the mask that the third reader corrects."""
    return mask_case().volume_ml


def mask_case(code: str = MASK_CODE) -> PhantomCase:
    """Return the exam that the third reader gets, under one of two codes."""
    return make_case(
        (24, 96, 96), (3.0, 1.0, 1.0), seed=5 + (code != MASK_CODE),
        lesions=[Sphere(centre=(12, 48, 48), radius_mm=15)],
        study_date="20260101", patient_id=code, patient_name=code, accession_number="",
    )  # fmt: skip
