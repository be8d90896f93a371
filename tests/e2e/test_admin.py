"""The administration in a browser: a command from its first fault to a run done again, refused objects, users."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from helpers import prearchive
from helpers.archive import add_session, add_user
from helpers.arrivals import file_bytes, ledger, store_manifest
from helpers.images import IMAGE, make_image
from helpers.requirements import REPOSITORY
from helpers.runs import MAIN, document, launch
from helpers.site_data import fill
from hub_fixture import RunningHub, start_hub
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.assignment import Hints
from overread.hub.arrival.objects import read_file_header
from overread.hub.items.projects import save_project

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "plugins")]

HOSTILE = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>'
REASON = "SOP Instance UID differs between command and dataset"
ACTION = "org.nrg.containers.services.CommandActionProvider"
EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"
WIDER = "[...document.querySelectorAll('main, .scroll')].some((one) => one.scrollWidth > one.clientWidth)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("site")
    make_image(folder / "images", MAIN)
    running = start_hub(folder, images=(folder / "images",), plugins=REPOSITORY / "build" / "plugins")
    hub = running.hub
    fill(hub, sessions=120, owner="olive")
    with hub.database.write() as db:
        save_project(db, hub, "BTS", user="admin", fields={"name": HOSTILE, "description": HOSTILE})
    add_user(hub, "mia", project="BTS", role="member")
    store_manifest(running)
    yield running
    running.stop()


def log_in(page: Page, site: RunningHub, login: str = "admin", password: str = "") -> None:
    page.goto(f"{site.url}/overread/admin")
    page.locator("input[name=username]").fill(login)
    page.locator("input[name=password]").fill(password or site.password)
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/overread/admin*")


def go(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Administration").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_a_command_from_its_first_fault_to_a_run_done_again(site: RunningHub, page: Page, tmp_path: Path) -> None:
    faulty = document(label=HOSTILE, image=IMAGE)
    faulty["outputs"][0]["mount"] = "uot"
    file = tmp_path / "command.json"
    file.write_text(json.dumps(faulty, indent=2))
    log_in(page, site)
    go(page, "Commands")
    page.get_by_role("link", name="Add a command").click()
    page.get_by_label("File", exact=True).set_input_files(file)
    finding = page.get_by_role("table", name="Findings").get_by_role("row").filter(has_text="uot")
    expect(finding).to_contain_text("$.outputs[0].mount")
    expect(finding).to_contain_text("out")
    store = page.get_by_role("button", name="Store", exact=True)
    expect(store).to_be_disabled()
    text = page.get_by_label("command.json")
    text.fill(text.input_value().replace('"uot"', '"out"'))
    expect(store).to_be_enabled()
    store.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("tiny 1.0")
    page.get_by_role("button", name="Enable on the site").click()
    expect(page.get_by_role("button", name="Disable on the site")).to_be_visible()
    page.get_by_role("button", name="Enable in BTS").click()
    expect(page.get_by_role("button", name="Disable in BTS")).to_be_visible()

    session = add_session(site.hub, "SLOW", event="", project="BTS")
    with site.client() as client:
        wrapper = client.get("/xapi/commands").json()[0]["xnat"][0]["id"]
        assert launch(client, wrapper, session, project="BTS", mode="sleep").status_code == 200
    go(page, "Runs")
    page.get_by_role("row").filter(has_text="SLOW").get_by_role("link").click()
    log = page.get_by_label("Log", exact=True).and_(page.locator("pre"))
    expect(log).to_contain_text("progress 0.5 reading")  # while it goes on
    expect(page.locator("main .badge").first).to_have_text("Running")
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(page.locator("main .badge").first).to_contain_text(re.compile("Killed|Failed"))

    with site.client() as client:
        broken = add_session(site.hub, "BROKEN", event="", project="BTS")
        assert launch(client, wrapper, broken, project="BTS", mode="crash").status_code == 200
    go(page, "Runs")
    row = page.get_by_role("row").filter(has_text="BROKEN")
    expect(row).to_contain_text("send a FLAIR")
    number = row.get_by_role("link").inner_text()
    row.get_by_role("link").click()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text(f"It does again run {number}.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("send a FLAIR")
    page.get_by_role("link", name=number, exact=True).first.click()
    expect(page.get_by_text("Done again by run")).to_be_visible()
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)


def test_a_refused_object_is_seen_sent_mended_and_filed(site: RunningHub, page: Page, tmp_path: Path) -> None:
    spooled = spooling.spool(site.hub, [b"half an object"])
    storage.refuse(site.hub, spooled, reason=REASON, source=f"BTS:8104 from {HOSTILE}")
    mended = prearchive.exam(seed=70)[0]
    file = tmp_path / "mended.dcm"
    file.write_bytes(file_bytes(mended))
    log_in(page, site)
    go(page, "Objects")
    page.get_by_label("State").select_option("refused")
    row = page.get_by_role("row").filter(has_text=REASON)
    expect(row).to_contain_text(HOSTILE)
    row.get_by_role("link", name="refused").click()
    expect(page.locator("main")).to_contain_text(REASON)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == b"half an object"
    page.get_by_role("button", name="File again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="File again").click()  # as it is: it still is no DICOM
    expect(dialog.get_by_role("status")).to_contain_text("It can't be taken")
    dialog.get_by_label("A mended file").set_input_files(file)
    dialog.get_by_label("Project").select_option("BTS")
    dialog.get_by_role("button", name="File again").click()
    expect(page.get_by_text("No object fits.")).to_be_visible()
    page.get_by_role("searchbox").fill(str(mended.StudyInstanceUID))
    page.get_by_label("State").select_option("")
    expect(page.get_by_role("row").filter(has_text="filed again by admin")).to_have_count(1)
    assert [line.source for line in ledger(site) if line.sop_instance_uid == mended.SOPInstanceUID] == [
        "filed again by admin"
    ]


def test_a_user_is_made_and_given_a_role(site: RunningHub, page: Page) -> None:
    log_in(page, site)
    go(page, "Users")
    page.get_by_role("button", name="New user").click()
    dialog = page.get_by_role("dialog")
    for label, value in (("Login", "rita"), ("Password", "a long password 1"), ("First name", HOSTILE)):
        dialog.get_by_label(label).fill(value)
    dialog.get_by_role("button", name="Make").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("rita")
    page.locator("select[name=project]").select_option("BTS")
    page.locator("select[name=role]").select_option("owner")
    page.get_by_role("button", name="Give the role").click()
    expect(page.get_by_role("table", name="Projects")).to_contain_text("owner")
    page.get_by_label("DataManager").check()
    expect(page.get_by_text("rita is DataManager now.")).to_be_visible()
    with site.client() as client:
        assert client.get("/xapi/users/rita/roles").json() == ["DataManager"]
    go(page, "Projects")
    page.get_by_role("link", name="BTS", exact=True).click()
    expect(page.get_by_role("table", name="Users")).to_contain_text("rita")
    page.context.clear_cookies()
    log_in(page, site, "rita", "a long password 1")
    expect(page.get_by_role("navigation", name="Administration").get_by_role("link")).to_have_text(
        ["Sessions", "Runs", "Projects", "Commands", "Subscriptions", "Objects", "Audit"]
    )


def test_what_was_done_stands_in_the_audit_trail(site: RunningHub, page: Page) -> None:
    with site.client("mia", "secret") as member:
        assert member.get("/xapi/overread/users").status_code == 403
    log_in(page, site)
    go(page, "Audit")
    page.get_by_label("Outcome").select_option("refused")
    page.locator("input[name=user]").fill("mia")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("table", name="Audit trail")).to_contain_text("/xapi/overread/users")
    with page.expect_download() as download:
        page.get_by_role("link", name="As CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("time,user,action")
    assert all(",mia," in line for line in lines[1:])


def test_a_member_is_refused(site: RunningHub, page: Page) -> None:
    log_in(page, site, "mia", "secret")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing to administer")
    with site.client("mia", "secret") as member:
        for path in ("projects", "sessions", "runs", "commands", "subscriptions", "deliveries", "objects",
                     "receivers", "users", "storage", "health", "audit"):  # fmt: skip
            assert member.get(f"/xapi/overread/{path}").status_code == 403, path


def test_a_session_that_waits_is_looked_at_moved_and_deleted(site: RunningHub, page: Page) -> None:
    with site.client() as client:
        assert client.put("/data/projects/MOVED", params={"name": "Moved"}).status_code in {200, 201}
    images = prearchive.exam(seed=80, series_description=HOSTILE)
    prearchive.arrive(site.hub, images, Hints(project="BTS", subject="S", session="STAYS", prevent_auto_commit=True))
    log_in(page, site)
    page.get_by_role("searchbox").fill("STAYS")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="STAYS").click()
    expect(page.get_by_role("table", name="Series")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Move").click()
    page.get_by_role("dialog").get_by_label("Project").select_option("MOVED")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    page.get_by_role("searchbox").fill("STAYS")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row").filter(has_text="STAYS")).to_contain_text("MOVED")
    page.get_by_role("link", name="STAYS").click()
    page.get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")  # asked, and thought better of
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    assert {line.state for line in ledger(site) if line.study_instance_uid == images[0].StudyInstanceUID} == {"deleted"}


def test_an_event_starts_a_command_once_it_is_subscribed_to(site: RunningHub, page: Page) -> None:
    with site.client() as client:
        command = client.post("/xapi/commands", json=document(name="counter")).json()
        wrapper = client.get(f"/xapi/commands/{command}").json()["xnat"][0]["id"]
        for place in ("", "/projects/BTS"):
            assert client.put(f"/xapi{place}/wrappers/{wrapper}/enabled").status_code == 200
    log_in(page, site)
    go(page, "Subscriptions")
    page.get_by_role("button", name="New subscription").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("new exams")
    dialog.locator("select[name=project]").select_option("BTS")
    dialog.locator("select[name=wrapper]").select_option(str(wrapper))
    dialog.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("table", name="Subscriptions")).to_contain_text("new exams")
    add_session(site.hub, "SUBSCRIBED", project="BTS")
    delivery = page.get_by_role("table", name="Deliveries").get_by_role("row").filter(has_text="SUBSCRIBED")
    expect(delivery).to_contain_text("done", timeout=20_000)  # the list is asked for every five seconds
    delivery.get_by_text("Payload").click()
    expect(delivery).to_contain_text("xnat:mrSessionData")
    page.get_by_role("link", name="new exams").first.click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Subscriptions")
    expect(page.get_by_text("There is no subscription")).to_be_visible()


def test_every_page_is_whole_and_shows_hostile_texts_as_texts(site: RunningHub, page: Page, pictures: Path) -> None:
    with site.client() as client:
        fault = {"name": "needs-gpu", "version": "2.1", "image": "registry/none:1", "label": HOSTILE}
        command = client.post("/xapi/commands", json=document(**fault)).json()
        wrapper = client.get(f"/xapi/commands/{command}").json()["xnat"][0]["id"]
        for place in ("", "/projects/BTS"):
            assert client.put(f"/xapi{place}/wrappers/{wrapper}/enabled").status_code == 200
        about = {"event-type": EVENT, "status": "CREATED", "project-ids": ["BTS"]}
        body = {"name": HOSTILE, "active": True, "action-key": f"{ACTION}:{wrapper}", "event-filter": about}
        subscription = client.post("/xapi/events/subscription", json=body).text.rpartition(":")[2]
        receiver = {"aeTitle": "<b>BTS</b>", "port": 1, "enabled": False}
        assert client.post("/xapi/dicomscp", json=receiver).status_code == 200
    add_session(site.hub, "EVENTFUL", project="BTS")
    spooled = spooling.spool(site.hub, [file_bytes(prearchive.exam(seed=90, series_description=HOSTILE)[0])])
    header = read_file_header(spooled.path)
    storage.refuse(site.hub, spooled, reason=HOSTILE, source="<b>BTS</b>:1 from <b>CT</b>", header=header)
    refused = ledger(site)[-1].pk
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    log_in(page, site)
    page.wait_for_selector(".menu")
    said.clear()  # the login page has no icon
    addresses = {
        "sessions": "sessions", "prearchive": "sessions/BTS/20260401_090000000/WAITING", "runs": "runs",
        "run": "runs/1", "projects": "projects", "project": "projects/BTS", "commands": "commands",
        "command": f"commands/{command}", "command-editor": f"commands/new?from={command}",
        "subscriptions": "subscriptions", "subscription": f"subscriptions/{subscription}", "objects": "objects",
        "refused": f"objects/{refused}", "receivers": "receivers", "users": "users", "user": "users/mia",
        "storage": "storage", "audit": "audit",
    }  # fmt: skip
    too_wide = []
    for name, address in addresses.items():
        page.goto(f"{site.url}/overread/admin#/{address}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator(".panel, .listing, table.list").first).to_be_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.screenshot(path=pictures / f"admin-{name}-{scheme}.png")
        assert page.evaluate("globalThis.hacked") is None, name
        assert page.locator("main img, main script").count() == 0, name
        too_wide += [name] if page.evaluate(WIDER) else []
    assert (said, too_wide) == ([], [])
