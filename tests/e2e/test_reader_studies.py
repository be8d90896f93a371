"""The shipped reader studies from first exam to last answer, in Chromium: `overread readers sync` and the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from helpers.browser import violations
from helpers.reading_site import PASSWORD
from helpers.shipped_site import ShippedSite, liver_case, start_shipped
from overread.cli.main import main

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture
def hip(tmp_path: Path) -> Iterator[ShippedSite]:
    """Radiographs: a technologist before the readers, two readers, one who decides."""
    roster = {"radiologist": ["anna", "ben"], "technologist": ["tess"], "senior": ["sara"]}
    site = start_shipped(tmp_path, "hip-fracture", exams=2, roster=roster)
    yield site
    site.site.hub.stop()


@pytest.fixture
def liver(tmp_path: Path) -> Iterator[ShippedSite]:
    """CT with masks of three sources, and three readers who don't know them."""
    site = start_shipped(tmp_path, "liver-transplant", exams=2, roster={"hepatobiliary": ["anna", "ben", "cleo"]})
    yield site
    site.site.hub.stop()


def enter(site: ShippedSite, page: Page, login: str, where: str = "", *, shown: str = "main.worklist") -> None:
    """Open a reader's worklist (or another page) as that reader."""
    page.goto("about:blank")
    page.context.clear_cookies()
    page.goto(f"{site.url}{where or f'/overread/worklist?project={site.project_of(login)}'}")
    page.locator("input[name=username]").fill(login)
    page.locator("input[name=password]").fill(site.site.hub.password if login == "admin" else PASSWORD)
    page.locator("button[type=submit]").click()
    expect(page.locator(shown)).to_be_visible()


def code_of(page: Page) -> str:
    return page.locator("[data-fact=code]").inner_text()


