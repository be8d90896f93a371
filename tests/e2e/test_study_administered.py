"""What an administrator does with a study: its settings page, and wrappers of each kind launched by hand."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from helpers.containers import CONTAINERS
from helpers.review_room import FIRST, MANIFEST, SECOND, Room, start_room
from overread.cli.main import main
from overread.study.button import sign, url

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "ohif", "plugins")]
SECRET = "the-secret-of-the-button"
NOT_OPENED = "This address is not opened"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    running = start_room(tmp_path_factory.mktemp("settings"), exams=(FIRST, SECOND))
    yield running
    running.hub.stop()


def study(room: Room, *arguments: str) -> str:
    """Run ``overread study`` as the administrator."""
    words = [*arguments[:1], str(MANIFEST), "--server", room.url, "--user", "admin", *arguments[1:]]
    done = CliRunner().invoke(main, ["study", *words], env={"OVERREAD_PASSWORD": room.hub.password})
    assert done.exit_code == 0, done.output
    return done.output


def report_threshold(room: Room) -> float:
    """Return the threshold that the command of reports is started with."""
    with room.client() as client:
        offered = client.get("/xapi/projects/BTS/commands/available").json()
        (number,) = {each["wrapper-id"] for each in offered if each["wrapper-name"] == "dicom-report-session"}
        inputs = client.get(f"/xapi/projects/BTS/wrappers/{number}/config").json()["inputs"]
    return float(json.loads(base64.b64decode(inputs["progression"]["default-value"]))["increase_pct"])


def open_settings(room: Room, page: Page) -> None:
    """Open the page by the address that XNAT's frame has."""
    page.route("**/viewer/**", lambda route: route.abort())
    page.goto(f"{room.url}/overread/settings/index.html?brain-tumor")
    page.locator("input[name=password], main.study-settings").first.wait_for()
    if page.locator("input[name=username]").count():
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(room.hub.password)
        page.locator("button[type=submit]").click()
    expect(page.locator("main.study-settings")).to_be_visible()


def test_a_threshold_set_here_is_the_pages_the_reports_and_outlives_apply(
    room: Room, page: Page, pictures: Path
) -> None:
    open_settings(room, page)
    page.screenshot(path=pictures / "settings.png", full_page=True)
    page.locator("input[name=pct]").fill("30")
    page.get_by_role("button", name="Save threshold").click()
    expect(page.get_by_text("Saved: 30 %.")).to_be_visible()
    assert report_threshold(room) == 30
    with room.client() as client:
        port = client.get("/xapi/dicomscp").json()[0]["port"]
    said = study(room, "apply", "--dicom-port", str(port))
    assert report_threshold(room) == 30
    assert "30 %, set on the study's settings page, holds; the manifest says 40 %" in said
    with room.client() as client:
        kept = client.get("/data/projects/BTS/config/overread/study?contents=true").json()
    assert (kept["threshold_pct_by_hand"], kept["progression"]["increase_pct"]) == (30, 40)
    page.goto(f"{room.url}/overread/review?project=BTS&experiment={room.session(SECOND)}")
    grown = page.locator("table.volumes tbody tr.followed", has=page.get_by_text("2024-07-10"))
    expect(grown).to_have_attribute("data-verdict", "uncertain")  # 35 % more: stable by the manifest's 40 %
    open_settings(room, page)
    page.locator("input[name=pct]").fill("")
    page.get_by_role("button", name="Save threshold").click()
    expect(page.get_by_text("Saved. The manifest says 40 %.")).to_be_visible()
    page.goto(f"{room.url}/overread/review?project=BTS&experiment={room.session(SECOND)}")
    expect(grown).to_have_attribute("data-verdict", "stable")


def test_the_mode_chosen_here_is_the_mode(room: Room, page: Page) -> None:
    for mode, reason, sees in (("shadow", "readers begin without it", False), ("assist", "the pilot went well", True)):
        open_settings(room, page)
        page.locator("select[name=mode]").select_option(mode)
        page.locator("input[name=reason]").fill(reason)
        page.get_by_role("button", name="Change mode").click()
        expect(page.get_by_text(f"-> {mode}")).to_be_visible()
        with room.client("reader") as reader:
            assert (reader.get("/data/projects/BTS").status_code == 200) is sees
    with room.client() as client:
        changes = client.get("/data/projects/BTS/config/overread/modes?contents=true").json()["changes"]
    assert [(each["before"], each["after"], each["by"]) for each in changes] == [
        ("assist", "shadow", "admin"),
        ("shadow", "assist", "admin"),
    ]


