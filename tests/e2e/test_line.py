"""The whole line as its people go it: DICOM in, volume out, seen in a browser, corrected in OHIF, answered."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Frame, Page, expect

from e2e.conftest import Line

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins", "storescu")]

RESULT = "braintumor:resultData"
COLUMN = RESULT.lower()  # XNAT names columns asked for by their path in lower case


def test_measured_volumes_are_true(line: Line) -> None:
    exams = line.summary["exams"]
    assert len(exams) == 6
    assert "sent by dcmtk storescu" in line.said
    for exam in exams:
        assert exam["status"] == "Complete", exam
        true = exam["truth"]["lesion_volume_ml"]
        assert abs(exam["measured"]["lesion_volume_ml"] - true) <= max(0.08 * true, 0.5), exam
        assert exam["s_last_image_to_result"] >= exam["s_last_image_to_start"] >= 0, exam
    assert line.summary["ok"] is True
    # One patient is followed over five exams, of which one crosses the threshold; the other has no lesion.
    followed = [exam["truth"]["lesion_volume_ml"] for exam in exams if exam["patient"] == exams[0]["patient"]]
    assert len(followed) == 5
    assert sum(volume >= 1.4 * followed[0] for volume in followed) == 1
    assert [exam["truth"]["lesion_volume_ml"] for exam in exams if exam["patient"] != exams[0]["patient"]] == [0.0]


def test_every_exam_ran_once(line: Line) -> None:
    with line.client() as client:
        runs = client.get("/xapi/projects/BTS/containers").raise_for_status().json()
    sessions = [
        entry["value"]
        for run in runs
        for entry in run["inputs"]
        if (entry["type"], entry["name"]) == ("wrapper-external", "session")
    ]
    assert len(sessions) == len(set(sessions)) >= 6  # other tests may have sent more


def test_a_clinician_sees_corrects_and_answers(line: Line, page: Page, pictures: Path) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    _open_by_button(line, page, pictures, kind="uid")

    # Five points over time, the last one red: +40 % from the first.
    rows = page.locator("table.volumes tbody tr")
    expect(rows).to_have_count(5)
    expect(page.locator("table.volumes tr.crossed")).to_have_count(1)
    expect(rows.nth(4)).to_have_class(re.compile("crossed"))
    expect(page.locator("svg.plot a.mark")).to_have_count(5)
    expect(page.locator("[data-fact=model]")).to_contain_text("brain-tumor-segmentation 1.1.0")
    page.locator("#threshold").fill("60")
    expect(page.locator("table.volumes tr.crossed")).to_have_count(0)
    page.locator("#threshold").fill("40")
    expect(page.locator("table.volumes tr.crossed")).to_have_count(1)
    before = rows.nth(4).inner_text()

    frame = _viewer(page)
    expect(frame.locator('[data-cy="data-row"]').first).to_be_visible()
    page.screenshot(path=pictures / "review-mask.png")
    _paint(page, frame)
    expect(page.locator("#save-status")).to_contain_text("not saved")
    page.screenshot(path=pictures / "review-painted.png")
    page.locator("#save").click()

    # The new volume comes by itself, beside the AI's, which stays as it was.
    expect(rows).to_have_count(6, timeout=180_000)
    edited = page.locator("table.volumes tbody tr", has_text="reader")
    expect(edited).to_have_count(1)
    ai = page.locator(f"tr[data-result={_result(line, origin='ai')['ID']}]")
    assert re.findall(r"\d+\.\d+", ai.inner_text())[0] == re.findall(r"\d+\.\d+", before)[0]
    page.screenshot(path=pictures / "review-edited.png", full_page=True)

    _answer(page)
    page.screenshot(path=pictures / "review-answered.png", full_page=True)
    page.reload()
    expect(page.locator("form.feedback")).to_contain_text("Answered on", timeout=60_000)
    expect(page.get_by_label("4 good")).to_be_checked()
    assert hosts == {line.url.split("/")[2]}, "pages may call nobody but their own server"

    result = _result(line, origin="ai")
    with line.client() as client:
        fields = client.get(
            f"/xapi/custom-fields/experiments/{result['session_ID']}/assessors/{result['ID']}/fields"
        ).json()
    (answer,) = [value for key, value in fields.items() if key.startswith("answer:") and key.endswith(":reader")]
    assert answer["data"]["mask_rating"] == "4"
    assert answer["data"]["unusable_reason"] == "Motion in the upper slices."


def test_the_recalculated_volume_is_that_of_the_stored_voxels(line: Line) -> None:
    edited = _result(line, origin="edited")
    with line.client() as client:
        files = line.rows(f"/data/experiments/{_collection_id(line, edited)}/files")
        (uri,) = [row["URI"] for row in files if row["collection"] == "SEG"]
        seg = pydicom.dcmread(io.BytesIO(client.get(uri).raise_for_status().content))
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    spacing = [float(each) for each in (*measures.PixelSpacing, measures.SpacingBetweenSlices)]
    voxels = np.count_nonzero(seg.pixel_array)
    assert float(edited[f"{COLUMN}/lesion_volume_ml"]) == pytest.approx(voxels * np.prod(spacing) / 1000, rel=1e-6)
    assert str(seg.ContentCreatorName)
    assert seg.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_a_number_for_a_button_is_enough(line: Line, page: Page, pictures: Path) -> None:
    _open_by_button(line, page, pictures, kind="accession")
    assert "accession" not in page.url


def test_an_exam_without_lesion_has_a_page(line: Line, page: Page, pictures: Path) -> None:
    healthy = line.summary["exams"][-1]
    (session,) = line.rows("/data/projects/BTS/experiments", columns="ID,date", date="01/21/2025")
    assert session["date"] == healthy["date"]
    _log_in(line, page, f"{line.url}/overread/review?project=BTS&experiment={session['ID']}", pictures)
    expect(page.locator("table.volumes tbody tr")).to_have_count(1)
    expect(page.locator("table.volumes tbody tr")).to_contain_text("0.00")
    _viewer(page)  # an exam without mask opens in the viewer all the same
    expect(page.locator("form.feedback")).to_be_visible()
    page.screenshot(path=pictures / "review-no-lesion.png")


def test_wrong_buttons_say_what_is_wrong(line: Line, page: Page, pictures: Path) -> None:
    _log_in(line, page, f"{line.url}/overread/open?study=no-such-study&uid=1.2.3", pictures)
    expect(page.locator("#app")).to_contain_text("Unknown study")
    page.goto(f"{line.url}/overread/open?study=brain-tumor&uid=1.2.3")
    expect(page.locator("#app")).to_contain_text("not here yet")
    page.goto(f"{line.url}/overread/open?study=brain-tumor&uid=<script>")
    expect(page.locator("#app")).to_contain_text("Which exam?")


def test_a_wrong_password_is_told(line: Line, page: Page, pictures: Path) -> None:
    page.goto(line.button("uid"))
    page.locator("input[name=username]").fill("reader")
    page.locator("input[name=password]").fill("wrong")
    page.locator("button[type=submit], input[type=submit]").click()
    expect(page.locator("body")).to_contain_text(re.compile("wrong|incorrect|failed", re.IGNORECASE))
    page.screenshot(path=pictures / "login-wrong.png")


def _log_in(line: Line, page: Page, url: str, pictures: Path) -> None:
    page.goto(url)
    expect(page.locator("input[name=password]")).to_be_visible()
    page.screenshot(path=pictures / "login.png")
    page.locator("input[name=username]").fill("reader")
    page.locator("input[name=password]").fill(line.password("reader"))
    page.locator("button[type=submit], input[type=submit]").click()


def _open_by_button(line: Line, page: Page, pictures: Path, *, kind: str) -> None:
    _log_in(line, page, line.button(kind), pictures)
    page.wait_for_url("**/overread/review**")
    expect(page.locator("table.volumes")).to_be_visible()


def _viewer(page: Page) -> Frame:
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)  # the viewer says when it is ready
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    return frame


def _paint(page: Page, frame: Frame) -> None:
    """Paint a stroke with the brush beside the middle of the picture."""
    frame.locator('[data-cy="data-row"]').first.click()
    frame.locator('[data-cy="Brush-btn"]').click()
    box = frame.locator('[data-cy="viewport-pane"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(8):
        page.mouse.move(x + 6 * step, y + 3 * step)
        page.wait_for_timeout(30)
    page.mouse.up()


def _answer(page: Page) -> None:
    form = page.locator("form.feedback")
    expect(form.get_by_label("3 needs correction")).to_be_checked()  # by itself: the mask was corrected
    form.get_by_label("4 good").check()
    form.get_by_label("agree", exact=True).check()
    form.get_by_label("yes", exact=True).check()
    expect(form.get_by_label("Why is it not usable?")).to_be_hidden()
    form.get_by_label("no", exact=True).check()
    form.get_by_role("button").click()
    expect(form).to_contain_text("missing")  # nothing is sent as long as required answers lack
    form.get_by_label("Why is it not usable?").fill("Motion in the upper slices.")
    form.get_by_label("Anything else").fill("<img src=x onerror=alert(1)>")
    form.get_by_role("button").click()
    expect(form).to_contain_text("Answered on")


def _result(line: Line, *, origin: str) -> dict[str, str]:
    """The newest exam's result of this origin."""
    columns = f"ID,label,date,session_ID,{RESULT}/origin,{RESULT}/lesion_volume_ml,{RESULT}/collection"
    rows = line.rows("/data/experiments", project="BTS", xsiType=RESULT, columns=columns)
    newest = max(exam["date"] for exam in line.summary["exams"][:5])
    (row,) = [row for row in rows if row["date"] == newest and row[f"{COLUMN}/origin"] == origin]
    return row


def _collection_id(line: Line, result: dict[str, str]) -> str:
    rows = line.rows("/data/experiments", project="BTS", xsiType="icr:roiCollectionData", columns="ID,label")
    (found,) = [row["ID"] for row in rows if row["label"] == result[f"{COLUMN}/collection"]]
    return found
