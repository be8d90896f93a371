"""Bad input on the whole line: a clear answer, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from e2e.conftest import Line
from helpers.arrivals import wait_until
from overread.cli.demo_line import send
from overread.synthetic.exams import PlannedExam
from overread.synthetic.mr import uid_from

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins", "storescu")]

RESULT = "braintumor:resultData"
COLUMN = RESULT.lower()  # XNAT names columns asked for by their path in lower case
HOSTILE = "<script>alert(1)</script>^<b>bold</b>"  # no "=": it parts a name's writings (PS3.5 6.2.1)
EXAM = PlannedExam(patient_id="OVR-0666", study_date="20250303", accession_number="OVR666", lesion_ml=5.0, seed=666)


def _wait_for_result(line: Line, study_instance_uid: str) -> dict[str, str]:
    columns = f"ID,session_ID,{RESULT}/status,{RESULT}/reason,{RESULT}/lesion_volume_ml"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        sessions = {row["ID"] for row in line.rows("/data/experiments", columns="ID", UID=study_instance_uid)}
        rows = line.rows("/data/experiments", project="BTS", xsiType=RESULT, columns=columns)
        found = [row for row in rows if row["session_ID"] in sessions]
        if found:
            return found[0]
        time.sleep(1)
    pytest.fail(f"no result for {study_instance_uid}")


def test_an_exam_without_flair_waits_and_then_says_why(line: Line, tmp_path: Path) -> None:
    exam = replace(EXAM, patient_id="OVR-0667", study_instance_uid=uid_from("no flair"))
    for ds in exam.datasets():
        if "FLAIR" not in ds.SeriesDescription:
            target = tmp_path / f"{ds.SOPInstanceUID}.dcm"
            ds.save_as(target, enforce_file_format=True)
    send(tmp_path, ae_title="BTS", port=line.dicom_port)

    def in_the_prearchive() -> list[dict[str, str]]:
        return [row for row in line.rows("/data/prearchive/projects/BTS") if row["tag"] == exam.uid]

    (waiting,) = wait_until(in_the_prearchive)  # acknowledged objects are filed a moment later
    assert waiting["status"] == "RECEIVING"
    with line.client() as client:
        path = f"/data{waiting['url']}"
        answer = client.post(path, params={"action": "commit", "auto-archive": "true"}, follow_redirects=False)
        assert answer.status_code == 301, answer.text
    result = _wait_for_result(line, exam.uid)
    assert result[f"{COLUMN}/status"] == "not-applicable"
    assert "flair" in result[f"{COLUMN}/reason"].lower()


def test_a_script_in_a_name_is_only_text(line: Line, page: Page, tmp_path: Path, pictures: Path) -> None:
    exam = replace(EXAM, patient_name=HOSTILE, study_instance_uid=uid_from("hostile"))
    exam.write(tmp_path / "exam")
    send(tmp_path / "exam", ae_title="BTS", port=line.dicom_port)
    result = _wait_for_result(line, exam.uid)
    assert abs(float(result[f"{COLUMN}/lesion_volume_ml"]) - exam.truth_ml) <= max(0.08 * exam.truth_ml, 0.5)
    shown: list[str] = []

    def note(dialog: Dialog) -> None:
        shown.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.goto(f"{line.url}/overread/open?study=brain-tumor&uid={exam.uid}")
    page.locator("input[name=username]").fill("reader")
    page.locator("input[name=password]").fill(line.password("reader"))
    page.locator("button[type=submit], input[type=submit]").click()
    expect(page.locator("[data-fact=patient]")).to_contain_text("<script>alert(1)</script>, <b>bold</b>")
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)
    page.screenshot(path=pictures / "review-hostile-name.png")
    assert shown == []


def test_logs_name_no_patient(line: Line) -> None:
    log = (line.folder / "home" / "hub.log").read_text(errors="replace")
    for secret in ("Synthetic", "OVR20", "OVR-0001", "19810604", "OVR666"):
        assert secret not in log, f"{secret!r} stands in the hub's log"


def test_truncated_files_are_told(tmp_path: Path) -> None:
    files = replace(EXAM, study_instance_uid=uid_from("truncated")).write(tmp_path / "in")
    for path in files:
        os.truncate(path, path.stat().st_size * 2 // 3)
    command = [sys.executable, "-m", "overread", "run", "containers/brain-tumor-segmentation"]
    done = subprocess.run(
        [*command, str(tmp_path / "in"), str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode != 0 or "not-applicable" in (tmp_path / "out" / "result.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "admin"], "password"),
        (["--user", "nobody"], "password"),
    ],
)
def test_a_refused_login_is_one_line(line: Line, arguments: list[str], words: str) -> None:
    manifest = "xnat-plugins/brain-tumor/study.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "overread", "study", "apply", manifest, "--server", line.url, *arguments],
        env={**os.environ, "OVERREAD_PASSWORD": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert words in done.stderr
