"""Correcting a mask: every tool, a crash of the browser, two readers at once, what changed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Frame, Page, expect
from pydicom import dcmread
from pydicom.dataset import Dataset

from e2e.conftest import Browsers
from helpers.review_room import FIRST, OTHER, PASSWORD, SECOND, Exam, Room, start_room
from overread.dicom.seg import decode_seg, predecessor_of

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    running = start_room(tmp_path_factory.mktemp("correcting"), exams=(OTHER, SECOND, FIRST))
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


_MASK = """() => {
  const [{representationData}] = window.services.segmentationService.getSegmentations();
  const counts = {};
  representationData.Labelmap.imageIds.forEach((id, slice) => {
    for (const value of window.cornerstone.cache.getImage(id).voxelManager.getScalarData()) {
      if (value !== 0) (counts[value] ??= {})[slice] = (counts[value][slice] ?? 0) + 1;
    }
  });
  return counts;
}"""


class Tools:
    """OHIF's tools as a hand uses them, and what they leave on screen."""

    def __init__(self, page: Page, frame: Frame) -> None:
        self.page, self.frame = page, frame

    def press(self, name: str) -> None:
        self.frame.locator(f'[data-cy="{name}-btn"]').click()
        self.page.wait_for_timeout(300)

    def stroke(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw from one place to another, in fractions of the picture."""
        box = self.frame.locator('[data-cy="viewport-pane"]').bounding_box()
        assert box is not None
        (x0, y0), (x1, y1) = ((box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end))
        self.page.mouse.move(x0 - 2, y0 - 2)
        self.page.wait_for_timeout(150)
        self.page.mouse.move(x0, y0)
        self.page.wait_for_timeout(150)
        self.page.mouse.down()
        for step in range(1, 7):
            self.page.mouse.move(x0 + (x1 - x0) * step / 6, y0 + (y1 - y0) * step / 6)
            self.page.wait_for_timeout(30)
        self.page.mouse.up()
        self.page.wait_for_timeout(300)

    def scroll(self, slices: int) -> None:
        for _ in range(abs(slices)):
            self.page.mouse.wheel(0, 100 if slices > 0 else -100)
            self.page.wait_for_timeout(300)

    def row(self, number: int, item: str = "") -> None:
        """Choose a segment, or an item of its menu."""
        row = self.frame.locator('[data-cy="data-row"]').nth(number)
        if not item:
            row.click()
        else:
            row.hover()
            row.locator('[data-cy="actionsMenuTrigger"]').click()
            self.frame.get_by_role("menuitem", name=item).click()
        self.page.wait_for_timeout(500)

    def mask(self) -> dict[str, dict[str, int]]:
        """Return voxels on screen, by segment and slice."""
        found: dict[str, dict[str, int]] = self.frame.evaluate(_MASK)
        return found

    def voxels(self, segment: str = "1") -> int:
        return sum(self.mask().get(segment, {}).values())


def collections(room: Room, exam: Exam) -> dict[str, Dataset]:
    """Return the segmentations that are kept of an exam, by label."""
    rows = room.rows("/data/experiments", xsiType="icr:roiCollectionData", session_ID=room.session(exam))
    with room.client() as client:
        found = {row["label"]: client.get(f"/xapi/roi/projects/BTS/collections/{row['label']}") for row in rows}
    return {label: dcmread(io.BytesIO(answer.raise_for_status().content)) for label, answer in found.items()}


def _stack(seg: Dataset, number: int) -> NDArray[np.bool_]:
    return np.stack([*decode_seg(seg).masks[number].values()]) if decode_seg(seg).masks[number] else np.zeros(1, bool)


def test_every_tool_works_and_the_kept_mask_is_sound(room: Room, browsers: Browsers, pictures: Path) -> None:
    ((ai_label, ai),) = collections(room, FIRST).items()
    page = browsers.page("tools")
    frame = open_for_editing(room, page, FIRST, "reader")
    tools = Tools(page, frame)
    page.wait_for_timeout(500)
    before = tools.voxels()
    frame.locator('[data-cy="viewport-pane"]').hover()
    page.wait_for_timeout(200)
    page.keyboard.press("e")
    expect(frame.locator('[data-cy="MarkerLabelmap-btn"]')).to_have_count(0)  # needs a program that is not served

    # Brush, undo, redo, eraser.
    tools.stroke((0.60, 0.60), (0.66, 0.62))
    drawn = tools.voxels()
    assert drawn > before + 50
    tools.press("undo")
    assert tools.voxels() == before
    tools.press("redo")
    assert tools.voxels() == drawn
    tools.press("Eraser")
    tools.stroke((0.60, 0.60), (0.62, 0.60))
    erased = tools.voxels()
    assert before < erased < drawn
    # The threshold brush takes bright voxels only: within the lesion what the eraser took, beside it next to nothing.
    tools.stroke((0.36, 0.44), (0.37, 0.44))
    hole = tools.voxels()
    assert hole < erased
    tools.press("Threshold")
    tools.stroke((0.40, 0.44), (0.36, 0.44))
    assert hole < tools.voxels() <= erased + 30

    # A new lesion: named so that its codes are known; the first one is locked, and keeps what is painted over.
    frame.get_by_text("Add Segment").click()
    expect(frame.locator('[data-cy="data-row"]').nth(1)).to_contain_text("Lesion 2")
    tools.press("Brush")
    first = tools.mask()["1"]
    tools.stroke((0.33, 0.44), (0.44, 0.46))
    assert tools.mask()["1"] == first
    assert tools.voxels("2") > 0
    tools.press("undo")
    assert tools.voxels("2") == 0
    # Drawn on two slices, filled between them; one step for undo.
    tools.stroke((0.70, 0.30), (0.72, 0.32))
    tools.scroll(3)
    tools.stroke((0.70, 0.30), (0.71, 0.31))
    gap = tools.mask()["2"]
    tools.press("InterpolateLabelmap")
    filled = tools.mask()
    assert len(gap) == 2 and len(filled["2"]) == 4  # noqa: PT018 - before and after
    assert filled["1"] == first
    tools.press("undo")
    assert tools.mask()["2"] == gap
    tools.press("redo")
    assert tools.mask() == filled
    page.screenshot(path=pictures / "correcting-tools.png")

    page.locator("#save").click()
    volume_ml(page)
    kept = {label: seg for label, seg in collections(room, FIRST).items() if label != ai_label}
    ((_, seg),) = kept.items()
    (was,), (one, two) = decode_seg(ai).segments, decode_seg(seg).segments
    assert (one.label, one.type, one.tracking_uid, one.algorithm_type) == (
        was.label, was.type, was.tracking_uid, "SEMIAUTOMATIC",
    )  # fmt: skip
    assert (two.label, two.category, two.type, two.algorithm_type) == ("Lesion 2", was.category, was.type, "MANUAL")
    assert two.tracking_uid not in {"", was.tracking_uid}
    assert predecessor_of(seg) == ai.SOPInstanceUID
    voxels = {n: int(masks.sum()) for n, masks in ((n, _stack(seg, n)) for n in (1, 2))}
    assert voxels == {1: sum(filled["1"].values()), 2: sum(filled["2"].values())}
