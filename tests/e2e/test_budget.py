"""From the PACS button to the mask: what CI can hold to, requests, bytes and clicks (``bench/budget.json``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from helpers.opening import Cost, Opening, open_by_button, viewer_frame
from helpers.requirements import REPOSITORY
from helpers.review_room import FIRST, PASSWORD, SECOND, Room, start_room

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]

BUDGET: dict[str, Any] = json.loads((REPOSITORY / "bench" / "budget.json").read_text())


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    running = start_room(tmp_path_factory.mktemp("budget"), exams=(FIRST, SECOND))
    yield running
    running.hub.stop()


def within(cost: Cost, budget: dict[str, int]) -> None:
    spent = {"requests": cost.requests, "bytes": cost.transferred, "clicks": cost.clicks}
    over = {key: value for key, value in spent.items() if value > budget[key]}
    assert not over, f"over bench/budget.json: {over}, of {budget}\n" + "\n".join(cost.paths)


def test_from_the_button_to_the_mask_and_on_to_the_next_case(room: Room, page: Page) -> None:
    page.goto(f"{room.url}/app/template/Login.vm?next=/data/version")
    page.locator("input[name=username]").fill("reader")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    uid = FIRST.datasets()[0].StudyInstanceUID
    within(open_by_button(page, f"{room.url}/overread/open?study=brain-tumor&uid={uid}"), BUDGET["open_to_mask"])

    # A normal case takes one key. The next one's images are in the browser already.
    fetched = page.locator("main.review[data-next-fetched]")
    expect(fetched).to_have_attribute("data-next-fetched", str(len(SECOND.datasets())), timeout=60_000)
    opening = Opening(page)
    for _ in range(BUDGET["normal_case_keys"]):
        page.keyboard.press("a")
    page.wait_for_url(f"**experiment={room.session(SECOND)}**")
    cost = opening.until_mask(lambda: viewer_frame(page), lambda: page.locator("form.feedback button").count() > 0)
    within(cost, BUDGET["next_case_to_mask"])
    count = len(SECOND.datasets())
    while len(asked := {path for path in cost.paths if "/frames/" in path}) < count:  # the last ones follow the mask
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    assert asked == {path for path in cost.cached if "/frames/" in path}, "all frames come from the browser's cache"


def test_the_app_is_small(room: Room) -> None:
    assets = Path(REPOSITORY / "xnat-plugins/core/web/dist/assets")
    packed = sum(file.stat().st_size for file in assets.glob("*.gz"))
    assert 0 < packed < BUDGET["app_gzip_bytes"]
    with room.client() as client:
        for file in assets.glob("*.br"):
            answer = client.get(f"/overread/assets/{file.stem}", headers={"accept-encoding": "gzip, br"})
            assert (answer.status_code, answer.headers["content-encoding"]) == (200, "br")
            assert "immutable" in answer.headers["cache-control"], f"{file.stem}: its name tells its content"
