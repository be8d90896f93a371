"""Blinded copies on a hub, as the coordinator's service puts them there, and with a leak planted, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from helpers.arrivals import file_bytes
from overread.dicom.evening import even_images, even_segmentation
from overread.dicom.seg import SegmentInfo, write_seg
from overread.study.blinding import code_of, shuffle_key, uids_of
from overread.synthetic.phantoms import make_case
from overread.xnat.blinding import Reading

SALT = bytes(range(32))
SOURCES = ("expert", "model", "novice")
SEGMENTS = (SegmentInfo(number=1, label="Lesion"),)
SHAPE = (6, 24, 24)

SegChange = Callable[[Dataset, Reading], None]


@dataclass
class Copies:
    """A blinded study of one reader: what is put on the server, in which order."""

    project: str
    exams: int
    change_seg: SegChange | None = None
    change_mask: Callable[[NDArray[np.bool_], Reading], NDArray[np.bool_]] | None = None
    order: Callable[[Reading], Any] | None = None
    fields: Callable[[Reading], dict[str, Any]] | None = None
    session: Callable[[Reading], dict[str, str]] | None = None
    readings: list[Reading] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(self.exams):
            for source in SOURCES:
                code = code_of(SALT, [self.project, f"E{number}", source])
                self.readings.append(
                    Reading(
                        code=code, exam=f"E{number}", source=source, reader="r1", role="reader", project=self.project
                    )
                )
        self.readings.sort(key=self.order or (lambda reading: shuffle_key(SALT, [reading.code])))

    def put(self, client: httpx.Client) -> None:
        """Put all of it on the server."""
        ok(client.put(f"/data/projects/{self.project}"))
        for reading in self.readings:
            self._put_one(client, reading)

    def _put_one(self, client: httpx.Client, reading: Reading) -> None:
        case = make_case(SHAPE, (3.0, 1.0, 1.0), seed=int(reading.exam[1:]))
        uids = uids_of(SALT, reading.code)
        mask = drawn(case.mask, reading)
        if self.change_mask:
            mask = self.change_mask(mask, reading)
        images = even_images(case.datasets, code=reading.code, uids=uids)
        seg = even_segmentation(
            write_seg(case.datasets, {1: mask}, SEGMENTS), images=images, code=reading.code, uids=uids,
            segments=SEGMENTS,
        )  # fmt: skip
        if self.change_seg:
            self.change_seg(seg, reading)
        base = f"/data/projects/{self.project}/subjects/{reading.code}/experiments/{reading.code}"
        extra = self.session(reading) if self.session else {}
        first = images[0]
        params = {"xsiType": "xnat:mrSessionData", "UID": first.StudyInstanceUID, "modality": "MR"} | extra
        made = client.put(base, params=params)
        ok(made)
        scan = {"xsiType": "xnat:mrScanData", "UID": first.SeriesInstanceUID, "type": "series 1"}
        ok(client.put(f"{base}/scans/1", params=scan))
        ok(client.put(f"{base}/scans/1/resources/DICOM", params={"format": "DICOM", "content": "RAW"}))
        for number, image in enumerate(images, start=1):
            path = f"{base}/scans/1/resources/DICOM/files/{number:04d}.dcm"
            ok(client.put(path, params={"inbody": "true"}, content=file_bytes(image)))
        roi = f"/xapi/roi/projects/{self.project}/sessions/{made.text.strip()}/collections/{reading.code}_SEG"
        octets = {"content-type": "application/octet-stream"}
        ok(client.put(roi, params={"type": "SEG"}, content=file_bytes(seg), headers=octets))
        if self.fields:
            path = f"/xapi/custom-fields/projects/{self.project}/experiments/{reading.code}/fields"
            ok(client.put(path, json=self.fields(reading)))


def drawn(truth: NDArray[np.bool_], reading: Reading) -> NDArray[np.bool_]:
    """Return the truth as somebody draws it: shifted by a voxel at most, by lot."""
    draw = shuffle_key(SALT, [reading.exam, str(reading.source)])
    return np.asarray(np.roll(truth, (draw[0] % 3 - 1, draw[1] % 3 - 1), axis=(1, 2)))


def speckled(mask: NDArray[np.bool_], reading: Reading) -> NDArray[np.bool_]:
    """Return the model's mask with an outline that no hand draws."""
    if reading.source != "model":
        return mask
    rng = np.random.default_rng(int(reading.exam[1:]))
    edge = mask ^ ndimage.binary_dilation(mask)
    return np.asarray(mask | (edge & (rng.random(mask.shape) < 0.4)))


def ok(answer: httpx.Response) -> None:
    """Demand success."""
    assert answer.status_code in range(200, 300), answer.text


def of_model(readings: Iterable[Reading]) -> list[Reading]:
    """Return the model's."""
    return [reading for reading in readings if reading.source == "model"]
