"""Correcting a mask: a crash of the browser, two readers at once, what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect

from e2e.conftest import Browsers
from helpers.review_room import OTHER, PASSWORD, SECOND, Exam, Room, start_room

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    running = start_room(tmp_path_factory.mktemp("correcting"), exams=(OTHER, SECOND))
    yield running
    running.hub.stop()


def open_for_editing(room: Room, page: Page, exam: Exam, login: str) -> Frame:
    """Open an exam and wait until its mask lies on the images; return the viewer's frame."""
    page.goto(f"{room.url}/overread/review?project=BTS&experiment={room.session(exam)}")
    page.locator("input[name=password], main.review").first.wait_for()
    if page.locator("input[name=password]").count():
        page.locator("input[name=username]").fill(login)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    expect(frame.locator('[data-cy="data-row"]').first).to_be_visible(timeout=60_000)
    return frame


def paint(page: Page, frame: Frame, *, at: float = 0.6) -> None:
    """Draw a stroke with the brush beside the lesion."""
    box = frame.locator('[data-cy="viewport-pane"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * at, box["y"] + box["height"] * at
    page.mouse.click(x, y)
    page.keyboard.press("e")
    page.wait_for_timeout(300)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(6):
        page.mouse.move(x + 6 * step, y + 4 * step)
        page.wait_for_timeout(30)
    page.mouse.up()
    expect(page.locator("#save-status")).to_contain_text("not saved")


def kept(page: Page) -> int:
    """Return how many voxels the mask has that this browser keeps."""
    return int(
        page.evaluate(
            """() => new Promise((done) => {
              const asked = indexedDB.open("overread", 1);
              asked.onupgradeneeded = () => asked.result.createObjectStore("masks");
              asked.onsuccess = () => {
                const all = asked.result.transaction("masks").objectStore("masks").getAll();
                all.onsuccess = () => {
                  asked.result.close();
                  const slices = all.result.flatMap((each) => each.draft.slices);
                  done(slices.reduce((sum, slice) => sum + slice.values.filter((value) => value !== 0).length, 0));
                };
              };
            })"""
        )
    )


def volume_ml(page: Page) -> float:
    """Return what the page says it measured."""
    expect(page.locator("#save-status")).to_contain_text("Saved and measured", timeout=60_000)
    text = page.locator("#save-status").inner_text()
    return float(text.partition("measured: ")[2].partition(" mL")[0])


def test_an_unsaved_mask_outlives_the_browser(room: Room, browsers: Browsers, pictures: Path) -> None:
    page = browsers.page("crash")
    frame = open_for_editing(room, page, OTHER, "reader")
    paint(page, frame)
    while kept(page) == 0:
        page.wait_for_timeout(100)
    drawn = kept(page)
    browsers.kill("crash")

    page = browsers.page("crash")
    frame = open_for_editing(room, page, OTHER, "reader")
    expect(page.locator("#resume-offer")).to_contain_text("did not save is kept")
    page.screenshot(path=pictures / "correcting-offer.png")
    page.locator("#resume").click()
    expect(page.locator("#save-status")).to_contain_text("not saved", timeout=120_000)
    page.wait_for_timeout(1500)
    assert kept(page) == drawn, "what is on screen is what was drawn"
    page.screenshot(path=pictures / "correcting-resumed.png")
    page.locator("#save").click()
    volume_ml(page)
    expect(page.locator("#comparison")).to_contain_text("+")
    assert kept(page) == 0, "what is saved is not kept any more"

    # What the correction changed, in a picture.
    page.locator("#difference").click()
    picture = page.locator("dialog.difference img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")
    page.screenshot(path=pictures / "correcting-difference.png")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator("main.review")).to_be_visible()
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)
    expect(page.locator("#resume-offer")).to_be_hidden()


def test_two_readers_at_once_lose_nothing(room: Room, browsers: Browsers, pictures: Path) -> None:
    first, second = browsers.page("first"), browsers.page("second")
    frames = [open_for_editing(room, first, SECOND, "reader"), open_for_editing(room, second, SECOND, "second")]
    paint(first, frames[0])
    paint(second, frames[1], at=0.4)
    first.locator("#save").click()
    ours = volume_ml(first)
    second.locator("#save").click()
    theirs = volume_ml(second)
    expect(second.locator("#save-status")).to_contain_text("reader saved a version meanwhile")
    second.screenshot(path=pictures / "correcting-two.png")
    results = room.rows(
        "/data/experiments",
        xsiType="braintumor:resultData",
        session_ID=room.session(SECOND),
        columns="ID,braintumor:resultData/origin,braintumor:resultData/reader,braintumor:resultData/lesion_volume_ml",
    )
    stored = {
        row["braintumor:resultdata/reader"]: float(row["braintumor:resultdata/lesion_volume_ml"])
        for row in results
        if row["braintumor:resultdata/origin"] == "edited"
    }
    assert stored == {"reader": pytest.approx(ours, abs=0.01), "second": pytest.approx(theirs, abs=0.01)}
    assert sum(row["braintumor:resultdata/origin"] == "ai" for row in results) == 1
