"""Reader studies from first exam to last answer, in Chromium: `overread readers sync` and the pages together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from helpers.reading_site import FINDINGS, PASSWORD, ROSTER, SOURCES, ReadingSite, start_reading_site

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[ReadingSite]:
    """Radiographs, a gate before the readers, two readers, one who decides."""
    reading = {**FINDINGS, "arms": ["aided"]}
    del reading["crossover"]
    site = start_reading_site(tmp_path, reading, exams=2, pages=True)
    site.sync()
    yield site
    site.site.hub.stop()


@pytest.fixture
def blinded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadingSite]:
    """Masks of two sources, three readers."""
    monkeypatch.setitem(ROSTER, "radiologist", ["anna", "ben", "cleo"])
    site = start_reading_site(tmp_path, {**SOURCES, "groups": {"radiologist": {"per_case": 3}}}, exams=1, pages=True)
    site.sync()
    yield site
    site.site.hub.stop()


def enter(site: ReadingSite, page: Page, login: str) -> None:
    """Open a reader's worklist as that reader."""
    page.context.clear_cookies()
    page.goto(f"{site.url}/overread/worklist?project={site.project_of(login)}")
    page.locator("input[name=username]").fill(login)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    expect(page.locator("main.worklist")).to_be_visible()


def read_all(site: ReadingSite, page: Page, login: str, *keys: str) -> int:
    """Read everything that is open with these keys for each case; return how many cases there were."""
    enter(site, page, login)
    count = page.locator("tbody tr").count()
    page.locator("#next").click()
    for _ in range(count):
        expect(page.locator(".caption")).to_contain_text("window")
        code = page.locator("[data-fact=code]").inner_text()
        for key in keys:
            page.keyboard.press(key)
        expect(page.locator("[data-fact=code]")).not_to_have_text(code) if _ < count - 1 else expect(
            page.locator("main.worklist")
        ).to_be_visible()
    expect(page.locator(".state-sent")).to_have_count(count)
    return count


def test_only_what_the_gate_passed_is_read_and_who_differs_is_decided(
    gated: ReadingSite, page: Page, pictures: Path
) -> None:
    # the technologist passes one and refuses one
    enter(gated, page, "tess")
    expect(page.get_by_text("Images to check")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("window")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("[data-fact=code]")).to_be_visible()
    page.wait_for_url(lambda url: "onward" in url)
    expect(page.locator(".caption")).to_contain_text("window")
    page.screenshot(path=pictures / "study-gate.png")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("main.worklist")).to_be_visible()
    progress = gated.sync()["gate"]
    assert (progress["open"], progress["passed"]) == (0, 1)
    assert progress["refused"] == [{"reason": "usable: no", "count": 1}]
    assert progress["median_s"] is not None

    # both readers get the one case; each sees the model's box, and neither the other's answer
    assert read_all(gated, page, "anna", "1", "Enter") == 1
    page.locator("tbody a").click()
    expect(page.locator(".boxes g")).to_have_count(1)
    page.screenshot(path=pictures / "study-reader.png")
    assert read_all(gated, page, "ben", "2", "Enter") == 1
    gated.sync()

    # they differ: a third one decides, without the model's result
    enter(gated, page, "sara")
    expect(page.get_by_text("Cases on which readers differ")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("window")
    expect(page.locator(".boxes g")).to_have_count(0)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("main.worklist")).to_be_visible()
    assert gated.sync()["adjudication"] == {"open": 0, "done": 1}

    page.context.clear_cookies()
    page.goto(f"{gated.url}/overread/progress?project=KNEE")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(gated.site.hub.password)
    page.locator("button[type=submit]").click()
    expect(page.locator("tr[data-reader=ben]")).to_contain_text("1 / 1")
    expect(page.get_by_text("usable: no: 1")).to_be_visible()
    page.screenshot(path=pictures / "study-progress.png")


def test_three_readers_judge_masks_whose_source_nothing_tells(blinded: ReadingSite, page: Page, pictures: Path) -> None:
    seen: dict[str, set[str]] = {}
    asked: list[str] = []
    page.on("response", lambda response: asked.append(response.url))
    for login in ("anna", "ben", "cleo"):
        enter(blinded, page, login)
        expect(page.locator("tbody tr")).to_have_count(2)
        page.locator("#next").click()
        volume = page.locator("table.segments tr.segment .number")
        expect(volume).not_to_have_text("", timeout=60_000)
        seen.setdefault(login, set()).add(page.locator("[data-fact=code]").inner_text())
        text = page.content()
        assert not any(word in text for word in ("expert", "drawn by", "maker of", "SECRET")), login
        page.screenshot(path=pictures / f"study-blinded-{login}.png")
        page.locator("[data-fact=code]").click()
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "onward" in url)
    assert not any("KNEE/" in url or "MODEL" in url or "EXPERT" in url for url in asked)
    assert len(set.union(*seen.values())) == 3, "no two readers have a code in common"
    answers = blinded.sync()
    rows: list[dict[str, Any]] = answers["readers"]
    assert [row["submitted"] for row in rows if row["role"] == "reader"] == [1, 1, 1]
