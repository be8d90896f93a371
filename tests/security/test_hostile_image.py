"""An image that means harm: whatever it writes, nothing is stored elsewhere, nothing half, and the run says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from helpers.archive import add_project, add_session
from helpers.runs import MAIN, install, launch, wait_for
from hub_fixture import RunningHub, start_hub
from overread.errors import PermanentRunnerError
from overread.hub.models import Experiment, ResourceFile, Scan, Subject
from overread.hub.runs import outputs, spec
from overread.hub.runs.runner import Limits
from overread.hub.upkeep.check import check

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

SECRET = "the secret of another folder"
SCRIPT = "<script>globalThis.hacked=1</script>"

HARM = (
    MAIN
    + """
report = target / "report"
outside = pathlib.Path(os.environ["OUTSIDE"])
text = xml.read_text() if mode != "no-xml" else ""
if mode == "folder-link":
    (report / "etc").symlink_to("/etc", target_is_directory=True)
elif mode == "output-is-a-link":
    import shutil
    shutil.rmtree(report)
    report.symlink_to("/etc", target_is_directory=True)
elif mode == "document-is-a-link":
    xml.unlink()
    xml.symlink_to("/etc/passwd")
elif mode == "pipe":
    os.mkfifo(report / "pipe")
elif mode == "socket":
    import socket
    socket.socket(socket.AF_UNIX).bind(str(report / "socket"))
elif mode == "outwards":
    (target / "../escaped.txt").write_text("out")
    (target / ".." / ".." / "escaped.txt").write_text("out")
elif mode == "hub":
    (outside / "escaped.txt").write_text("out")
elif mode == "one-huge-file":
    with (report / "huge").open("wb") as sink:
        sink.truncate(2**30)
elif mode == "many-large-files":
    for number in range(40):  # holes that would become bytes when they are stored
        with (report / str(number)).open("wb") as sink:
            sink.truncate(2**23)
elif mode == "many-megabytes-of-xml":
    xml.write_text(text + "<!--" + "x" * (17 * 2**20) + "-->")
elif mode == "no-json":
    (target / "result.json").write_bytes(b"\\xff\\xfe{" + b"[" * 100_000)
elif mode == "large-json":
    with (target / "result.json").open("w") as sink:
        sink.write('{"status": "not-applicable", "reason": "' + "x" * (100 * 2**20) + '"}')
elif mode == "script-json":
    (target / "result.json").write_text(json.dumps({"status": "not-applicable", "reason": "SCRIPT_TEXT\\n\\x1b[31m"}))
elif mode == "other-session":
    xml.write_text(text.replace(os.environ["OVERREAD_SESSION_ID"], os.environ["OTHER_SESSION"]))
elif mode == "session-itself":
    xml.write_text(text.replace('label="R-', 'label="').replace("icr:RoiCollection", "xnat:MRSession"))
elif mode == "entities":
    bomb = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
    xml.write_text(text.replace('<?xml version="1.0"?>', '<?xml version="1.0"?>' + bomb).replace(">SEG<", ">&b;<"))
elif mode == "climbing-label":
    xml.write_text(text.replace('label="R-', 'label="../../../OTHER/arc001/'))
elif mode == "odd-names":
    (report / SCRIPT_NAME).write_text("A")
    (report / "line\\nbreak").write_text("A")
""".replace("SCRIPT_TEXT", SCRIPT).replace("SCRIPT_NAME", repr("<img src=x onerror=hacked()>.txt"))
)


@dataclass(frozen=True)
class Site:
    """A hub with a project of the image's own and one that is nothing to it."""

    hub: RunningHub
    wrapper: int
    session: str
    outside: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hostile")
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec, "Limits", partial(Limits, output_bytes=256 * 2**20))
        running = start_hub(folder, images=(folder / "images",))
        for project in ("P", "OTHER"):
            add_project(running.hub, project)
        session = add_session(running.hub)
        other = add_session(running.hub, "S2")
        variables = {
            "OVERREAD_PROJECT": "#project-id#",
            "OVERREAD_SESSION_ID": "#session-id#",
            "OVERREAD_SESSION_LABEL": "#session-label#",
            "OUTSIDE": str(outside),
            "OTHER_SESSION": other,
        }
        with running.client() as client:
            wrapper = install(client, folder / "images", main=HARM, environment_variables=variables)
        yield Site(running, wrapper, session, outside)
        running.stop()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with site.hub.client() as client:
        yield client


