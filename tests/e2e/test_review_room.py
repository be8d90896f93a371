"""The review room as a reader uses it, on phantoms: longitudinal view, form, corrections (`helpers.review_room`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from pydicom import dcmread

from helpers.requirements import REPOSITORY
from helpers.review_room import FIRST, LAST, OTHER, PASSWORD, SECOND, UNPROCESSED, Exam, Room, start_room

expect.set_options(timeout=30_000)
AXE = REPOSITORY / "xnat-plugins/core/web/node_modules/axe-core/axe.min.js"

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One hub for all tests of this file."""
    running = start_room(tmp_path_factory.mktemp("room"))
    yield running
    running.hub.stop()


def open_review(room: Room, page: Page, exam: Exam, *, login: str = "reader", viewer: bool = False) -> None:
    """Open an exam's review as this reader; without `viewer` the frame stays empty, which saves seconds."""
    if not viewer:
        page.route("**/viewer/**", lambda route: route.abort())
        page.route("**/VIEWER?**", lambda route: route.abort())
    page.goto(f"{room.url}/overread/review?project=BTS&experiment={room.session(exam)}")
    page.locator("input[name=password], main.review").first.wait_for()
    if page.locator("input[name=password]").count():
        page.locator("input[name=username]").fill(login)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()
    expect(page.locator("main.review")).to_be_visible()


def verdicts(page: Page) -> dict[str, str]:
    """Return what the table says of each exam's value that counts."""
    rows = page.locator("table.volumes tbody tr.followed").all()
    return {row.locator("th").inner_text(): row.get_attribute("data-verdict") or "" for row in rows}


def test_a_patient_is_followed_over_exams_lesions_and_versions(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, LAST)
    expect(page.locator("table.lesions")).to_be_visible()
    # The value of the older version stands there, and is compared with nothing.
    assert verdicts(page) == {
        "2023-07-10": "other-model",
        "2024-01-10": "baseline",
        "2024-07-10": "stable",
        "2025-01-10": "progression",
    }
    # Each lesion has its own line, and they add up to the total.
    lines = [row.locator("td.number").all_inner_texts() for row in page.locator("table.lesions tbody tr").all()]
    assert len(lines) == 3
    for first, second, total in zip(*(line[:3] for line in lines), strict=True):
        assert float(first) + float(second) == pytest.approx(float(total), abs=0.02)
    expect(page.locator("svg.plot polyline.lesion")).to_have_count(2)

    # A baseline of one's own choice, and another threshold, stay over a reload and lead on to the other exams.
    page.locator("#baseline").select_option(label="2024-07-10")
    page.locator("#threshold").fill("120")
    assert verdicts(page)["2025-01-10"] == "increase"
    page.reload()
    expect(page.locator("#threshold")).to_have_value("120")
    assert verdicts(page) == {
        "2023-07-10": "other-model", "2024-01-10": "before", "2024-07-10": "baseline", "2025-01-10": "increase",
    }  # fmt: skip
    link = page.locator("table.volumes tbody a").first.get_attribute("href") or ""
    assert "threshold=120" in link
    page.locator("#model").select_option("brain-tumor-segmentation 1.0.0")
    assert set(verdicts(page).values()) == {"other-model"}  # the chosen baseline is of the other version
    page.screenshot(path=pictures / "room-versions.png")


def test_a_prior_without_value_is_processed_from_the_page(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, SECOND)
    items = page.locator(".priors li")
    expect(items).to_have_count(2)
    expect(items.nth(1)).to_contain_text("only brain-tumor-segmentation 1.0.0")
    page.screenshot(path=pictures / "room-priors.png", full_page=True)
    page.get_by_role("button", name="Process the exam of 2023-01-10").click()
    expect(page.locator("table.volumes tbody a", has_text="2023-01-10")).to_be_visible()
    expect(items).to_have_count(1)
    assert verdicts(page)["2023-01-10"] == "baseline"
    assert len(room.rows(f"/data/experiments/{room.session(UNPROCESSED)}/assessors")) == 2  # result and mask