def send(page: Page, *keys: str) -> None:
    """Answer the case that is open with these keys, and wait until another page is there."""
    expect(page.locator(".next-choice")).to_be_visible()
    code = code_of(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_url(lambda url: f"session={code}" not in url)


def read_all(site: ShippedSite, page: Page, login: str, *keys: str) -> int:
    """Read everything that is open with these keys for each case; return how many cases that were."""
    enter(site, page, login)
    expect(page.locator("tbody tr[data-state=checking]")).to_have_count(0)
    count = page.locator("tbody tr[data-state=open]").count()
    page.keyboard.press("n")
    for _ in range(count):
        expect(page.locator(".caption")).to_contain_text("window")
        send(page, *keys)
    expect(page.locator("main.worklist")).to_be_visible()
    return count


def test_hips_from_the_gate_to_the_decision(hip: ShippedSite, page: Page, pictures: Path) -> None:
    # The technologist passes one case and refuses one, four keys each.
    enter(hip, page, "tess")
    expect(page.get_by_text("Images to check")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("AP")
    page.screenshot(path=pictures / "hip-gate.png")
    send(page, "1", "1", "1", "Enter")
    expect(page.locator(".caption")).to_contain_text("window")
    send(page, "2", "1", "1", "Enter")
    gate = hip.sync()["gate"]
    assert (gate["open"], gate["passed"]) == (0, 1)
    assert gate["refused"] == [{"reason": "relevant: no", "count": 1}]
    assert gate["median_s"] > 0

    # Both readers have the one case that passed; one of them closes the browser in mid-form.
    enter(hip, page, "anna")
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("window")
    page.keyboard.press("1")
    expect(page.locator(".feedback .status")).to_contain_text("kept as a draft")
    page.screenshot(path=pictures / "hip-reading.png")
    enter(hip, page, "ben")
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("window")
    send(page, "1", "1", "Enter")  # three keys
    enter(hip, page, "anna")
    page.keyboard.press("n")
    expect(page.locator("input[value=no-fracture]").first).to_be_checked()
    send(page, "2", "Enter")
    _arms_hold(hip)

    # After the wash-out the other arm, under another code.
    hip.sync()
    assert hip.open("anna") == [], "the second reading waits"
    hip.later(days=29)
    hip.sync()
    for login, keys in (("anna", "12"), ("ben", "11")):
        assert read_all(hip, page, login, *keys, "Enter") == 1
    _arms_hold(hip)

    # They differ: a third one decides.
    hip.sync()
    assert hip.sync()["adjudication"] == {"open": 1, "done": 0}
    enter(hip, page, "sara")
    expect(page.get_by_text("Cases on which readers differ")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".caption")).to_contain_text("window")
    send(page, "1", "2", "Enter")
    assert hip.sync()["adjudication"] == {"open": 0, "done": 1}
    enter(hip, page, "admin", f"/overread/progress?project={hip.project}")
    expect(page.locator("tr[data-reader=ben]")).to_contain_text("2 / 2")
    expect(page.get_by_text("relevant: no: 1")).to_be_visible()
    page.screenshot(path=pictures / "hip-progress.png")

    _reviewed_in_the_studys_own_project(hip, page, pictures)
    answers = _answers(hip)
    assert {(row["reader"], row["arm"]) for row in answers if row["reader"] in {"anna", "ben"}} == {
        (reader, arm) for reader in ("anna", "ben") for arm in ("aided", "unaided")
    }


def _reviewed_in_the_studys_own_project(site: ShippedSite, page: Page, pictures: Path) -> None:
    """A member of the study's project sees results as they are, and answers with three keys for each exam."""
    with site.client() as client:
        client.put(f"/data/projects/{site.project}/users/member/outsider").raise_for_status()
        listed = client.get(f"/data/projects/{site.project}/experiments", params={"format": "json"}).json()
    first, second = sorted(row["ID"] for row in listed["ResultSet"]["Result"])
    where = f"/overread/review?project={site.project}&experiment="
    enter(site, page, "outsider", f"{where}{first}", shown="main.read")
    expect(page.locator(".caption")).to_contain_text("window")
    expect(page.locator("[data-fact=mode]")).to_have_text(re.compile(r"shadow|assist"))
    expect(page.locator(".boxes g")).to_have_count(0)  # withheld until one has answered
    page.screenshot(path=pictures / "hip-review.png")
    assert violations(page) == []
    grey = "document.querySelector('canvas.radiograph').getContext('2d').getImageData(99, 99, 1, 1).data[0]"
    width = "document.querySelector('canvas.radiograph').getBoundingClientRect().width"
    before, wide = page.evaluate(grey), page.evaluate(width)
    page.locator(".radiograph-frame").focus()
    page.keyboard.press("i")
    page.wait_for_function(f"{grey} === {255 - before}")
    page.keyboard.press("+")
    page.wait_for_function(f"{width} > {wide}")
    for key in ("2", "1", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(lambda url: second in url)
    expect(page.locator(".sent")).to_contain_text("was sent")
    expect(page.locator(".boxes g")).to_have_count(0)
    with site.client("outsider") as client:
        answers = client.get(f"/xapi/overread/projects/{site.project}/answers").json()["answers"]
    (answer,) = (one for one in answers if one["reader"] == "outsider")
    assert answer["exam"] == first
    assert answer["data"]["right_class"] != answer["data"]["left_class"]
    # The way back: what the model says is shown now.
    page.add_init_script("localStorage.setItem('overread.theme', 'light')")
    page.set_viewport_size({"width": 3840, "height": 2160})
    page.locator(".sent a").click()
    expect(page.locator(".boxes g")).to_have_count(2)
    expect(page.locator(".found li[data-side=left]")).to_contain_text("90")
    page.screenshot(path=pictures / "hip-review-light-4k.png")
    assert violations(page) == []


def _arms_hold(site: ShippedSite) -> None:
    """An answer tells the arm it was given in, and the coordinator's key says the same."""
    key = site.key()
    for row in _answers(site):
        if row["reader"] in {"anna", "ben"}:
            assert (row["data"]["code"], row["data"]["arm"]) == (row["code"], key[row["code"]]["arm"])


def _answers(site: ShippedSite) -> list[dict[str, Any]]:
    arguments = ["readers", "answers", str(site.site.manifest), "--unblinded", "--secrets", str(site.secrets)]
    arguments += ["--url", site.url, "--user", "admin", "--format", "json"]
    done = CliRunner().invoke(main, arguments, env={"OVERREAD_PASSWORD": site.site.hub.password})
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    rows: list[dict[str, Any]] = found["answers"] if isinstance(found, dict) else found
    return rows


def test_livers_are_judged_by_three_who_cannot_tell_who_drew(liver: ShippedSite, page: Page, pictures: Path) -> None:
    images, masks = liver_case(1)
    seen: set[str] = set()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    spacing_ml = 3.0 * 2.0 * 2.0 / 1000
    for login in ("anna", "ben", "cleo"):
        enter(liver, page, login)
        expect(page.locator("tbody tr")).to_have_count(2)  # one source of each exam; the others wait
        page.keyboard.press("n")
        table = page.locator("table.segments")
        expect(table.locator("tr.segment").first.locator(".number")).to_have_text(
            f"{masks[1].sum() * spacing_ml:.2f} mL", timeout=90_000
        )
        expect(table.locator("th").nth(2)).to_have_text("Vessels of liver")
        share = 100 * masks[1].sum() / (masks[1].sum() + masks[2].sum())
        expect(table.locator("tr.remnant .number")).to_have_text(f"{share:.1f}\u00a0%")
        seen.add(code_of(page))
        words = page.content() + page.frame_locator("iframe.viewer").locator("body").inner_text()
        assert not re.search(r"expert|novice|drawn by|maker of|secret", words, re.IGNORECASE), login
        page.screenshot(path=pictures / f"liver-{login}.png")
        send(page, "Enter")
    assert len(seen) == 3, "no two readers have a code in common"
    assert len(images) == 30
    assert not any(f"/{liver.project}/" in url or "AI-" in url or "EXPERT" in url for url in asked)
    progress = liver.sync()
    assert [row["submitted"] for row in progress["readers"]] == [1, 1, 1]
    answers = _answers(liver)
    assert len({row["source"] for row in answers}) <= 3
    assert all(row["data"]["left_lobe_rating"] == "5" and row["active_s"] >= 0 for row in answers)

    # The leak check of the whole study over what `sync` made.
    arguments = ["blind", "check", str(liver.site.manifest), "--url", liver.url, "--user", "admin"]
    done = CliRunner().invoke(
        main, [*arguments, "--secrets", str(liver.secrets)], env={"OVERREAD_PASSWORD": liver.site.hub.password}
    )
    assert done.exit_code == 0, done.output
