"""Reading pages as readers use them: worklist, radiographs, three keys, claims, a mask, progress."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect
from pydicom import dcmread

from helpers.browser import violations
from helpers.reading_room import (
    BARE_CODE,
    CODES,
    MASK_CODE,
    PASSWORD,
    PROJECTS,
    ReadingRoom,
    mask_volume_ml,
    start_reading_room,
)

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingRoom]:
    """One hub for all tests of this file."""
    running = start_reading_room(tmp_path_factory.mktemp("reading"))
    yield running
    running.hub.stop()


def enter(room: ReadingRoom, page: Page, where: str, login: str) -> None:
    """Open a page as this reader."""
    page.goto(f"{room.url}{where}")
    page.locator("input[name=password], main").first.wait_for()
    if page.locator("input[name=password]").count():
        page.locator("input[name=username]").fill(login)
        page.locator("input[name=password]").fill(PASSWORD if login != "admin" else room.hub.password)
        page.locator("button[type=submit]").click()
    expect(page.locator("main").first).to_be_visible()


def shown_image(page: Page) -> None:
    expect(page.locator(".caption")).to_contain_text("window")


def test_three_keys_do_a_case_and_lead_to_the_next(room: ReadingRoom, page: Page, pictures: Path) -> None:
    enter(room, page, f"/overread/worklist?project={PROJECTS[0]}", "ada")
    expect(page.locator(".state-open")).to_have_count(3)
    expect(page.get_by_text("next part begins on 2026-12-22")).to_be_visible()
    page.screenshot(path=pictures / "reading-worklist.png")
    assert violations(page) == []
    page.keyboard.press("n")
    expect(page.locator("[data-fact=code]")).to_have_text(CODES[0])
    shown_image(page)
    expect(page.locator("[data-fact=arm]")).to_have_text("withheld")
    expect(page.locator(".boxes g")).to_have_count(0)
    page.screenshot(path=pictures / "reading-unaided.png")

    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-fact=code]")).to_have_text(CODES[1])  # the next one, by itself
    answer = room.answer(PROJECTS[0], CODES[0], "ada")
    assert answer["data"] == {"right_class": "no fracture", "left_class": "fracture", "image_quality": "good"}
    times = answer["times"]
    assert 0 <= times["first_interaction_s"] <= times["form_s"] <= times["submitted_s"]
    assert times["active_s"] <= times["submitted_s"] + 0.1
    assert (times["save_s"], answer["edits"]) == (None, None)
    assert room.fields(PROJECTS[0], CODES[0])["reading"]["state"] == "submitted"

    # The next case is aided: boxes on the image that they name, and the model's words.
    shown_image(page)
    expect(page.locator(".boxes g")).to_have_count(2)
    expect(page.locator(".found li[data-side=left]")).to_have_text("left: fracture 91\u00a0%")
    page.screenshot(path=pictures / "reading-aided.png")
    assert violations(page) == []

    # A digit too far is taken back; the other image is without boxes.
    page.keyboard.press("3")
    expect(page.locator("input[value=hardware]").first).to_be_checked()
    page.keyboard.press("Backspace")
    expect(page.locator("input[value=hardware]").first).not_to_be_checked()
    page.locator(".thumbnails button").nth(1).click()
    expect(page.locator(".boxes g")).to_have_count(0)
    page.screenshot(path=pictures / "reading-lateral.png")

    # Closed in the middle: what was said is there again.
    page.locator(".radiograph-frame").click()
    page.keyboard.press("2")
    expect(page.locator(".feedback .status")).to_contain_text("kept as a draft")
    page.reload()
    expect(page.locator("input[value=fracture]").first).to_be_checked()
    expect(page.locator(".feedback .status")).to_contain_text("what you had begun")


def test_window_zoom_and_inverting_change_what_is_seen(room: ReadingRoom, page: Page) -> None:
    enter(room, page, f"/overread/read?project={PROJECTS[1]}&session={CODES[1]}", "bob")
    shown_image(page)
    grey = "([x, y]) => document.querySelector('canvas.radiograph').getContext('2d').getImageData(x, y, 1, 1).data[0]"
    middle = [100, 160]
    before = page.evaluate(grey, middle)
    frame = page.locator(".radiograph-frame")
    frame.focus()
    page.keyboard.press("i")
    page.wait_for_function(f"before => ({grey})([100, 160]) === 255 - before", arg=before)
    page.keyboard.press("0")
    page.wait_for_function(f"before => ({grey})([100, 160]) === before", arg=before)
    area = frame.bounding_box()
    assert area is not None
    centre = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    page.mouse.move(*centre)
    page.mouse.down()
    page.mouse.move(centre[0], centre[1] + 80, steps=4)
    page.mouse.up()
    page.wait_for_function(f"before => ({grey})([100, 160]) < before", arg=before)
    scale = "document.querySelector('canvas.radiograph').getBoundingClientRect().width"
    width = page.evaluate(scale)
    page.mouse.wheel(0, -500)
    page.wait_for_function(f"width => {scale} > 2 * width", arg=width)
    # The boxes go with the image.
    assert page.evaluate(
        "(() => { const box = document.querySelector('.boxes rect').getBoundingClientRect(),"
        " image = document.querySelector('canvas.radiograph').getBoundingClientRect();"
        " return (box.left - image.left) / image.width; })()"
    ) == pytest.approx(60 / 400, abs=0.01)


def test_a_case_is_read_once(room: ReadingRoom, page: Page, pictures: Path) -> None:
    where = f"/overread/read?project={PROJECTS[1]}&session={CODES[2]}"
    enter(room, page, where, "bob")
    shown_image(page)
    other = page.context.new_page()
    other.goto(f"{room.url}{where}")
    expect(other.get_by_text("This case is open elsewhere")).to_be_visible()
    other.screenshot(path=pictures / "reading-elsewhere.png")

    page.bring_to_front()
    page.keyboard.press("1")
    expect(page.locator(".feedback .status")).to_contain_text("kept as a draft")

    # Another machine has another browser: there the claim on the server tells.
    machine = page.context.new_page()
    machine.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    machine.goto(f"{room.url}{where}")
    expect(machine.get_by_text("in another window since")).to_be_visible()
    machine.locator("#take-over").click()
    expect(machine.locator("[data-fact=code]")).to_have_text(CODES[2])

    # The first page may not send any more, and nothing of it counts.
    page.bring_to_front()
    for key in ("2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".feedback .status")).to_contain_text("taken over in another window")
    assert not any(key.startswith("answer:") for key in room.fields(PROJECTS[1], CODES[2]))
    machine.bring_to_front()
    expect(machine.locator("input[value='no fracture']").first).to_be_checked()  # the draft came along
    machine.keyboard.press("1")
    machine.keyboard.press("Enter")
    expect(machine.locator("main.worklist")).to_be_visible()
    assert room.answer(PROJECTS[1], CODES[2], "bob")["data"]["left_class"] == "no fracture"

    # What was sent is changed only by saying so, and the former answer stays.
    machine.goto(f"{room.url}{where}")
    expect(machine.locator("#change-answer")).to_be_visible()
    machine.keyboard.press("2")
    machine.locator("#change-answer").click()
    machine.locator("input[value=fracture]").nth(1).check()
    machine.get_by_role("button", name="Send changed answer").click()
    expect(machine.locator(".feedback .status")).to_contain_text("1 former version kept")
    answer = room.answer(PROJECTS[1], CODES[2], "bob")
    assert (answer["data"]["left_class"], answer["previous"][0]["data"]["left_class"]) == ("fracture", "no fracture")
    assert "times" in answer["previous"][0]


def test_two_readers_at_once_lose_nothing_and_see_nothing_of_each_other(room: ReadingRoom, page: Page) -> None:
    enter(room, page, f"/overread/read?project={PROJECTS[0]}&session={CODES[2]}", "ada")
    shown_image(page)
    page.goto(f"{room.url}/overread/read?project={PROJECTS[1]}&session={CODES[0]}")
    expect(page.get_by_role("heading", name="This did not work")).to_be_visible()
    expect(page.locator("[data-fact=code]")).to_have_count(0)
    with room.client("ada") as ada, room.client("bob") as bob:
        assert ada.get(f"/data/projects/{PROJECTS[1]}/experiments").status_code in {403, 404}
        assert bob.get(f"/xapi/customforms?projectId={PROJECTS[0]}").status_code in {403, 404}


def paint(page: Page, frame: Frame) -> None:
    """Draw one stroke with the viewer's brush, from within the mask to beside it."""
    frame.locator('[data-cy="Brush-btn"]').click()
    box = frame.locator('[data-cy="viewport-pane"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 12):
        page.mouse.move(x + 12 * step, y + 6 * step)
        page.wait_for_timeout(30)
    page.mouse.up()
    expect(page.locator("#save-status")).to_contain_text("not saved")


def viewer(page: Page) -> Frame:
    expect(page.locator("#save")).to_be_enabled(timeout=120_000)
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    return frame


def save(page: Page) -> None:
    page.locator("#save").click()
    expect(page.locator("#save-status")).to_contain_text("Saved as a version of your own", timeout=60_000)


def stored_masks(room: ReadingRoom, code: str) -> list[int]:
    """Return how many voxels each collection of a copy has, the newest last."""
    counts = []
    with room.client() as client:
        base = f"/data/projects/{PROJECTS[2]}/subjects/{code}/experiments/{code}/assessors"
        listed = client.get(base, params={"columns": "ID,label,insert_date"}).raise_for_status().json()
        for row in sorted(listed["ResultSet"]["Result"], key=lambda row: row["insert_date"]):
            path = f"/xapi/roi/projects/{PROJECTS[2]}/collections/{row['label']}"
            seg = dcmread(io.BytesIO(client.get(path).raise_for_status().content))
            counts.append(int((seg.pixel_array != 0).sum()))
    return counts


def test_a_mask_is_corrected_measured_and_kept(room: ReadingRoom, page: Page, pictures: Path) -> None:
    enter(room, page, f"/overread/worklist?project={PROJECTS[2]}", "eva")
    expect(page.get_by_role("columnheader", name="Model")).to_be_visible()
    page.locator("tbody a").first.click()
    expect(page.locator("[data-fact=code]")).to_have_text(MASK_CODE)
    expect(page.locator("[data-fact=arm]")).to_have_text("shown")
    table = page.locator("table.segments")
    expect(table.locator("tr.segment .number")).to_have_text(f"{mask_volume_ml():.2f} mL", timeout=60_000)
    expect(table.locator("th").first).to_have_text("Liver <i>left</i>")
    expect(table.locator("tr.remnant .number")).to_have_text("100.0\u00a0%")
    page.screenshot(path=pictures / "reading-mask.png")

    frame = viewer(page)
    expect(frame.locator('[data-cy="data-row"]').first).to_be_visible(timeout=60_000)
    (given,) = stored_masks(room, MASK_CODE)
    paint(page, frame)
    expect(table.locator("tr.segment .number")).not_to_have_text(f"{mask_volume_ml():.2f} mL")
    page.screenshot(path=pictures / "reading-painted.png")
    page.locator(".feedback input").first.focus()
    page.keyboard.press("1")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The changed mask is not saved")).to_be_visible()  # and nothing was sent
    save(page)
    page.locator(".feedback input").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-fact=code]")).to_have_text(BARE_CODE)

    before, after = stored_masks(room, MASK_CODE)
    assert before == given, "what was given stays"
    answer = room.answer(PROJECTS[2], MASK_CODE, "eva")
    (segment,) = answer["edits"]["segments"]
    assert answer["edits"]["strokes"] == 1
    assert (segment["number"], segment["slices"], segment["removed_voxels"]) == (1, 1, 0)
    assert segment["added_voxels"] == after - before > 0
    times = answer["times"]
    assert 0 < times["first_interaction_s"] <= times["save_s"] <= times["submitted_s"]
    assert 0 < times["active_s"] <= times["submitted_s"] + 0.1
    assert times["edit_s"] <= times["active_s"]

    # The other arm: nothing of the model is there, and what is drawn is the reader's own.
    expect(page.locator("[data-fact=arm]")).to_have_text("withheld")
    frame = viewer(page)
    assert stored_masks(room, BARE_CODE) == []
    frame.get_by_text("Add segmentation").first.click()
    expect(table.locator("tr.segment .number")).to_have_text("0.00 mL")
    paint(page, frame)
    save(page)
    page.screenshot(path=pictures / "reading-drawn.png")
    page.locator(".feedback input").first.focus()
    for key in ("1", "1", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("main.worklist")).to_be_visible()
    (drawn,) = stored_masks(room, BARE_CODE)
    (segment,) = room.answer(PROJECTS[2], BARE_CODE, "eva")["edits"]["segments"]
    assert (segment["added_voxels"], segment["removed_voxels"]) == (drawn, 0)