def test_surgery_is_marked_for_everybody(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, LAST)
    page.locator("details.dates summary").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".dates .status")).to_contain_text("Give the date")
    page.locator("#mark-date").fill("2024-09-01")
    page.locator("#mark-note").fill("<b>resection</b>")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".dates .status")).to_contain_text("Saved")
    expect(page.locator("svg.plot .event")).to_have_count(1)
    expect(page.locator(".followed .warning")).to_contain_text("surgery on 2024-09-01")
    page.locator("#baseline").select_option(label="2025-01-10")
    expect(page.locator(".followed .warning")).to_have_count(0)
    page.screenshot(path=pictures / "room-surgery.png")
    with room.client() as client:
        (subject,) = [row["ID"] for row in room.rows("/data/projects/BTS/subjects") if row["label"] == LAST.patient]
        fields = client.get(f"/xapi/custom-fields/projects/BTS/subjects/{subject}/fields").raise_for_status().json()
    (mark,) = [value for key, value in fields.items() if key.startswith("overread-mark:")]
    assert mark == {"date": "2024-09-01", "kind": "surgery", "note": "<b>resection</b>", "by": "reader"}
    page.reload()
    page.locator("details.dates summary").click()
    page.locator(".dates li button").click()
    expect(page.locator("svg.plot .event")).to_have_count(0)


def test_table_and_plot_leave_the_page(room: Room, page: Page, pictures: Path, tmp_path: Path) -> None:
    open_review(room, page, FIRST)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    target = tmp_path / "volumes.csv"
    download.value.save_as(target)
    rows = list(csv.DictReader(target.read_text("utf-8-sig").splitlines()))
    totals = [row for row in rows if row["lesion"] == "total"]
    assert {row["exam_date"] for row in totals} >= {"2023-07-10", "2024-01-10", "2024-07-10", "2025-01-10"}
    for exam in {row["exam"] for row in rows if row["lesion"] == "1"}:
        parts = [float(row["volume_ml"]) for row in rows if row["exam"] == exam and row["lesion"] != "total"]
        (total,) = [float(row["volume_ml"]) for row in totals if row["exam"] == exam and row["counts"] == "yes"]
        assert sum(parts) == pytest.approx(total, abs=1e-3)
    assert "Room" not in target.read_text("utf-8"), "an export names no patient"
    page.emulate_media(media="print")
    expect(page.locator(".stage")).to_be_hidden()
    expect(page.locator("table.volumes").first).to_be_visible()
    expect(page.locator(".controls")).to_be_hidden()
    page.screenshot(path=pictures / "room-print.png", full_page=True)


def test_a_normal_case_takes_one_key_and_the_next_one_opens(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, FIRST, login="second")
    expect(page.locator(".keys")).to_be_visible()
    expect(page.locator(".progress")).to_contain_text("0 of ")
    page.keyboard.press("a")
    page.wait_for_url(f"**experiment={room.session(SECOND)}**")
    expect(page.locator(".sent")).to_contain_text("The answer to the exam of 2024-01-10 was sent")
    expect(page.locator(".progress")).to_contain_text("1 of ")
    page.screenshot(path=pictures / "room-next.png")

    # What is not known is asked for; keys in a field are text.
    page.keyboard.press("r")
    why = page.get_by_label("Why is it not usable?")
    expect(why).to_be_focused()
    page.keyboard.type("an area near the scar")
    expect(page.locator(".feedback .status")).to_contain_text("kept as a draft")
    page.reload()
    expect(why).to_have_value("an area near the scar")
    expect(page.get_by_label("1 useless")).to_be_checked()
    page.get_by_role("button", name="Send answer").click()
    expect(page.locator(".feedback .status")).to_contain_text("Answered on")
    page.get_by_label("2 poor").check()
    page.get_by_role("button", name="Send changed answer").click()
    expect(page.locator(".feedback .status")).to_contain_text("1 former version kept")

    with room.client() as client:
        url = "/xapi/overread/projects/BTS/answers"
        answers = client.get(url).raise_for_status().json()["answers"]
        mine = [answer for answer in answers if answer["reader"] == "second"]
        assert [(a["exam_date"], a["version"], a["current"], a["data"]["mask_rating"]) for a in mine] == [
            ("2024-01-10", 1, True, "5"), ("2024-07-10", 1, False, "1"), ("2024-07-10", 2, True, "2"),
        ]  # fmt: skip
        assert all(a["started_at"] and 0 <= a["active_s"] < 600 and a["edit_s"] == 0 for a in mine)
        sheet = list(csv.DictReader(client.get(url, params={"format": "csv"}).text.splitlines()))
    assert [row["answer.mask_rating"] for row in sheet if row["reader"] == "second"] == ["5", "1", "2"]


