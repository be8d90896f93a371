"""The parts of DICOMweb that need no hub: what is accepted, bodies of several parts, JSON, frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID
from starlette.requests import Request

from helpers.arrivals import file_bytes
from overread.errors import DataError
from overread.hub.areas.dicomweb.accept import Wish, allows, wants_json, wishes
from overread.hub.areas.dicomweb.metadata import MetadataCache, to_json, to_text
from overread.hub.areas.dicomweb.multipart import Part, read_content, read_parts, related
from overread.hub.areas.dicomweb.pixels import open_pixels, read_frames
from overread.hub.arrival.objects import Header, read_file_header
from overread.hub.errors import HubError
from overread.synthetic.phantoms import make_mr_series

RLE = "1.2.840.10008.1.2.5"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
OCTETS = "application/octet-stream"


def asking(accept: str, query: str = "") -> Request:
    scope = {
        "type": "http",
        "headers": [(b"accept", accept.encode())] if accept else [],
        "query_string": query.encode(),
    }
    return Request(scope)


# Accept


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", [Wish("*/*")]),
        ("text/html, */*;q=0.1", [Wish("text/html"), Wish("*/*")]),
        ("a/b;q=0.2, c/d", [Wish("c/d"), Wish("a/b")]),
        ("a/b;q=0", []),
        ("a/b;q=much", []),
        (
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
            [Wish("multipart/related", OCTETS, "*")],
        ),
        ('multipart/related; type="a,b;c"', [Wish("multipart/related", "a,b;c")]),
    ],
)
def test_wishes_are_read_the_best_first(accept: str, expected: list[Wish]) -> None:
    assert list(wishes(asking(accept))) == expected


def test_the_query_counts_before_the_header() -> None:
    assert wishes(asking("text/html", "accept=application/dicom")) == [Wish("application/dicom")]


@pytest.mark.parametrize(("accept", "json_is_welcome"), [("*/*", True), ("application/dicom+xml", False)])
def test_who_wants_json(accept: str, *, json_is_welcome: bool) -> None:
    assert wants_json(asking(accept)) is json_is_welcome


@pytest.mark.parametrize(
    ("wish", "media_type", "stored", "allowed"),
    [
        (Wish("m", OCTETS, "*"), OCTETS, RLE, True),
        (Wish("m", OCTETS, ""), OCTETS, RLE, True),
        (Wish("m", OCTETS, EXPLICIT), OCTETS, RLE, False),
        (Wish("m", OCTETS, IMPLICIT), OCTETS, EXPLICIT, True),
        (Wish("m", "application/dicom", EXPLICIT), "application/dicom", IMPLICIT, False),
        (Wish("m", "image/jpeg", ""), "image/dicom-rle", RLE, False),
        (Wish("m", "", RLE), "image/dicom-rle", RLE, True),
    ],
)
def test_nothing_is_promised_that_would_need_converting(
    wish: Wish, media_type: str, stored: str, *, allowed: bool
) -> None:
    assert allows(wish, media_type, stored) is allowed


# bodies of several parts


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_parts_that_are_written_are_read_again(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    parts = [Part({"Content-Type": "application/dicom"}, [content]) for content in contents]
    answer = related(parts, media_type="application/dicom")

    async def collect() -> bytes:
        return b"".join([bytes(piece) if isinstance(piece, bytes) else b"" async for piece in answer.body_iterator])

    path = tmp_path_factory.mktemp("parts") / "body"
    path.write_bytes(asyncio.run(collect()))
    found = read_parts(path, answer.headers["content-type"])
    assert [b"".join(read_content(path, part)) for part in found] == contents
    assert {part.content_type for part in found} == {"application/dicom"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/related", b"--b\r\n\r\nx\r\n--b--"),
        ("multipart/related; boundary=b", b""),
        ("multipart/related; boundary=b", b"nothing of the kind"),
        ("multipart/related; boundary=b", b"--b"),
        ("multipart/related; boundary=b", b"--b\r\nContent-Type: application/dicom\r\n\r\nno end"),
        ("multipart/related; boundary=b", b"--b\r\n\r\nx\r\n--b"),
    ],
)
def test_a_body_that_does_not_keep_to_its_boundary_is_refused(tmp_path: Path, content_type: str, body: bytes) -> None:
    path = tmp_path / "body"
    path.write_bytes(body)
    with pytest.raises(HubError) as problem:
        read_parts(path, content_type)
    assert problem.value.status == 400


# JSON


def test_numbers_that_json_has_not_become_null() -> None:
    dataset = Dataset()
    dataset.EventTimeOffset = float("nan")
    document = json.loads(to_text(to_json(dataset, bulk_uri="")))
    assert document["00082134"]["Value"] == [None]


def test_long_binary_values_are_referred_to_and_short_ones_given() -> None:
    dataset = Dataset()
    dataset.add_new(0x00091010, "OB", b"x" * 2000)
    dataset.add_new(0x00091011, "OB", b"xy")
    document = to_json(dataset, bulk_uri="/bulk/")
    assert document["00091010"] == {"vr": "OB", "BulkDataURI": "/bulk/00091010"}
    assert document["00091011"]["InlineBinary"] == "eHk="


def test_metadata_is_made_once_and_the_longest_unused_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def counted(path: Path) -> Header:
        made.append(path)
        return read_file_header(path)

    monkeypatch.setattr("overread.hub.areas.dicomweb.metadata.read_file_header", counted)
    paths = []
    for number, image in enumerate(make_mr_series((3, 8, 8))):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(file_bytes(image))
    size = len(MetadataCache().get(paths[0], digest="a", bulk_uri=""))
    made.clear()
    cache = MetadataCache(max_bytes=int(2.5 * size))
    for index in (0, 1, 0, 2, 0, 1):
        cache.get(paths[index], digest="a", bulk_uri="")
    assert made == [paths[0], paths[1], paths[2], paths[1]]
    cache.get(paths[0], digest="another file", bulk_uri="")
    assert made[-1] == paths[0]


# frames


def multi_frame(*, bits: int, compress: bool = False) -> tuple[Dataset, NDArray[np.uint8]]:
    image = make_mr_series((2, 5, 7))[0]
    image.NumberOfFrames = 3
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit = bits - 1
    values = np.random.default_rng(1).integers(0, 2 if bits == 1 else 200, (3, 5, 7), dtype=np.uint8)
    if bits == 1:
        packed = np.packbits(values.ravel(), bitorder="little").tobytes()
        image.PixelData = packed + b"\0" * (len(packed) % 2)
    else:
        image.PixelData = values.tobytes() + b"\0" * (values.size % 2)
    image["PixelData"].VR = "OB"
    if compress:
        image.compress(RLE, encoding_plugin="pydicom", generate_instance_uid=False)
    return image, values


@pytest.mark.parametrize("bits", [1, 8])
def test_each_frame_begins_where_it_should(tmp_path: Path, bits: int) -> None:
    image, values = multi_frame(bits=bits)
    path = tmp_path / "x.dcm"
    path.write_bytes(file_bytes(image))
    for number, content in enumerate(read_frames(open_pixels(path), [1, 2, 3])):
        data = np.frombuffer(content, np.uint8)
        found = np.unpackbits(data, bitorder="little")[:35] if bits == 1 else data
        np.testing.assert_array_equal(found.reshape(5, 7), values[number])


def test_compressed_frames_come_one_by_one(tmp_path: Path) -> None:
    image, _ = multi_frame(bits=8, compress=True)
    path = tmp_path / "x.dcm"
    path.write_bytes(file_bytes(image))
    opened = open_pixels(path)
    assert opened.length is None
    frames = list(read_frames(opened, [3, 1]))
    assert frames[0] != frames[1]
    assert all(frame in image.PixelData for frame in frames)


def test_frames_beyond_the_data_are_told(tmp_path: Path) -> None:
    image, _ = multi_frame(bits=8)
    image.NumberOfFrames = 4
    path = tmp_path / "x.dcm"
    path.write_bytes(file_bytes(image))
    with pytest.raises(DataError, match="ends before frame 4"):
        list(read_frames(open_pixels(path), [4]))
    with pytest.raises(DataError, match="no frame 5"):
        list(read_frames(open_pixels(path), [5]))


def test_an_object_without_pixels_has_no_frames(tmp_path: Path) -> None:
    image = make_mr_series((2, 5, 7))[0]
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.88.33")
    for keyword in ("PixelData", "BitsAllocated"):
        delattr(image, keyword)
    path = tmp_path / "x.dcm"
    path.write_bytes(file_bytes(image))
    with pytest.raises(DataError, match="no pixel data"):
        open_pixels(path)


def test_parts_are_asked_for_only_when_they_are_sent() -> None:
    opened: list[int] = []

    def parts() -> Iterator[Part]:
        for number in range(3):
            opened.append(number)
            yield Part({}, [b"x"])

    related(parts(), media_type="application/dicom")
    assert opened == []
