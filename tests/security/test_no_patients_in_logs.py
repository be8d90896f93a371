"""An exam with a telling name goes all the way, well and badly: nothing that is logged or named knows of it.

The hub is a process of its own that logs all that it can, its receiver's processes included.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from helpers.arrivals import MR_IMAGE, ROUTING, associate, file_bytes, send_bytes, wait_until
from helpers.ports import free_port
from helpers.runs import document
from overread.synthetic.phantoms import make_case

NAME, BIRTH_DATE, ACCESSION = "ZEBRASTRIPE^QUUX", "19231117", "ACCNO7341"
TELLING = re.compile(rb"zebrastripe|quux|19231117|1923-11-17|accno7341", re.IGNORECASE)
ADMIN = ("admin", "password-of-the-test")


@contextmanager
def serving(folder: Path) -> Iterator[httpx.Client]:
    port = free_port()
    words = [sys.executable, "-m", "overread", "hub", "serve", "--home", str(folder / "home"), "--port", str(port),
             "--dicom-port", "0", "--verbose"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, env={**os.environ, "OVERREAD_ADMIN_PASSWORD": ADMIN[1]}
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=ADMIN, timeout=60) as client:
            wait_until(lambda: _answers(client), timeout_s=90, look_every_s=0.1)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def telling_exam(seed: int, **header: Any) -> list[Dataset]:
    images = make_case((2, 16, 20), seed=seed, patient_name=NAME, **header).datasets
    for image in images:
        image.PatientBirthDate, image.AccessionNumber = BIRTH_DATE, ACCESSION
        image.PatientID = f"SUBJECT{seed}"
    return list(images)


@pytest.mark.slow
def test_nothing_of_a_patient_is_logged(tmp_path: Path) -> None:
    with serving(tmp_path) as admin:
        told = [_arrive(admin), _work(admin), _mistakes(admin)]
    log = (tmp_path / "log").read_bytes()
    assert b"DEBUG" in log, "this log would show little"
    assert b"archived study" in log or b"stays in the prearchive" in log or b"refused an object" in log
    lines = [line for line in log.splitlines() if TELLING.search(line)]
    assert lines == []
    names = [str(path.relative_to(tmp_path)) for path in (tmp_path / "home").rglob("*")]
    assert len(names) > 20
    assert [name for name in names if TELLING.search(name.encode())] == []
    for answer in (one for several in told for one in several):
        assert not TELLING.search(answer.content), (
            f"{answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
        )


def _arrive(admin: httpx.Client) -> list[httpx.Response]:
    """Send a good exam, one that contradicts it, and what is no DICOM; archive what can be."""
    port = free_port()
    assert admin.put("/data/projects/BTS").status_code == 200
    receiver = {"aeTitle": "BTS", "port": port, **ROUTING}
    assert admin.post("/xapi/dicomscp", json=receiver).status_code == 200
    association = associate(port)
    assert association.is_established
    good = telling_exam(1)
    for image in good:
        assert association.send_c_store(image).Status == 0
    broken = file_bytes(good[0])[132:]  # names, and no way to read them
    send_bytes(association, broken, sop_class=MR_IMAGE, sop_instance="1.2.3")
    strange = telling_exam(2)[0]
    strange.StudyInstanceUID = "not a uid"
    association.send_c_store(strange)
    association.release()
    waiting = wait_until(
        lambda: admin.get("/data/prearchive/projects/BTS?format=json").json()["ResultSet"]["Result"], timeout_s=60
    )
    (url,) = {row["url"] for row in waiting}
    archived = admin.post("/data/services/archive", params={"src": url})
    assert archived.status_code in {200, 301}, archived.text
    return [archived, admin.get("/xapi/overread/audit"), admin.get("/metrics")]


def _work(admin: httpx.Client) -> list[httpx.Response]:
    """Launch what can't run, on the archived exam."""
    rows = admin.get("/data/projects/BTS/experiments?format=json").json()["ResultSet"]["Result"]
    session = rows[0]["ID"]
    number = admin.post("/xapi/commands", json=document()).text
    (wrapper,) = [one["id"] for one in admin.get(f"/xapi/commands/{number}").json()["xnat"]]
    for path in (f"/xapi/wrappers/{wrapper}/enabled", f"/xapi/projects/BTS/wrappers/{wrapper}/enabled"):
        assert admin.put(path).status_code == 200
    body = {"session": f"/archive/experiments/{session}"}
    launched = admin.post(f"/xapi/projects/BTS/wrappers/{wrapper}/root/session/launch", json=body)
    assert launched.status_code == 200, launched.text
    wait_until(
        lambda: admin.get("/xapi/containers").json()[0]["status"].startswith("Failed"), timeout_s=60, look_every_s=0.2
    )
    return [launched, admin.get("/xapi/containers"), admin.get("/xapi/overread/runs")]


def _mistakes(admin: httpx.Client) -> list[httpx.Response]:
    """Make every kind of mistake with objects of this patient, and ask by the name."""
    content = file_bytes(telling_exam(3)[0])
    parts = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + content[:-200] + b"\r\n--B--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=B'
    cut = [
        admin.post("/data/services/import", params={"PROJECT_ID": "BTS", "import-handler": "gradual-DICOM"},
                   content=content[:700], headers={"content-type": "application/dicom"}),
        admin.post("/xapi/dicomweb/projects/BTS/studies", content=parts, headers={"content-type": kind}),
        admin.post("/data/services/import", params={"dest": "/archive/projects/BTS"}, content=content,
                   headers={"content-type": "application/zip"}),
    ]  # fmt: skip
    # What the caller asked for by name may be repeated to the caller, not to the log.
    for path, query in (
        (f"/data/projects/BTS/subjects/{NAME}", {}),
        ("/data/projects/BTS/experiments", {"xnat:subjectData/dob": BIRTH_DATE, "columns": NAME}),
        ("/xapi/dicomweb/projects/BTS/studies", {"PatientName": NAME, "AccessionNumber": ACCESSION}),
        (f"/overread/open?accession={ACCESSION}", {}),
        (f"/viewer/{NAME}", {}),
    ):
        admin.get(path, params=query)
    admin.put("/data/services/auth", data={"username": NAME, "password": ACCESSION})
    admin.put(f"/data/projects/BTS/subjects/S/experiments/E?xnat:mrSessionData/{NAME}={BIRTH_DATE}")
    trail = admin.get("/xapi/overread/audit", params={"format": "csv"})
    return [*cut, trail, admin.get("/metrics"), admin.get("/readyz")]