def test_a_correction_is_measured_compared_and_completes_the_form(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, OTHER, viewer=True)
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    expect(frame.locator('[data-cy="data-row"]').first).to_be_visible(timeout=60_000)
    box = frame.locator('[data-cy="viewport-pane"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6
    page.mouse.click(x, y)  # the picture has the focus, and the page's keys still work
    page.keyboard.press("e")
    page.wait_for_timeout(300)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(6):
        page.mouse.move(x + 6 * step, y + 4 * step)
        page.wait_for_timeout(30)
    page.mouse.up()
    expect(page.locator("#save-status")).to_contain_text("not saved")
    page.locator("#save").click()
    expect(page.locator("#save-status")).to_contain_text("Saved and measured", timeout=60_000)
    expect(page.locator("#comparison")).to_contain_text("Dice 0.")
    expect(page.get_by_label("3 needs correction")).to_be_checked()
    page.screenshot(path=pictures / "room-corrected.png")

    # The reader may also say that there is nothing; the AI's mask and the correction stay.
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#nothing").click()
    expect(page.locator("#save-status")).to_contain_text("Saved and measured: 0.00 mL", timeout=60_000)
    expect(page.locator("#mask option")).to_have_count(4)  # two corrections, the AI's, none
    expect(page.locator("#comparison")).to_contain_text("Dice 0.000")
    page.screenshot(path=pictures / "room-nothing.png")


def test_a_report_is_a_new_scan_each_time(room: Room, page: Page, pictures: Path) -> None:
    open_review(room, page, SECOND)
    scans = f"/data/experiments/{room.session(SECOND)}/scans"
    for count in (1, 2):
        page.locator("#report").click()
        expect(page.locator("#report-status")).not_to_contain_text("stored")
        expect(page.locator("#report-status")).to_contain_text("stored as a new scan", timeout=60_000)
        reports = {row["ID"] for row in room.rows(scans) if row["type"] == "AI report"}
        assert len(reports) == count, "none takes the place of another"
    name = sorted(reports)[-1]
    with room.client() as client:
        (row,) = room.rows(f"{scans}/{name}/resources/DICOM/files")
        capture = dcmread(BytesIO(client.get(row["URI"]).raise_for_status().content))
    assert (capture.Rows, capture.Columns, capture.SOPClassUID.name) == (1024, 1024, "Secondary Capture Image Storage")
    Image.fromarray(capture.pixel_array).save(pictures / "room-report.png")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_is_accessible_in_both_themes_and_languages(
    room: Room, page: Page, pictures: Path, theme: str
) -> None:
    open_review(room, page, LAST)
    page.locator("#theme").select_option(theme)
    page.locator("details.dates summary").click()
    assert _violations(page) == []
    for width, height in ((1280, 800), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider == 0, f"at {width} x {height} the page is {wider} pixels too wide"
        header = page.locator("header.top").bounding_box()
        assert header is not None
        assert header["height"] < 0.13 * height, "the header leaves the room to the images"
        page.screenshot(path=pictures / f"room-{theme}-{width}.png")
    if theme == "light":
        page.set_viewport_size({"width": 1280, "height": 800})
        page.locator("#language").select_option("de")
        expect(page.locator("h2", has_text="Volumen im Verlauf")).to_be_visible()
        assert _violations(page) == []
        page.screenshot(path=pictures / "room-german.png")


def _violations(page: Page) -> list[str]:
    """Return what axe-core finds against WCAG 2.1 A and AA on the page, the viewer's frame left out."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate(
        "axe.run({exclude: ['iframe']}, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], iframes: false})"
        ".then(result => result.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', ')))"
    )
    return [str(each) for each in found]