def test_a_button_with_a_secret_opens_signed_addresses_alone(
    room: Room, page: Page, pictures: Path, tmp_path: Path
) -> None:
    open_settings(room, page)
    page.locator("input[name=secret]").fill("too short")
    page.get_by_role("button", name="Save secret").click()
    expect(page.get_by_text("20 to 256 letters", exact=False).last).to_be_visible()
    page.get_by_role("button", name="Make one").click()
    expect(page.locator("input[name=secret]")).to_have_value(re.compile("[0-9a-f]{64}"))
    page.locator("input[name=secret]").fill(SECRET)
    page.get_by_role("button", name="Save secret").click()
    expect(page.get_by_text("Saved; its fingerprint is", exact=False)).to_be_visible()
    page.reload()
    expect(page.get_by_text("signed addresses only", exact=False)).to_be_visible()
    page.screenshot(path=pictures / "settings-signed.png", full_page=True)
    assert SECRET not in page.content()

    uid = str(FIRST.datasets()[0].StudyInstanceUID)
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    *_, signed = study(room, "button", "--secret-file", str(file), "--uid", uid).splitlines()
    unsigned = f"{room.url}/overread/open?study=brain-tumor&uid={uid}"
    expired = url(room.url, sign("brain-tumor", "uid", uid, int(time.time()) - 5, SECRET))
    other = signed.replace(uid, str(SECOND.datasets()[0].StudyInstanceUID))
    for address, why in ((unsigned, "not signed"), (expired, "expired"), (other, "signature is wrong")):
        page.goto(address)
        expect(page.get_by_role("heading", name=NOT_OPENED)).to_be_visible()
        expect(page.locator("main.message p").first).to_contain_text(why)
    page.screenshot(path=pictures / "settings-refused.png")
    page.goto(signed)
    expect(page.locator("main.review")).to_be_visible()

    number = f"ROOM{FIRST.date}{FIRST.patient[-1]}"
    *_, by_number = study(room, "button", "--secret-file", str(file), "--accession", number).splitlines()
    page.goto(by_number)
    expect(page.locator("main.review")).to_be_visible()

    study(room, "button", "--remove")
    page.goto(unsigned)
    expect(page.locator("main.review")).to_be_visible()
    study(room, "button", "--store", "--secret-file", str(file))
    page.goto(unsigned)
    expect(page.get_by_role("heading", name=NOT_OPENED)).to_be_visible()
    study(room, "button", "--remove")


def test_scan_and_assessor_wrappers_are_launched_by_their_routes_and_explained(room: Room) -> None:
    session = room.session(FIRST)
    assessors = room.rows(f"/data/experiments/{session}/assessors")
    (collection,) = [row["ID"] for row in assessors if row["xsiType"] == "icr:roiCollectionData"]
    launches = {
        "brain-tumor-session": ("session", f"/archive/experiments/{session}"),
        "brain-tumor-scan": ("scan", f"/archive/experiments/{session}/scans/1"),
        "roi-collection": ("collection", f"/archive/experiments/{session}/assessors/{collection}"),
    }
    images = {"brain-tumor": "brain-tumor-segmentation", "roi-collection": "volume-calculator"}
    with room.client() as client:
        commands = client.get("/xapi/commands").json()
        numbers = {wrapper["name"]: wrapper["id"] for each in commands for wrapper in each.get("xnat", ())}
        client.put(f"/xapi/wrappers/{numbers['brain-tumor-scan']}/enabled").raise_for_status()
        client.put(f"/xapi/projects/BTS/wrappers/{numbers['brain-tumor-scan']}/enabled").raise_for_status()
        for name, (root, uri) in launches.items():
            image = next(folder for start, folder in images.items() if name.startswith(start))
            words = ["command", "explain", str(CONTAINERS / image / "command.json"), "--project", "BTS", "--json"]
            words += ["--wrapper", name, "--session", session, "--server", room.url, "--user", "admin"]
            done = CliRunner().invoke(main, words, env={"OVERREAD_PASSWORD": room.hub.password})
            assert done.exit_code == 0, done.output
            (told,) = json.loads(done.stdout)
            (match,) = [each for each in told["objects"] if not each["reason"] and each["candidate"]["uri"] == uri]
            before = {run["id"] for run in client.get("/xapi/containers").json()}
            path = f"/xapi/projects/BTS/wrappers/{numbers[name]}/root/{root}/launch"
            client.post(path, json={root: uri}).raise_for_status()
            room.settle()
            (run,) = [each for each in client.get("/xapi/containers").json() if each["id"] not in before
                      and each["wrapper-id"] == numbers[name]]  # fmt: skip
            assert run["status"] == "Complete", run
            assert run["command-line"] == match["command_line"]