def test_the_coordinator_sees_how_far_it_is(room: ReadingRoom, page: Page, pictures: Path) -> None:
    enter(room, page, "/overread/progress?project=XR", "admin")
    expect(page.locator("tr[data-reader=ada]")).to_contain_text("1 / 6")
    expect(page.get_by_text("not relevant: 2")).to_be_visible()
    expect(page.locator("[data-fact=mode]")).to_contain_text("assist")
    why = "2026-11-20 09:30: from shadow to assist, by carla: the committee said <b>yes</b>"
    expect(page.locator(".modes li")).to_have_text(why)
    expect(page.get_by_role("rowheader", name="<b>bob</b>")).to_be_visible()
    page.screenshot(path=pictures / "reading-progress.png")
    assert violations(page) == []
    enter(room, page, "/overread/progress?project=XR_R01", "admin")
    expect(page.get_by_text("no reader study yet")).to_be_visible()


@pytest.mark.parametrize("size", [(1280, 720), (3840, 2160)], ids=["laptop", "4k"])
def test_pages_are_legible_in_light_and_on_any_screen(
    room: ReadingRoom, page: Page, pictures: Path, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.add_init_script("localStorage.setItem('overread.theme', 'light')")
    pages = {
        "worklist": (f"/overread/worklist?project={PROJECTS[1]}", "main.worklist"),
        "read": (f"/overread/read?project={PROJECTS[1]}&session={CODES[1]}", ".boxes g"),
        "progress": ("/overread/progress?project=XR", "main.worklist"),
    }
    for name, (where, shown) in pages.items():
        page.context.clear_cookies()
        enter(room, page, where, "admin" if name == "progress" else "bob")
        take_over = page.locator("#take-over")
        expect(page.locator(shown).first.or_(take_over)).to_be_visible()
        if take_over.count():
            take_over.click()
            expect(page.locator(shown).first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        page.screenshot(path=pictures / f"light-{name}-{size[0]}.png")
        assert violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        if name == "read":
            image = page.locator("canvas.radiograph").bounding_box()
            assert image is not None
            assert image["height"] > 0.5 * size[1], "images take the room there is"


def test_who_is_no_member_of_the_study_is_told_so_by_its_pages(room: ReadingRoom, page: Page) -> None:
    """As in shadow: pages show what XNAT gives them, and it gives nothing."""
    for where in ("/overread/progress?project=XR", "/overread/review?project=XR&experiment=XNAT_E00001"):
        page.context.clear_cookies()
        enter(room, page, where, "ada")
        expect(page.get_by_role("heading", name="This did not work")).to_be_visible()
        assert "6" not in page.locator("main").inner_text()
