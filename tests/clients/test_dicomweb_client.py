"""dicomweb-client, a library that is not ours, finds, reads and stores."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pydicom.dataset import Dataset
from requests import HTTPError

from helpers import arrivals, viewer_seg
from helpers.arrivals import receiving_hub, wait_for_status
from overread.synthetic.phantoms import PhantomCase, make_case, make_mr_series


@pytest.fixture(scope="module")
def case() -> PhantomCase:
    return make_case(seed=1)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, case: PhantomCase) -> Iterator[DICOMwebClient]:
    running, port = receiving_hub(tmp_path_factory.mktemp("client"))
    assert set(arrivals.send(port, case.datasets)) == {0}
    wait_for_status(running, "ARCHIVED")
    session = create_session_from_user_pass("admin", running.password)
    yield DICOMwebClient(f"{running.url}/xapi/dicomweb/projects/BTS", session=session)
    session.close()
    running.stop()


def test_search(client: DICOMwebClient, case: PhantomCase) -> None:
    (study,) = client.search_for_studies(search_filters={"PatientID": "PHANTOM*"}, fields=["StudyDescription"])
    found = Dataset.from_json(study)
    assert found.StudyInstanceUID == case.datasets[0].StudyInstanceUID
    assert found.NumberOfStudyRelatedInstances == len(case.datasets)
    (series,) = client.search_for_series(found.StudyInstanceUID, search_filters={"Modality": "MR"})
    assert Dataset.from_json(series).SeriesInstanceUID == case.datasets[0].SeriesInstanceUID
    instances = client.search_for_instances(found.StudyInstanceUID, limit=5)
    assert len(instances) == 5
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3"}) == []


def test_metadata_is_the_dataset_but_for_its_pixels(client: DICOMwebClient, case: PhantomCase) -> None:
    first = case.datasets[0]
    document = client.retrieve_instance_metadata(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    found = Dataset.from_json(document, lambda *_: b"")
    for element in first:
        if element.keyword not in {"PixelData", "SpecificCharacterSet"}:
            assert found[element.tag].value == element.value, element.keyword
    series = client.retrieve_series_metadata(first.StudyInstanceUID, first.SeriesInstanceUID)
    assert len(series) == len(case.datasets)


def test_objects_frames_and_bulk_data_are_those_that_were_sent(client: DICOMwebClient, case: PhantomCase) -> None:
    first = case.datasets[0]
    place = (first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert client.retrieve_instance(*place) == first
    assert len(client.retrieve_series(*place[:2])) == len(case.datasets)
    assert client.retrieve_instance_frames(*place, frame_numbers=[1]) == [first.PixelData]
    uri = client.retrieve_instance_metadata(*place)["7FE00010"]["BulkDataURI"]
    # The library leaves the port out of its Host header, so the hub can't know it: take the path alone.
    path = urlsplit(uri).path.removeprefix(urlsplit(client.base_url).path)
    assert client.retrieve_bulkdata(client.base_url + path) == [first.PixelData]


def test_images_and_masks_are_stored(client: DICOMwebClient, case: PhantomCase) -> None:
    answer = client.store_instances(make_mr_series((5, 16, 20), seed=4))
    assert len(answer.ReferencedSOPSequence) == 5
    mask = viewer_seg.labelmap(case.datasets, viewer_seg.frames_of(case.mask), {1: "Lesion"})
    stored = client.store_instances([mask], study_instance_uid=mask.StudyInstanceUID)
    (reference,) = stored.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == mask.SOPInstanceUID
    kept = client.retrieve_instance(mask.StudyInstanceUID, mask.SeriesInstanceUID, mask.SOPInstanceUID)
    assert kept.SegmentationType == "BINARY"
    assert kept.pixel_array.sum() == case.mask.sum()


def test_a_refused_mask_is_told(client: DICOMwebClient, case: PhantomCase) -> None:
    mask = viewer_seg.labelmap(case.datasets, viewer_seg.frames_of(case.mask), {1: "Lesion"})
    mask.PatientID = "SOMEBODY"
    with pytest.raises(HTTPError, match="409"):
        client.store_instances([mask])
