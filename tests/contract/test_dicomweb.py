"""DICOMweb as OHIF uses it: the very requests it makes, answered as it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from pydicom.dataset import Dataset

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import receiving_hub, wait_for_status
from helpers.dicomweb import DICOM, OCTETS, ROOT, parts_of, read_part, value
from helpers.segments import seg_of
from hub_fixture import RunningHub
from overread.hub.models import Experiment
from overread.hub.roi.store import save_collection
from overread.synthetic.phantoms import PhantomCase, make_case, make_mr_series

RLE = "1.2.840.10008.1.2.5"


@dataclass
class Archive:
    """A hub with two exams of one patient and the model's mask on the first; the second is RLE compressed."""

    hub: RunningHub
    case: PhantomCase
    second: list[Dataset]
    seg: Dataset
    session_id: str

    @property
    def first(self) -> Dataset:
        return self.case.datasets[0]

    @property
    def study(self) -> str:
        return f"{ROOT}/studies/{self.first.StudyInstanceUID}"

    @property
    def series(self) -> str:
        return f"{self.study}/series/{self.first.SeriesInstanceUID}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    running, port = receiving_hub(tmp_path_factory.mktemp("dicomweb"))
    case = make_case(seed=1, study_date="20240115")
    second = make_mr_series((6, 16, 20), seed=2, study_date="20250116", accession_number="ACC2")
    assert set(arrivals.send(port, case.datasets)) == {0}
    for image in second:
        image.compress(RLE, encoding_plugin="pydicom", generate_instance_uid=False)
    assert set(arrivals.send(port, second, syntaxes=[RLE])) == {0}
    rows = wait_for_status(running, "ARCHIVED", count=2)
    session_id = next(r.session_id for r in rows if r.study_instance_uid == case.datasets[0].StudyInstanceUID)
    assert session_id is not None
    seg = seg_of(case)
    with running.hub.database.write() as db:
        session = db.get_one(Experiment, session_id)
        save_collection(db, running.hub, session, seg, label="AI-1", collection_type="SEG", name="Lesion", user="admin")
    add_user(running.hub, "rita", role="collaborator", project="BTS")
    add_user(running.hub, "mary", role="member", project="BTS")
    add_user(running.hub, "nobody")
    yield Archive(running, case, second, seg, session_id)
    running.stop()


@pytest.fixture
def client(archive: Archive) -> Iterator[httpx.Client]:
    with archive.hub.client("rita", "secret") as made:
        yield made


# QIDO


