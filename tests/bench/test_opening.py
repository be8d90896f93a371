"""From the PACS button to the mask, beside plain OHIF on the same exam, and from "save" to the volume on the page.

The images' programs run in this process, so "save" is measured without the start of a container, which has a row of its
own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from bench.conftest import Results
from e2e.conftest import Browsers
from helpers.opening import Opening, open_by_button
from helpers.review_room import FIRST, PASSWORD, Room, start_room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.needs("chromium", "ohif", "plugins")]

ROUNDS: Final = 3


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    running = start_room(tmp_path_factory.mktemp("opening"), exams=(FIRST,))
    yield running
    running.hub.stop()


def test_the_button_the_mask_and_the_measured_correction(room: Room, tmp_path: Path, results: Results) -> None:
    uid = str(FIRST.datasets()[0].StudyInstanceUID)
    found: dict[str, list[dict[str, Any]]] = {"Overread": [], "plain OHIF": []}
    saved_s = []
    with sync_playwright() as playwright:
        for turn in range(ROUNDS):
            for name, costs in found.items():
                browsers = Browsers(playwright, tmp_path / f"{turn}-{name.partition(' ')[0]}")
                page = browsers.page()
                login(room, page)
                if name == "Overread":
                    cost = open_by_button(page, f"{room.url}/overread/open?study=brain-tumor&uid={uid}")
                    costs.append(cost.figures())
                    saved_s.append(correct(page))
                else:
                    costs.append(plain(page, f"{room.url}/viewer/viewer?project=BTS&StudyInstanceUIDs={uid}"))
                browsers.close()
    results["opening"] = found
    results["saved_s"] = saved_s


def login(room: Room, page: Page) -> None:
    page.goto(f"{room.url}/app/template/Login.vm?next=/data/version")
    page.locator("input[name=username]").fill("reader")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()


def plain(page: Page, url: str) -> dict[str, Any]:
    """Open OHIF's own page; its image is there when it is drawn, its mask only after the reader has asked for it."""
    opening = Opening(page)
    page.goto(url, wait_until="commit")
    return opening.until_image(lambda: page.main_frame).figures()


def correct(page: Page) -> float:
    """Paint a stroke and save; return seconds from the click to the volume on the page."""
    expect(page.locator("#save")).to_be_enabled(timeout=60_000)
    element = page.locator("iframe").element_handle()
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    box = frame.locator('[data-cy="viewport-pane"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6
    page.mouse.click(x, y)
    page.keyboard.press("e")
    page.wait_for_timeout(500)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(6):
        page.mouse.move(x + 6 * step, y + 4 * step)
        page.wait_for_timeout(30)
    page.mouse.up()
    expect(page.locator("#save-status")).to_contain_text("not saved", timeout=20_000)
    began = time.monotonic()
    page.locator("#save").click()
    expect(page.locator("#save-status")).to_have_text(re.compile("Saved and measured"), timeout=60_000)
    return round(time.monotonic() - began, 2)
