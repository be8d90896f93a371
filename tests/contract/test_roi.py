"""ROI collections as XNAT's OHIF plugin keeps them, with its rules in its order and its codes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from pydicom import dcmread

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import file_bytes, receiving_hub, wait_for_status
from helpers.segments import seg_of
from hub_fixture import RunningHub
from overread.synthetic.phantoms import PhantomCase, make_case

PROJECT = "/xapi/roi/projects/BTS"
OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running, port = receiving_hub(tmp_path_factory.mktemp("roi"))
    assert set(arrivals.send(port, case().datasets)) == {0}
    wait_for_status(running, "ARCHIVED")
    add_user(running.hub, "rita", role="collaborator", project="BTS")
    add_user(running.hub, "mary", role="member", project="BTS")
    yield running
    running.stop()


def case() -> PhantomCase:
    return make_case(seed=1)


@pytest.fixture
def client(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client() as made:
        yield made


@pytest.fixture(scope="module")
def session(hub: RunningHub) -> str:
    with hub.client() as client:
        (row,) = client.get(f"{PROJECT}/containers/{case().datasets[0].StudyInstanceUID}").json()
        assert (row["projectId"], row["subjectLabel"], row["xsiType"]) == ("BTS", "PHANTOM-1", "xnat:mrSessionData")
        return str(row["sessionId"])


def put(client: httpx.Client, session: str, label: str, content: bytes, **query: str) -> httpx.Response:
    return client.put(
        f"{PROJECT}/sessions/{session}/collections/{label}",
        params={"type": "SEG"} | query,
        content=content,
        headers=OCTETS,
    )


def test_a_collection_is_kept_as_it_was_sent(client: httpx.Client, session: str) -> None:
    sent = file_bytes(seg_of(case()))
    answer = put(client, session, "KEPT", sent)
    assert answer.status_code == 200
    assert answer.text.startswith("RoiCollection_")
    for name in ("KEPT", answer.text):
        assert client.get(f"{PROJECT}/collections/{name}").content == sent
        assert client.get(f"{PROJECT}/exists/{name}").json() is True
    item = client.get(f"/data/experiments/{session}/assessors/{answer.text}?format=json").json()["items"][0]
    fields = item["data_fields"]
    assert (item["meta"]["xsi:type"], fields["collectionType"], fields["label"]) == (
        "icr:roiCollectionData", "SEG", "KEPT",
    )  # fmt: skip
    assert fields["UID"] == dcmread(BytesIO(sent)).SOPInstanceUID
    (reference,) = (child for child in item["children"] if child["field"] == "references/seriesUID")
    assert reference["items"][0]["data_fields"]["seriesUID"] == case().datasets[0].SeriesInstanceUID
    files = client.get(f"/data/experiments/{session}/assessors/{answer.text}/files?format=json").json()
    assert [row["Name"] for row in files["ResultSet"]["Result"]] == ["KEPT.dcm"]
    (region,) = client.get(f"{PROJECT}/rois/KEPT").json()
    assert region["name"] == "Lesion"


def test_a_label_is_used_once_unless_it_is_said_to_be_replaced(client: httpx.Client, session: str) -> None:
    first = put(client, session, "TWICE", file_bytes(seg_of(case())))
    again = put(client, session, "TWICE", file_bytes(seg_of(case())), overwrite="false")
    assert again.status_code == 422
    assert again.text == "ROI collection exists, overwrite not specified"
    other = file_bytes(seg_of(case()))
    replaced = put(client, session, "TWICE", other, overwrite="true")
    assert (replaced.status_code, replaced.text) == (200, first.text)
    assert client.get(f"{PROJECT}/collections/TWICE").content == other


def test_a_label_of_another_session_is_a_conflict(client: httpx.Client, session: str) -> None:
    put(client, session, "TAKEN", file_bytes(seg_of(case())))
    uid = {"UID": "1.2.99", "modality": "MR", "xsiType": "xnat:mrSessionData"}
    other = client.put("/data/projects/BTS/subjects/X/experiments/OTHER", params=uid).text
    assert put(client, other, "TAKEN", file_bytes(seg_of(case()))).status_code == 409


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"StudyInstanceUID": "1.2.3"}, "study UID"),
        ({"series": "1.2.3"}, "series UID"),
        ({"instance": "1.2.3"}, "SOP instance UID"),
    ],
)
def test_what_it_refers_to_must_be_in_the_session(
    client: httpx.Client, session: str, changes: dict[str, str], what: str
) -> None:
    seg = seg_of(case())
    if "StudyInstanceUID" in changes:
        seg.StudyInstanceUID = changes["StudyInstanceUID"]
    if "series" in changes:
        seg.ReferencedSeriesSequence[0].SeriesInstanceUID = changes["series"]
    if "instance" in changes:
        seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = changes["instance"]
    answer = put(client, session, "STRAY", file_bytes(seg))
    assert (answer.status_code, answer.text) == (422, f"Missing dependencies: {what}")
    assert client.get(f"{PROJECT}/exists/STRAY").json() is False


def test_modalities_that_are_not_drawn_on_are_refused_before_anything_else(client: httpx.Client) -> None:
    other = client.put(
        "/data/projects/BTS/subjects/X/experiments/CHEST",
        params={"xsiType": "xnat:crSessionData", "modality": "CR", "UID": "1.2.77"},
    ).text
    answer = put(client, other, "CHEST-1", b"whatever")
    assert (answer.status_code, answer.text) == (422, "Collection type SEG not supported for modality CR")


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("POLYGON", b"x", 400),
        ("AIM", b"<xml/>", 501),
        ("SEG", b"no DICOM", 422),
        ("SEG", b"", 400),
        ("SEG", file_bytes(make_case().datasets[0]), 422),
    ],
    ids=["unknown type", "type the hub lacks", "no DICOM", "empty", "an image"],
)
def test_what_is_no_collection_is_refused(
    client: httpx.Client, session: str, kind: str, content: bytes, status: int
) -> None:
    assert put(client, session, "BAD", content, type=kind).status_code == status
    url = f"{PROJECT}/sessions/{session}/collections/BAD"
    assert client.put(url, params={"type": "SEG"}, json={}).status_code == 415
    assert client.get(f"{PROJECT}/exists/BAD").json() is False


def test_a_collection_is_deleted_with_its_files(hub: RunningHub, client: httpx.Client, session: str) -> None:
    put(client, session, "SHORT", file_bytes(seg_of(case())))
    assert client.delete(f"{PROJECT}/collections/SHORT").status_code == 200
    assert client.get(f"{PROJECT}/exists/SHORT").json() is False
    assert client.get(f"{PROJECT}/collections/SHORT").status_code == 404
    assert client.delete(f"{PROJECT}/collections/SHORT").status_code == 422
    assert not list(hub.hub.layout.archive.rglob("SHORT*"))


def test_types_are_not_converted(client: httpx.Client, session: str) -> None:
    put(client, session, "TYPED", file_bytes(seg_of(case())))
    assert client.get(f"{PROJECT}/collections/TYPED?type=SEG").status_code == 200
    assert client.get(f"{PROJECT}/collections/TYPED?type=RTSTRUCT").status_code == 422


def test_rights_are_those_of_the_project(hub: RunningHub, session: str) -> None:
    content = file_bytes(seg_of(case()))
    with hub.client("rita", "secret") as client:
        assert put(client, session, "BY-RITA", content).status_code == 403
        assert client.get(f"{PROJECT}/permissions/RoiCollection").json() == {
            "create": False, "read": True, "edit": False, "delete": False, "activate": False,
        }  # fmt: skip
    with hub.client("mary", "secret") as client:
        assert put(client, session, "BY-MARY", content).status_code == 200
        assert client.get(f"{PROJECT}/permissions/RoiCollection").json()["create"] is True
        assert client.delete(f"{PROJECT}/collections/BY-MARY").status_code == 403


def test_series_and_objects_are_found_by_their_uids(client: httpx.Client, session: str) -> None:
    images = case().datasets
    assert client.get(f"{PROJECT}/sessions/{session}/uididmap").json() == {images[0].SeriesInstanceUID: "1"}
    uids = client.get(f"{PROJECT}/sessions/{session}/scans/1/uids").json()
    assert sorted(uids) == sorted(image.SOPInstanceUID for image in images)
    assert client.get(f"{PROJECT}/sessions/{session}/scans/9/uids").status_code == 404
    assert client.get(f"{PROJECT}/containers/1.2.3").json() == []


def test_the_viewer_exists_for_sessions_with_images(client: httpx.Client, session: str) -> None:
    base = "/xapi/viewer/projects/BTS/experiments"
    assert client.get(f"{base}/{session}/exists").status_code == 200
    empty = client.put("/data/projects/BTS/subjects/X/experiments/EMPTY?xsiType=xnat:mrSessionData").text
    assert client.get(f"{base}/{empty}/exists").status_code == 404
    assert client.get(f"{base}/NONE/exists").status_code == 404