def test_the_study_is_found_as_the_viewer_asks_for_it(archive: Archive, client: httpx.Client) -> None:
    answer = client.get(
        f"{ROOT}/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
        f"&StudyInstanceUID={archive.first.StudyInstanceUID}",
        headers={"accept": "application/dicom+json"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    (record,) = answer.json()
    assert value(record, "0020000D") == archive.first.StudyInstanceUID
    assert value(record, "00080020") == "20240115"
    assert value(record, "00080030") == "101500"
    assert value(record, "00080050") == "ACC1"
    assert record["00080061"]["Value"] == ["MR", "SEG"]
    assert value(record, "00100010") == {"Alphabetic": "Phantom^One"}
    assert value(record, "00100020") == "PHANTOM-1"
    assert value(record, "00081030") == archive.first.StudyDescription
    assert value(record, "00201206") == 2
    assert value(record, "00201208") == len(archive.case.datasets) + 1
    assert value(record, "00081190") == f"{archive.hub.url}{archive.study}"


def test_prior_studies_of_the_patient_are_found(client: httpx.Client) -> None:
    records = client.get(f"{ROOT}/studies?00100020=PHANTOM-1&limit=101&offset=0").json()
    assert [value(record, "00080020") for record in records] == ["20240115", "20250116"]


@pytest.mark.parametrize(
    ("query", "dates"),
    [
        ("", ["20240115", "20250116"]),
        ("limit=1", ["20240115"]),
        ("limit=5&offset=1", ["20250116"]),
        ("AccessionNumber=ACC2", ["20250116"]),
        ("AccessionNumber=ACC*", ["20240115", "20250116"]),
        ("AccessionNumber=ACC?", ["20240115", "20250116"]),
        ("AccessionNumber=acc2", []),
        ("PatientName=phantom*", ["20240115", "20250116"]),
        ("StudyDate=20250101-", ["20250116"]),
        ("StudyDate=-20241231", ["20240115"]),
        ("StudyDate=20240101-20251231", ["20240115", "20250116"]),
        ("ModalitiesInStudy=SEG", ["20240115"]),
        ("StudyDescription=MR*", ["20240115", "20250116"]),
        ("StudyInstanceUID=1.2.3", []),
        ("PatientID=.*", []),
    ],
)
def test_studies_are_matched(client: httpx.Client, query: str, dates: list[str]) -> None:
    records = client.get(f"{ROOT}/studies?{query}").json()
    assert [value(record, "00080020") for record in records] == dates


def test_a_query_that_can_not_be_kept_is_refused_rather_than_ignored(client: httpx.Client) -> None:
    assert client.get(f"{ROOT}/studies?PatientIdent=1").status_code == 400
    assert client.get(f"{ROOT}/studies?limit=all").status_code == 400


def test_series_are_told_with_the_masks(archive: Archive, client: httpx.Client) -> None:
    records = client.get(
        f"{archive.study}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011",
        headers={"accept": "application/dicom+json"},
    ).json()
    assert [(value(r, "00080060"), value(r, "00201209")) for r in records] == [
        ("MR", len(archive.case.datasets)),
        ("SEG", 1),
    ]
    assert [value(r, "0020000E") for r in records] == [archive.first.SeriesInstanceUID, archive.seg.SeriesInstanceUID]
    assert value(records[0], "0008103E") == "FLAIR"
    assert value(records[0], "00080021") == archive.first.SeriesDate
    (one,) = client.get(f"{archive.study}/series?SeriesInstanceUID={archive.seg.SeriesInstanceUID}").json()
    assert value(one, "00080060") == "SEG"


def test_instances_are_told_in_their_order(archive: Archive, client: httpx.Client) -> None:
    records = client.get(f"{archive.series}/instances").json()
    assert [value(r, "00080018") for r in records] == [
        image.SOPInstanceUID for image in sorted(archive.case.datasets, key=lambda i: i.InstanceNumber)
    ]
    assert (value(records[0], "00280010"), value(records[0], "00280011")) == (32, 40)
    found = client.get(f"{ROOT}/instances?SOPInstanceUID={archive.first.SOPInstanceUID}&includefield=PixelSpacing")
    assert found.json()[0]["00280030"]["Value"] == [1.0, 1.25]


# WADO


def test_metadata_has_all_that_the_viewer_needs_but_no_pixels(archive: Archive, client: httpx.Client) -> None:
    answer = client.get(f"{archive.series}/metadata", headers={"accept": "application/dicom+json"})
    documents = {value(document, "00080018"): document for document in answer.json()}
    assert set(documents) == {image.SOPInstanceUID for image in archive.case.datasets}
    document = documents[archive.first.SOPInstanceUID]
    for tag in ("00080016", "0020000D", "0020000E", "00080060", "00280010", "00280100", "00280030", "00200037",
                "00200032", "00200052", "00280002", "00280004", "00280103"):  # fmt: skip
        assert document[tag]["Value"], tag
    assert document["00200032"]["Value"] == pytest.approx([float(v) for v in archive.first.ImagePositionPatient])
    assert document["7FE00010"]["BulkDataURI"].startswith(f"{archive.hub.url}{archive.series}/instances/")
    assert Dataset.from_json(document, lambda *_: b"").PatientName == "Phantom^One"


def test_sequences_of_a_mask_are_given_whole(archive: Archive, client: httpx.Client) -> None:
    (document,) = client.get(f"{archive.study}/series/{archive.seg.SeriesInstanceUID}/metadata").json()
    assert len(document["52009230"]["Value"]) == archive.seg.NumberOfFrames
    assert value(document, "00620002")["00620005"]["Value"] == ["Lesion"]
    assert value(document, "00081115")["0020000E"]["Value"] == [archive.first.SeriesInstanceUID]


def test_a_frame_is_the_bytes_of_the_file(archive: Archive, client: httpx.Client) -> None:
    answer = client.get(
        f"{archive.series}/instances/{archive.first.SOPInstanceUID}/frames/1", headers={"accept": OCTETS}
    )
    assert answer.headers["content-type"].startswith('multipart/related; type="application/octet-stream"; boundary=')
    assert "content-encoding" not in answer.headers
    assert parts_of(answer) == [
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", archive.first.PixelData)
    ]


def test_a_compressed_frame_comes_with_its_transfer_syntax(archive: Archive, client: httpx.Client) -> None:
    image = archive.second[0]
    url = (
        f"{ROOT}/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}"
        f"/instances/{image.SOPInstanceUID}/frames/1"
    )
    ((kind, content),) = parts_of(client.get(url, headers={"accept": OCTETS}))
    assert kind == f"application/octet-stream; transfer-syntax={RLE}"
    assert content in image.PixelData
    ((kind, _),) = parts_of(client.get(url, headers={"accept": "multipart/related; type=image/dicom-rle"}))
    assert kind.startswith("image/dicom-rle")
    refused = client.get(
        url, headers={"accept": "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"}
    )
    assert refused.status_code == 406
    assert RLE in refused.text


def test_frames_of_one_bit_per_pixel_are_brought_to_their_beginning(archive: Archive, client: httpx.Client) -> None:
    seg = archive.seg
    url = f"{archive.study}/series/{seg.SeriesInstanceUID}/instances/{seg.SOPInstanceUID}/frames/2"
    ((_, content),) = parts_of(client.get(url, headers={"accept": OCTETS}))
    bits = seg.Rows * seg.Columns
    assert len(content) == (bits + 7) // 8
    whole = int.from_bytes(seg.PixelData, "little")
    assert int.from_bytes(content, "little") == (whole >> bits) & ((1 << bits) - 1)


@pytest.mark.parametrize(("frame", "status"), [("2", 404), ("0", 404), ("x", 400), ("1,1", 200)])
def test_frames_that_there_are_not_are_told(archive: Archive, client: httpx.Client, frame: str, status: int) -> None:
    url = f"{archive.series}/instances/{archive.first.SOPInstanceUID}/frames/{frame}"
    assert client.get(url, headers={"accept": OCTETS}).status_code == status


def test_a_whole_object_comes_as_it_was_stored(archive: Archive, client: httpx.Client) -> None:
    url = f"{archive.study}/series/{archive.seg.SeriesInstanceUID}/instances/{archive.seg.SOPInstanceUID}"
    (part,) = parts_of(client.get(url, headers={"accept": 'multipart/related; type="application/dicom"'}))
    assert read_part(part) == archive.seg
    alone = client.get(url, headers={"accept": "application/dicom"})
    assert alone.content == part[1]


def test_a_series_and_a_study_come_whole(archive: Archive, client: httpx.Client) -> None:
    parts = parts_of(client.get(archive.series, headers={"accept": DICOM}))
    assert {read_part(part).SOPInstanceUID for part in parts} == {i.SOPInstanceUID for i in archive.case.datasets}
    assert len(parts_of(client.get(archive.study, headers={"accept": DICOM}))) == len(archive.case.datasets) + 1


def test_bulk_data_is_found_where_metadata_says(archive: Archive, client: httpx.Client) -> None:
    url = f"{archive.series}/instances/{archive.first.SOPInstanceUID}/metadata"
    (document,) = client.get(url).json()
    uri = document["7FE00010"]["BulkDataURI"]
    assert client.get(uri, headers={"accept": "application/octet-stream"}).content == archive.first.PixelData
    ((_, content),) = parts_of(client.get(uri, headers={"accept": OCTETS}))
    assert content == archive.first.PixelData
    assert client.get(uri.replace("7FE00010", "00100010")).status_code == 404


@pytest.mark.parametrize("path", ["studies/1.2/series", "studies/1.2/metadata", "studies/1.2/series/3/instances/4"])
def test_what_there_is_not_is_404(client: httpx.Client, path: str) -> None:
    assert client.get(f"{ROOT}/{path}").status_code == 404


# who may


def test_only_those_who_may_read_the_project_see_it(archive: Archive) -> None:
    with archive.hub.client(None) as client:
        assert client.get(f"{ROOT}/studies").status_code == 401
    with archive.hub.client("nobody", "secret") as client:
        for path in ("", "/series", "/metadata"):
            assert client.get(archive.study + path).status_code == 403
        assert client.get("/xapi/dicomweb/projects/NONE/studies").status_code == 403


def test_an_exam_of_another_project_is_not_found_through_this_one(archive: Archive) -> None:
    with archive.hub.client() as client:
        client.put("/data/projects/EMPTY")
        root = "/xapi/dicomweb/projects/EMPTY"
        assert client.get(f"{root}/studies").json() == []
        assert client.get(f"{root}/studies/{archive.first.StudyInstanceUID}/metadata").status_code == 404


def test_images_that_were_uploaded_as_files_are_found_as_well(archive: Archive) -> None:
    image = make_mr_series((2, 16, 20), seed=7)[0]
    with archive.hub.client() as admin:
        session = "/data/projects/BTS/subjects/UP/experiments/UPLOADED"
        assert admin.put(f"{session}?xsiType=xnat:mrSessionData&UID={image.StudyInstanceUID}").status_code == 201
        assert admin.put(f"{session}/scans/1?xsiType=xnat:mrScanData").status_code == 200
        content = arrivals.file_bytes(image)
        files = f"{session}/scans/1/resources/DICOM/files"
        assert admin.put(f"{files}/a.dcm?inbody=true&format=DICOM", content=content).status_code == 200
        assert admin.put(f"{files}/readme.txt?inbody=true", content=b"no DICOM").status_code == 200
        study = f"{ROOT}/studies/{image.StudyInstanceUID}"
        (part,) = parts_of(admin.get(study, headers={"accept": DICOM}))
        assert part[1] == content
        assert admin.delete(f"{files}/a.dcm").status_code == 200
        assert admin.get(study, headers={"accept": DICOM}).status_code == 404
