"""Anonymisation scripts: XNAT's REST for them, and that no exam gets into the archive that was not anonymised."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import receiving_hub, wait_for_status, wait_until
from helpers.uploads import zipped
from hub_fixture import RunningHub
from overread.dicom.dicomedit.functions import hash_uid
from overread.hub.models import ReceivedObject
from overread.synthetic.phantoms import make_mr_series

SITE, PROJECT = "/xapi/anonymize/site", "/xapi/anonymize/projects/BTS"
TEXT = {"content-type": "text/plain"}
NAMES = 'version "6.3"\n(0010,0010) := subject\n(0010,0020) := session\n'
FAILS = 'version "6.3"\n(0028,0010) := "many"\n'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    running, port = receiving_hub(tmp_path_factory.mktemp("anon"), quiet_default_s=600.0)
    add_user(running.hub, "olga", role="owner", project="BTS")
    add_user(running.hub, "mary", role="member", project="BTS")
    yield running, port
    running.stop()


@pytest.fixture
def hub(shared: tuple[RunningHub, int]) -> Iterator[RunningHub]:
    running = shared[0]
    yield running
    with running.client() as admin:
        for path in (SITE, PROJECT):
            admin.put(f"{path}/enabled?enable=false", json=None)
        for row in admin.get("/data/projects/BTS/experiments?format=json").json()["ResultSet"]["Result"]:
            assert admin.delete(f"/data/experiments/{row['ID']}?removeFiles=true").status_code == 200
    arrivals.wipe(running)


@pytest.fixture
def admin(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client() as client:
        yield client


def exam(seed: int, **header: object) -> list[Dataset]:
    images = make_mr_series((3, 16, 20), seed=seed, **header)  # type: ignore[arg-type]
    for image in images:
        image.PatientName, image.PatientID = "Doe^Jane", "MRN-77"
        image.private_block(0x0019, "ACME 1.0", create=True).add_new(0x0F, "LO", "secret")
    return images


def store(client: httpx.Client, path: str, script: str) -> httpx.Response:
    return client.put(path, content=script, headers=TEXT)


def send(client: httpx.Client, images: Sequence[Dataset], **query: str) -> httpx.Response:
    query = {"project": "BTS", "subject": "SUB1", "session": "EXAM1", "dest": "/archive"} | query
    return client.post(
        "/data/services/import", params=query, content=zipped(images), headers={"content-type": "application/zip"}
    )


def kept(client: httpx.Client, session: str) -> list[Dataset]:
    files = client.get(f"{session}/scans/1/resources/DICOM/files?format=json").json()["ResultSet"]["Result"]
    return [pydicom.dcmread(io.BytesIO(client.get(row["URI"]).content)) for row in files]


def row(client: httpx.Client) -> dict[str, str]:
    (found,) = client.get("/data/prearchive/projects/BTS?format=json").json()["ResultSet"]["Result"]
    return dict(found)


# REST


def test_scripts_are_stored_read_and_switched(hub: RunningHub, admin: httpx.Client) -> None:
    assert admin.get("/xapi/anonymize/default").text.startswith('version "6.1"')
    assert admin.get(f"{SITE}/enabled").json() is False
    assert store(admin, SITE, NAMES).status_code == 200
    assert admin.get(SITE).text == NAMES
    assert admin.put(f"{SITE}/enabled", json=None).status_code == 200, "XNAT's default is true"
    assert admin.get(f"{SITE}/enabled").json() is True
    assert admin.get("/xapi/siteConfig/enableSitewideAnonymizationScript").json() is True
    assert admin.put(f"{SITE}/enabled?enable=false", json=None).status_code == 200
    assert admin.get(f"{SITE}/enabled").json() is False
    assert admin.put(f"{SITE}/enabled?enable=maybe", json=None).status_code == 400
    assert admin.put(f"{SITE}/enabled", json=True).status_code == 200
    assert admin.get(f"{SITE}/enabled").json() is True


def test_a_projects_script_is_absent_until_it_is_stored_and_while_it_is_off(shared: tuple[RunningHub, int]) -> None:
    with shared[0].client() as admin:
        admin.put("/data/projects/FRESH")
        path = "/xapi/anonymize/projects/FRESH"
        assert (admin.get(path).status_code, admin.get(path).text) == (204, "")
        assert admin.get(f"{path}/enabled").json() is False
        assert admin.put(f"{path}/enabled", json=None).status_code == 404
        assert admin.get("/data/projects/FRESH/config/anon").status_code == 404
        assert store(admin, path, NAMES).status_code == 200
        assert admin.get(path).text == NAMES
        assert admin.get(f"{path}/enabled").json() is True
        assert admin.put(f"{path}/enabled?enable=false", json=None).status_code == 200
        assert admin.get(path).status_code == 204
        assert admin.get("/data/projects/FRESH/config/anon?format=json").json()["ResultSet"]["totalRecords"] == "1"


def test_who_may_store_scripts(hub: RunningHub) -> None:
    with hub.client("olga", "secret") as olga, hub.client("mary", "secret") as mary, hub.client(None) as guest:
        assert store(olga, SITE, NAMES).status_code == 403
        assert store(olga, PROJECT, NAMES).status_code == 200
        assert store(mary, PROJECT, NAMES).status_code == 403
        assert mary.put(f"{PROJECT}/enabled?enable=false", json=None).status_code == 403
        assert mary.get(PROJECT).text == NAMES
        assert mary.get(SITE).status_code == 200
        assert guest.get(SITE).status_code == 401
        assert mary.get("/xapi/anonymize/projects/NONE").status_code in {403, 404}


@pytest.mark.parametrize(
    "put",
    [
        lambda client, script: store(client, SITE, script),
        lambda client, script: store(client, PROJECT, script),
        lambda client, script: store(client, "/data/projects/BTS/config/anon/script?inbody=true", script),
        lambda client, script: client.post("/xapi/siteConfig", json={"sitewideAnonymizationScript": script}),
    ],
    ids=["site", "project", "configuration", "preference"],
)  # fmt: skip
def test_what_can_not_be_run_is_refused_with_line_and_reason_and_the_former_one_stays(
    admin: httpx.Client, put: object
) -> None:
    assert put(admin, NAMES).status_code in {200, 201}  # type: ignore[operator]
    before = (admin.get(SITE).text, admin.get(PROJECT).text)
    answer = put(admin, 'version "6.3"\n(0010,0010) := "x"\nalterPixels["rectangle"]\n')  # type: ignore[operator]
    assert answer.status_code == 400
    assert "Line 3" in answer.text
    assert "pixels are kept" in answer.text
    assert (admin.get(SITE).text, admin.get(PROJECT).text) == before


def test_a_script_where_nobody_would_run_it_is_refused(admin: httpx.Client) -> None:
    answer = store(admin, "/data/projects/BTS/config/anon/elsewhere?inbody=true", NAMES)
    assert (answer.status_code, "anon/script" in answer.text) == (400, True)


# what they do


def test_a_projects_script_runs_before_anything_is_in_the_archive(hub: RunningHub, admin: httpx.Client) -> None:
    store(admin, PROJECT, NAMES + "removeAllPrivateTags\n- (0008,0080)\n(0018,1030) := project\n")
    images = exam(1)
    answer = send(admin, images)
    assert answer.text == "/data/archive/projects/BTS/subjects/SUB1/experiments/EXAM1\r\n"
    session = answer.text.strip()
    found = kept(admin, session)
    assert len(found) == len(images)
    for image in found:
        assert (image.PatientName, image.PatientID, image.ProtocolName) == ("SUB1", "EXAM1", "BTS")
        assert not [element for element in image if element.tag.is_private]
    assert {i.PixelData for i in found} == {i.PixelData for i in images}
    item = admin.get(f"{session}?format=json").json()["items"][0]["data_fields"]
    assert (item["dcmPatientName"], item["dcmPatientId"]) == ("SUB1", "EXAM1")
    archive = hub.hub.layout.archive
    assert not [path for path in archive.rglob("*.dcm") if b"Doe" in path.read_bytes()]
    assert not list(hub.hub.layout.prearchive.rglob("*.dcm"))
    assert not list(hub.hub.layout.tmp.glob("anonymised-*"))
    lines = arrivals.ledger(hub, "archived")
    assert all(line.original_digest not in {"", line.digest} for line in lines)


def test_the_sites_script_runs_first_and_not_where_it_is_unwanted(admin: httpx.Client) -> None:
    store(admin, SITE, 'version "6.1"\n(0010,0010) := "site"\n(0010,0020) := "site"')
    admin.put(f"{SITE}/enabled", json=None)
    store(admin, PROJECT, 'version "6.1"\n(0010,0010) := concatenate[(0010,0010), "+project"]')
    first = kept(admin, send(admin, exam(2)).text.strip())[0]
    assert (first.PatientName, first.PatientID) == ("site+project", "site")
    second = kept(admin, send(admin, exam(3), session="EXAM2", prevent_anon="true").text.strip())[0]
    assert (second.PatientName, second.PatientID) == ("Doe^Jane+project", "MRN-77")


def test_a_receiver_may_leave_the_sites_script_out(
    shared: tuple[RunningHub, int], hub: RunningHub, admin: httpx.Client
) -> None:
    store(admin, SITE, NAMES)
    admin.put(f"{SITE}/enabled", json=None)
    receiver = admin.get("/xapi/dicomscp").json()[0]
    for anonymises, name in ((False, "Doe^Jane"), (True, "MRN-77")):
        assert admin.put(f"/xapi/dicomscp/{receiver['id']}", json={"anonymizationEnabled": anonymises}).is_success
        images = exam(4 + anonymises)
        assert set(arrivals.send(shared[1], images)) == {0}
        wait_until(lambda: len(arrivals.ledger(hub, "received")) == 3)
        answer = admin.post(f"/data{row(admin)['url']}?action=commit&AA=true")
        assert answer.status_code == 301, answer.text
        assert kept(admin, answer.text.strip())[0].PatientName == name


def test_hashed_uids_are_those_that_the_archive_knows(hub: RunningHub, admin: httpx.Client) -> None:
    store(admin, PROJECT, 'version "6.3"\nhashUIDList[(0020,000D), (0020,000E), (0008,0018)]')
    images = exam(6)
    study = hash_uid(images[0].StudyInstanceUID)
    session = send(admin, images[:2]).text.strip()
    item = admin.get(f"{session}?format=json").json()["items"][0]["data_fields"]
    assert item["UID"] == study
    found = admin.get("/xapi/dicomweb/projects/BTS/studies", headers={"accept": "application/dicom+json"}).json()
    assert [row["0020000D"]["Value"] for row in found] == [[study]]
    again = send(admin, images, overwrite="append")
    assert again.text.strip() == session, "the same study, and what was there is not there twice"
    assert {i.SOPInstanceUID for i in kept(admin, session)} == {hash_uid(i.SOPInstanceUID) for i in images}
    assert {i.file_meta.MediaStorageSOPInstanceUID for i in kept(admin, session)} == {
        hash_uid(i.SOPInstanceUID) for i in images
    }
    assert sorted(line.state for line in arrivals.ledger(hub)) == ["archived"] * 3 + ["duplicate"] * 2


def test_an_exam_whose_anonymisation_fails_stays_in_the_prearchive_with_the_reason(
    hub: RunningHub, admin: httpx.Client
) -> None:
    store(admin, PROJECT, NAMES + '(0028,0010) := "many"')
    answer = send(admin, exam(7))
    assert answer.status_code == 500
    assert "Line 4" in answer.text
    waiting = row(admin)
    assert waiting["status"] == "ERROR"
    assert "Line 4" in admin.get(f"/data{waiting['url']}/logs/last").text
    assert not list(hub.hub.layout.archive.rglob("*.dcm"))
    assert not list(hub.hub.layout.tmp.glob("anonymised-*"))
    assert len(list(hub.hub.layout.prearchive.rglob("*.dcm"))) == 3
    assert admin.get("/data/projects/BTS/experiments?format=json").json()["ResultSet"]["Result"] == []
    assert all(line.original_digest == "" for line in arrivals.ledger(hub, "received"))
    store(admin, PROJECT, NAMES)  # corrected: the very same exam goes through
    done = admin.post("/data/services/archive", params={"src": waiting["url"]})
    assert done.status_code == 200, done.text
    assert kept(admin, done.text.strip())[0].PatientName == "SUB1"


def test_an_exam_that_archives_itself_waits_as_well(tmp_path: Path) -> None:
    running, port = receiving_hub(tmp_path)
    try:
        with running.client() as admin:
            assert store(admin, PROJECT, FAILS).status_code == 200
            arrivals.send(port, exam(8))
            (found,) = wait_for_status(running, "ERROR")
            assert "script of project BTS failed" in found.reason
            assert "Doe" not in found.reason
            assert not list(running.hub.layout.archive.rglob("*.dcm"))
    finally:
        running.stop()


def test_studies_that_a_script_tears_apart_are_not_archived(admin: httpx.Client) -> None:
    store(admin, PROJECT, 'version "6.3"\n(0020,000D) := hashUID[(0008,0018)]')
    answer = send(admin, exam(9))
    assert answer.status_code == 500
    assert "different StudyInstanceUIDs" in answer.text


def test_without_scripts_files_stay_byte_by_byte(hub: RunningHub, admin: httpx.Client) -> None:
    send(admin, exam(10))
    with hub.hub.database.read() as db:
        assert {line.original_digest for line in db.query(ReceivedObject)} == {""}
