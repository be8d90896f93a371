"""The prearchive and the import service: rows, actions, codes and quirks of XNAT."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import httpx
import pytest
from pydicom.dataset import Dataset

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import file_bytes, receiving_hub, wait_until
from helpers.uploads import zipped
from hub_fixture import RunningHub
from overread.synthetic.phantoms import make_mr_series

SHAPE = (5, 16, 20)
IMPORT = "/data/services/import"
ZIP = {"content-type": "application/zip"}

HUBS: dict[int, RunningHub] = {}


def send(port: int, images: Sequence[Dataset]) -> list[int]:
    """Send objects, and wait until the ledger has them."""
    before = len(arrivals.ledger(HUBS[port]))
    statuses = arrivals.send(port, images)
    wait_until(lambda: len(arrivals.ledger(HUBS[port])) >= before + len(images))
    return statuses


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    running, port = receiving_hub(tmp_path_factory.mktemp("prearchive"), quiet_default_s=600.0)
    with running.client() as client:
        client.put("/data/projects/OTHER")
    add_user(running.hub, "mary", role="member", project="BTS")
    add_user(running.hub, "rita", role="collaborator", project="BTS")
    HUBS[port] = running
    yield running, port
    running.stop()


@pytest.fixture
def port(shared: tuple[RunningHub, int]) -> Iterator[int]:
    yield shared[1]
    arrivals.wipe(shared[0])


@pytest.fixture
def hub(shared: tuple[RunningHub, int], port: int) -> RunningHub:
    return shared[0]


@pytest.fixture
def mary(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client("mary", "secret") as client:
        yield client


@pytest.fixture
def admin(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client() as client:
        yield client


def exam(seed: int, **header: object) -> list[Dataset]:
    return make_mr_series(SHAPE, seed=seed, **header)  # type: ignore[arg-type]


def listed(client: httpx.Client, path: str = "/data/prearchive") -> list[dict[str, str]]:
    answer = client.get(f"{path}?format=json")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return rows


# the prearchive


def test_a_row_is_xnats(mary: httpx.Client, port: int) -> None:
    images = exam(1)
    send(port, images)
    (row,) = listed(mary)
    name = images[0].StudyInstanceUID.replace(".", "_")
    assert list(row) == [
        "project", "timestamp", "lastmod", "uploaded", "scan_date", "scan_time", "subject", "folderName", "name", "tag",
        "status", "url", "autoarchive", "prevent_anon", "prevent_auto_commit", "SOURCE", "VISIT", "PROTOCOL",
        "TIMEZONE",
    ]  # fmt: skip
    assert (row["project"], row["name"], row["folderName"], row["subject"]) == ("BTS", name, name, "PHANTOM-1")
    assert (row["tag"], row["status"]) == (images[0].StudyInstanceUID, "RECEIVING")
    assert row["scan_date"] == "2024-01-15 00:00:00.0"
    assert row["url"] == f"/prearchive/projects/BTS/{row['timestamp']}/{name}"
    for column in ("lastmod", "uploaded"):
        moment = datetime.strptime(row[column], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    datetime.strptime(row["timestamp"], "%Y%m%d_%H%M%S%f").replace(tzinfo=UTC)


def test_scans_resources_and_files_of_a_session_are_listed(mary: httpx.Client, port: int) -> None:
    send(port, exam(1))
    (row,) = listed(mary)
    base = f"/data{row['url']}"
    (scan,) = listed(mary, f"{base}/scans")
    assert (scan["xsiType"], scan["series_description"]) == ("xnat:mrScanData", "FLAIR")
    (resource,) = listed(mary, f"{base}/scans/{scan['ID']}/resources")
    assert (resource["label"], resource["file_count"]) == ("DICOM", "5")
    assert len(listed(mary, f"{base}/scans/{scan['ID']}/resources/DICOM/files")) == 5
    with zipfile.ZipFile(io.BytesIO(mary.get(f"{base}?format=zip").content)) as archive:
        assert len(archive.namelist()) == 5
    assert mary.get(f"{base}/scans/99/resources?format=json").status_code == 404


def test_committing_archives_with_301_and_the_new_path_in_the_body(mary: httpx.Client, port: int) -> None:
    images = exam(2)
    send(port, images)
    (row,) = listed(mary)
    answer = mary.post(f"/data{row['url']}?action=commit&AA=true")
    name = images[0].StudyInstanceUID.replace(".", "_")
    assert answer.status_code == 301
    assert "location" not in answer.headers
    assert answer.text == f"/data/archive/projects/BTS/subjects/PHANTOM-1/experiments/{name}\r\n"
    assert mary.get(f"{answer.text.strip()}?format=json").status_code == 200
    assert listed(mary) == []


def test_building_and_committing_without_archiving_leave_the_session_ready(mary: httpx.Client, port: int) -> None:
    send(port, exam(3))
    (row,) = listed(mary)
    for action in ("build", "commit&auto-archive=false"):
        answer = mary.post(f"/data{row['url']}?action={action}")
        assert (answer.status_code, answer.text) == (200, f"/data{row['url']}\r\n")
    assert listed(mary)[0]["status"] == "READY"
    assert "built" in mary.get(f"/data{row['url']}/logs/last").text


def test_a_session_is_deleted_with_its_files(hub: RunningHub, mary: httpx.Client, port: int) -> None:
    send(port, exam(4))
    (row,) = listed(mary)
    assert mary.delete(f"/data{row['url']}").status_code == 200
    assert listed(mary) == []
    assert not list(hub.hub.layout.prearchive.rglob("*.dcm"))
    assert {line.state for line in arrivals.ledger(hub)} == {"deleted"}, "the ledger still knows"
    assert mary.delete(f"/data{row['url']}").status_code == 404
    assert set(send(port, exam(4))) == {0}, "it may come again"
    assert len(arrivals.ledger(hub, "received")) == 5


def test_a_session_moves_with_301(admin: httpx.Client, port: int) -> None:
    send(port, exam(5))
    (row,) = listed(admin)
    answer = admin.post(f"/data{row['url']}?action=move&newProject=OTHER")
    assert answer.status_code == 301
    assert answer.text.startswith("/data/prearchive/projects/OTHER/")
    (moved,) = listed(admin, "/data/prearchive/projects/OTHER")
    assert moved["project"] == "OTHER"


def test_archiving_onto_an_existing_label_is_a_conflict_until_it_is_allowed(mary: httpx.Client, port: int) -> None:
    images = exam(6)
    send(port, images[:3])
    (row,) = listed(mary)
    first = mary.post("/data/services/archive", params={"src": row["url"]})
    assert first.status_code == 200
    assert first.text.endswith("\r\n")
    send(port, images[3:])
    (row,) = listed(mary)
    again = mary.post("/data/services/archive", params={"src": f"/data{row['url']}"})
    assert again.status_code == 409
    assert "Session already exists, retry with overwrite enabled" in again.text
    merged = mary.post("/data/services/archive", params={"src": row["url"], "overwrite": "append"})
    assert (merged.status_code, merged.text) == (200, first.text)


def test_archiving_may_say_where_to(mary: httpx.Client, port: int) -> None:
    send(port, exam(7))
    (row,) = listed(mary)
    answer = mary.post("/data/services/archive", params={"src": row["url"], "subject": "S 1", "session": "E1"})
    assert answer.text == "/data/archive/projects/BTS/subjects/S_1/experiments/E1\r\n"


def test_services_work_on_several_sessions(mary: httpx.Client, port: int) -> None:
    for seed in (8, 9):
        send(port, exam(seed))
    rows = listed(mary)
    answer = mary.post("/data/services/prearchive/delete", params=[("src", row["url"]) for row in rows])
    assert answer.status_code == 200
    assert listed(mary) == []


def test_only_those_who_may_change_a_project_see_its_prearchive(
    hub: RunningHub, admin: httpx.Client, port: int
) -> None:
    send(port, exam(10))
    (row,) = listed(admin)
    with hub.client("rita", "secret") as rita:
        assert listed(rita) == []
        assert rita.get("/data/prearchive/projects/BTS").status_code == 403
        assert rita.get(f"/data{row['url']}").status_code == 403
        assert rita.delete(f"/data{row['url']}").status_code == 403
        assert rita.post("/data/services/archive", params={"src": row["url"]}).status_code == 403
        assert rita.get("/data/prearchive/projects/Unassigned").status_code == 403
        assert rita.get(f"/data/prearchive?tag={row['tag']}").status_code == 403
    assert listed(admin, "/data/prearchive/projects/Unassigned") == []
    assert admin.get(f"/data/prearchive?tag={row['tag']}&format=json").json()["ResultSet"]["totalRecords"] == "1"
    assert admin.get("/data/prearchive?tag=1.2&format=json").json()["ResultSet"]["Result"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "?action=dance", 400),
        ("POST", "?action=move", 400),
        ("POST", "?action=set-status&status=DANCING", 400),
        ("POST", "?action=set-status&status=READY", 200),
        ("POST", "?action=reset-status", 200),
        ("GET", "?format=xml", 404),
    ],
)
def test_actions_have_their_codes(mary: httpx.Client, port: int, method: str, path: str, status: int) -> None:
    send(port, exam(11))
    (row,) = listed(mary)
    assert mary.request(method, f"/data{row['url']}{path}").status_code == status


def test_what_is_not_there_is_404(mary: httpx.Client) -> None:
    assert mary.get("/data/prearchive/projects/BTS/20200101_000000000/X?format=json").status_code == 404
    assert mary.post("/data/services/archive?src=/prearchive/projects/BTS/1/X").status_code == 404
    assert mary.post("/data/services/archive?src=nonsense").status_code == 400
    assert mary.post("/data/services/archive").status_code == 400


def test_what_happened_to_a_session_is_kept_in_order(mary: httpx.Client, port: int) -> None:
    send(port, exam(12))
    (row,) = listed(mary)
    path = f"/data{row['url']}"
    mary.post(f"{path}?action=set-status&status=ERROR")
    mary.post(f"{path}?action=build")
    entries = listed(mary, f"{path}/logs")
    assert [entry["entry"] for entry in entries][-2:] == ["set on request", "built on request"]
    assert [entry["id"] for entry in entries] == [str(n + 1) for n in range(len(entries))]
    assert mary.get(f"{path}/logs/{entries[-1]['id']}").text == mary.get(f"{path}/logs/last").text
    assert mary.get(f"{path}/logs/99").status_code == 404


def test_a_session_that_is_worked_on_is_left_alone(mary: httpx.Client, port: int) -> None:
    images = exam(13)
    send(port, images[:2])
    (row,) = listed(mary)
    path = f"/data{row['url']}"
    assert mary.post(f"{path}?action=set-status&status=_ARCHIVING").status_code == 200
    for action in ("build", "commit", "move&newProject=OTHER"):
        answer = mary.post(f"{path}?action={action}")
        assert (answer.status_code, "session document locked" in answer.text) == (409, True)
    answer = mary.post("/data/services/archive", params={"src": row["url"]})
    assert (answer.status_code, "already in progress" in answer.text) == (403, True)
    assert mary.delete(path).status_code == 409
    send(port, images[2:])
    assert len(listed(mary)) == 2, "what comes meanwhile goes into a session of its own"
    reset = mary.post(f"{path}?action=reset-status")
    assert (reset.status_code, reset.text) == (200, f"{path}\r\n")
    assert mary.post(f"{path}?action=build").status_code == 200


def test_a_conflict_is_marked_on_the_session(mary: httpx.Client, port: int) -> None:
    images = exam(14)
    send(port, images[:3])
    mary.post("/data/services/archive", params={"src": listed(mary)[0]["url"]})
    send(port, images[3:])
    (row,) = listed(mary)
    assert mary.post(f"/data{row['url']}?action=commit&AA=true").status_code == 409
    (row,) = listed(mary)
    assert row["status"] == "CONFLICT"
    assert "already exists" in mary.get(f"/data{row['url']}/logs/last").text


def test_what_stands_against_archiving_is_told_beforehand(mary: httpx.Client, port: int) -> None:
    images = exam(15)
    send(port, images[:3])
    (row,) = listed(mary)
    validate = "/data/services/validate-archive"
    new = {"src": row["url"], "subject": "NEW15"}
    first = mary.post(f"{validate}?format=json", params=new).json()["ResultSet"]["Result"]
    assert [(one["code"], one["type"]) for one in first] == [("12", "WARN")], "the subject will be new"
    assert listed(mary)[0]["status"] == row["status"], "nothing was done"
    mary.post("/data/services/archive", params={"src": row["url"]})
    send(port, images[3:])
    (row,) = listed(mary)
    found = mary.post(f"{validate}?format=json", params={"src": row["url"]}).json()["ResultSet"]["Result"]
    assert [(one["code"], one["type"]) for one in found] == [("1", "CONFLICT"), ("16", "CONFLICT")]
    other = {"src": row["url"], "subject": "SOMEBODY"}
    found = mary.post(f"{validate}?format=json", params=other).json()["ResultSet"]["Result"]
    assert ("4", "FAIL") in [(one["code"], one["type"]) for one in found]
    assert mary.post(validate, params={"src": [row["url"], row["url"]]}).status_code == 400


def test_several_are_archived_each_by_itself(mary: httpx.Client, port: int) -> None:
    taken = exam(16)
    send(port, taken[:2])
    mary.post("/data/services/archive", params={"src": listed(mary)[0]["url"]})
    send(port, taken[2:])
    send(port, exam(17))
    rows = listed(mary)
    answer = mary.post("/data/services/archive?format=json", params={"src": [row["url"] for row in rows]})
    assert answer.status_code == 200
    statuses = {row["tag"]: row["status"] for row in answer.json()["ResultSet"]["Result"]}
    assert statuses == {taken[0].StudyInstanceUID: "CONFLICT", exam(17)[0].StudyInstanceUID: "ARCHIVED"}
    assert [row["tag"] for row in listed(mary)] == [taken[0].StudyInstanceUID]


def test_a_destination_may_be_a_path(mary: httpx.Client, port: int) -> None:
    send(port, exam(18))
    dest = "/archive/projects/BTS/subjects/S18/experiments/E18"
    answer = mary.post("/data/services/archive", data={"src": listed(mary)[0]["url"], "dest": dest})
    assert answer.text == f"/data{dest}\r\n"
    assert mary.post("/data/services/archive", data={"src": "/prearchive/projects/BTS/1/X"}).status_code == 404


def test_a_scan_of_a_session_is_deleted(mary: httpx.Client, port: int) -> None:
    images = exam(27)
    send(port, images)
    send(port, exam(28, study_instance_uid=images[0].StudyInstanceUID, series_number=2))
    (row,) = listed(mary)
    path = f"/data{row['url']}"
    scans = [scan["ID"] for scan in listed(mary, f"{path}/scans")]
    assert len(scans) == 2
    assert mary.delete(f"{path}/scans/{scans[0]}").status_code == 200
    assert [scan["ID"] for scan in listed(mary, f"{path}/scans")] == scans[1:]
    assert mary.delete(f"{path}/logs/last").status_code == 400
    assert mary.delete(f"{path}/scans/{scans[1]}").status_code == 200
    assert listed(mary) == []


def test_rules_of_the_site_come_after_the_receivers(admin: httpx.Client, port: int) -> None:
    rules = "/data/config/dicom/{}?inbody=true"
    text = {"content-type": "text/plain"}
    bad = admin.put(rules.format("projectRules"), content="nonsense", headers=text)
    assert (bad.status_code, "Routing expression" in bad.text) == (400, True)
    admin.put(rules.format("projectRules"), content="(0008,0050):^(OTHER)$", headers=text)
    admin.put(rules.format("sessionRules"), content="(0008,0060):(.*) t:^ r:SITE_", headers=text)
    try:
        answer = admin.post(
            IMPORT,
            params={"import-handler": "DICOM-zip"},
            content=zipped(exam(30, accession_number="OTHER")),
            headers=ZIP,
        )
        assert answer.text.startswith("/data/prearchive/projects/OTHER/")
        assert answer.text.endswith("/SITE_MR\r\n")
    finally:
        for path in ("projectRules", "sessionRules"):
            admin.delete(f"/data/config/dicom/{path}")


# the import service


def test_a_zip_is_imported_and_archived_as_said(hub: RunningHub, mary: httpx.Client) -> None:
    images = exam(20)
    answer = mary.post(
        IMPORT,
        params={
            "import-handler": "DICOM-zip", "inbody": "true", "project": "BTS", "subject": "SUB01",
            "session": "SUB01_MR1", "dest": "/archive/projects/BTS", "overwrite": "append",
        },
        content=zipped(images, **{"readme.txt": b"hello", "__MACOSX/x": b"y"}),
        headers=ZIP,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.text == "/data/archive/projects/BTS/subjects/SUB01/experiments/SUB01_MR1\r\n"
    files = mary.get(f"{answer.text.strip()}/scans/1/resources/DICOM/files?format=json").json()
    assert len(files["ResultSet"]["Result"]) == len(images)


def test_the_session_importer_keeps_to_the_prearchive_without_dest(admin: httpx.Client) -> None:
    assert admin.put("/data/projects/BTS/prearchive_code/0").status_code == 200
    answer = admin.post(
        IMPORT, params={"project": "BTS", "subject": "S", "session": "E"}, content=zipped(exam(21)), headers=ZIP
    )
    admin.put("/data/projects/BTS/prearchive_code/4")
    assert answer.status_code == 200
    assert answer.text.startswith("/data/prearchive/projects/BTS/")
    assert answer.text.endswith("/E\r\n")
    (row,) = listed(admin)
    assert row["status"] == "READY"


def test_one_object_at_a_time_stays_receiving(mary: httpx.Client) -> None:
    for image in exam(22):
        answer = mary.post(
            IMPORT,
            params={"import-handler": "gradual-DICOM", "inbody": "true", "PROJECT_ID": "BTS", "EXPT_LABEL": "E22"},
            content=file_bytes(image),
            headers={"content-type": "application/dicom"},
        )
        assert answer.status_code == 200
    (row,) = listed(mary)
    assert (row["status"], row["name"]) == ("RECEIVING", "E22")
    assert answer.text == f"/data{row['url']}\r\n"


def test_a_form_with_a_tar_is_imported(mary: httpx.Client) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for number, image in enumerate(exam(23)):
            content = file_bytes(image)
            entry = tarfile.TarInfo(f"{number}.dcm")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    answer = mary.post(
        IMPORT,
        data={"project": "BTS", "subject": "S", "session": "E23", "dest": "/archive"},
        files={"image_archive": ("x.tar.gz", buffer.getvalue(), "application/gzip")},
    )
    assert answer.text == "/data/archive/projects/BTS/subjects/S/experiments/E23\r\n"


def test_what_no_project_takes_goes_to_unassigned(admin: httpx.Client) -> None:
    answer = admin.post(IMPORT, params={"import-handler": "DICOM-zip"}, content=zipped(exam(24)), headers=ZIP)
    assert answer.text.startswith("/data/prearchive/projects/Unassigned/")


def test_importing_again_needs_leave(mary: httpx.Client) -> None:
    query = {"project": "BTS", "subject": "S", "session": "E25", "dest": "/archive"}
    content = zipped(exam(25))
    first = mary.post(IMPORT, params=query, content=content, headers=ZIP)
    assert mary.post(IMPORT, params=query, content=content, headers=ZIP).status_code == 409
    again = mary.post(IMPORT, params=query | {"overwrite": "append"}, content=content, headers=ZIP)
    assert (again.status_code, again.text) == (200, first.text)


@pytest.mark.parametrize(
    ("query", "content", "status", "words"),
    [
        ({"import-handler": "teleport"}, b"x", 404, "Unsupported import-handler"),
        ({"import-handler": "DICOM-zip"}, b"no archive", 400, "Unable to identify upload format"),
        ({"import-handler": "DICOM-zip"}, zipped([])[:10], 400, "Unable to identify upload format"),
        ({"import-handler": "DICOM-zip"}, zipped([], a=b"text"), 400, "not taken"),
        ({"import-handler": "DICOM-zip", "Ignore-Unparsable": "true"}, zipped([], a=b"text"), 400, "No DICOM object"),
        ({"import-handler": "gradual-DICOM"}, b"no DICOM", 400, "no DICOM file"),
        ({"project": "NONE"}, zipped([]), 404, "project NONE"),
        ({"dest": "/moon/projects/BTS"}, zipped([]), 400, "begin with /archive"),
        ({}, b"", 400, "no file"),
    ],
)
def test_what_can_not_be_imported_is_refused_with_the_reason(
    mary: httpx.Client, query: dict[str, str], content: bytes, status: int, words: str
) -> None:
    answer = mary.post(IMPORT, params={"project": "BTS"} | query, content=content, headers=ZIP)
    assert answer.status_code == status
    assert words in answer.text


def test_only_those_who_may_change_the_project_import(hub: RunningHub) -> None:
    with hub.client("rita", "secret") as rita:
        assert rita.post(IMPORT, params={"project": "BTS"}, content=zipped(exam(26)), headers=ZIP).status_code == 403
        assert rita.post(IMPORT, content=zipped(exam(26, accession_number="BTS")), headers=ZIP).status_code == 200
    (row,) = arrivals.rows(hub)
    assert row.project == "Unassigned", "an object does not get into a project that its sender may not write to"