def everything(site: Site) -> tuple[object, ...]:
    """What is kept: rows, and files outside of runs and of what is unfinished."""
    layout = site.hub.hub.layout
    with site.hub.hub.database.read() as db:
        counts = [db.scalar(select(func.count()).select_from(one)) for one in (Experiment, ResourceFile, Scan, Subject)]
    files = {str(path) for folder in (layout.archive, layout.prearchive, layout.plugins) for path in folder.rglob("*")}
    return (
        *counts,
        files,
        sorted(path.name for path in site.outside.iterdir()),
        (site.outside / "secret.txt").read_text(),
    )


def ended(site: Site, client: httpx.Client, mode: str) -> dict[str, object]:
    before = len(client.get("/xapi/projects/P/containers").json())
    assert launch(client, site.wrapper, site.session, mode=mode).status_code == 200
    runs = wait_for(client, count=before + 1)
    return max(runs, key=lambda run: int(run["id"]))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("link", "is a link"),
        ("folder-link", "is a link"),
        ("output-is-a-link", "is a link"),
        ("document-is-a-link", "is a link"),
        ("one-huge-file", "File too large"),
        ("many-large-files", "wrote more than its limit"),
        ("many-megabytes-of-xml", "larger than"),
        ("foreign", "OTHER"),
        ("other-session", "names session"),
        ("session-itself", "can't be stored"),
        ("entities", "can't be stored"),
        ("climbing-label", "can't be stored"),
        ("hub", ""),
    ],
)
def test_it_is_refused_with_the_reason_and_nothing_is_stored(
    site: Site, client: httpx.Client, mode: str, words: str
) -> None:
    before = everything(site)
    run = ended(site, client, mode)
    assert str(run["status"]).startswith("Failed"), run
    assert words in str(run["reason"])
    assert "Traceback" not in str(run["reason"])
    assert everything(site) == before
    assert check(site.hub.hub, digests=True) == []


def test_what_it_writes_beside_its_folder_is_gone_with_it(site: Site, client: httpx.Client) -> None:
    run = ended(site, client, "outwards")
    assert run["status"] == "Complete", run
    assert not list(site.outside.parent.rglob("escaped.txt"))


@pytest.mark.parametrize("mode", ["pipe", "socket"])
def test_what_is_no_file_is_not_stored(site: Site, client: httpx.Client, mode: str) -> None:
    run = ended(site, client, mode)
    assert run["status"] == "Complete", run
    stored = client.get(f"/data/experiments/{site.session}/assessors/R-S1/resources/REPORT/files?format=json").json()
    names = {row["Name"] for row in stored["ResultSet"]["Result"]}
    assert names == {"a.txt", "b.txt"}
    assert check(site.hub.hub, digests=True) == []


@pytest.mark.parametrize("mode", ["no-json", "large-json"])
def test_a_result_that_is_no_json_or_far_too_large_says_nothing(site: Site, client: httpx.Client, mode: str) -> None:
    run = ended(site, client, mode)
    assert (run["status"], run["reason"]) == ("Complete", "")


def test_what_it_says_is_one_line_of_text(site: Site, client: httpx.Client) -> None:
    run = ended(site, client, "script-json")
    assert str(run["reason"]).startswith(SCRIPT), "as it is: who shows it shows it as text"
    assert "\n" not in str(run["reason"])
    assert "\x1b" not in str(run["reason"])
    page = client.get(f"/data/experiments/{site.session}", params={"format": "html"})
    assert SCRIPT not in page.text


def test_odd_names_of_files_are_names(site: Site, client: httpx.Client) -> None:
    before = everything(site)
    run = ended(site, client, "odd-names")
    if str(run["status"]).startswith("Failed"):
        assert "can't be stored" in str(run["reason"])
        assert everything(site) == before
    assert check(site.hub.hub, digests=True) == []


def test_a_file_that_somebody_stored_runs_no_script(site: Site, client: httpx.Client) -> None:
    path = f"/data/experiments/{site.session}/resources/NOTES/files/page.html"
    page = f"<!DOCTYPE html><script>alert(1)</script>{SCRIPT}".encode()
    assert client.put(path, params={"inbody": "true"}, content=page).status_code in {200, 201}
    sent = client.get(path)
    assert sent.content == page
    assert sent.headers["content-security-policy"].startswith("script-src 'none'")
    assert sent.headers["x-content-type-options"] == "nosniff"


def test_no_pattern_of_an_output_leaves_its_folder(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("s")
    for path, glob in (("..", ""), ("", "../*"), ("a/../..", "*"), ("", "/etc/*")):
        with pytest.raises(PermanentRunnerError, match="leaves the output folder"):
            list(outputs.collect(tmp_path / "out", path, glob))
