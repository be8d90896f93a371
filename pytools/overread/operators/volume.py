"""A series as one array with its place in the patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, decimal_number, geometry_of, image_key, text_of
from overread.dicom.multiframe import frames_of, is_enhanced
from overread.errors import DataError
from overread.operators.load import FoundSeries
from overread.operators.pixels import ImageFile, read_image, stored_values

Values = NDArray[np.float32]

_THREADS: Final = 4
_MAX_VOXELS: Final = 2**30
"""4 GiB as numbers of 32 bits: no series of an exam has more, but a wrong header may say so."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageVolume:
    """A series of parallel slices.

    Parameters
    ----------
    values
        (slices, rows, columns), rescaled (PS3.3 C.11.1.1.2).
    geometry
        Where the voxels lie.
    images
        Headers in slice order, without pixels; of a multi-frame image one per frame.
    fingerprint
        SHA-256 over instance UIDs and stored pixels: equal if and only if the images are.
    """

    values: Values
    geometry: VolumeGeometry
    images: tuple[Dataset, ...]
    fingerprint: str


def read_volume(series: FoundSeries) -> ImageVolume:
    """Read a series: what is in memory is the volume, and a file for each of a few threads.

    Reading, hashing and converting plainly stored pixels leave Python's lock free; decoders are used by one thread.

    Raises
    ------
    DataError
        If a file can't be read or is cut off, the slices are no volume (`geometry_of`), or there are more voxels than
        any series has. The message names the image's UID, never the file, whose name may hold a patient's.
    """
    files = [_read(path, series) for path in series.paths]
    frames = [frames_of(file.header) if is_enhanced(file.header) else [file.header] for file in files]
    geometry = geometry_of([header for headers in frames for header in headers])
    if np.prod(geometry.shape) > _MAX_VOXELS:
        raise DataError(
            f"The series has {' x '.join(map(str, geometry.shape))} voxels, more than can be worked on: choose another "
            "series.",
            uid=series.summary.series_instance_uid,
        )
    place = {key: k for k, key in enumerate(geometry.sop_instance_uids)}
    values = np.empty(geometry.shape, dtype=np.float32)
    ordered = {place[image_key(header)]: header for headers in frames for header in headers}

    def fill(file: ImageFile, headers: Sequence[Dataset]) -> tuple[str, bytes]:
        raw, stored = stored_values(file)
        for plane, header in zip(stored, headers, strict=True):
            _rescale(plane, header, out=values[place[image_key(header)]])
        return text_of(file.header, "SOPInstanceUID"), hashlib.sha256(raw).digest()

    if all(file.pixels_at is not None for file in files):
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            digests = dict(pool.map(fill, files, frames))
    else:
        digests = dict(map(fill, files, frames))
    return ImageVolume(
        values=values,
        geometry=geometry,
        images=tuple(ordered[k] for k in range(geometry.shape[0])),
        fingerprint=_fingerprint(digests),
    )


def _read(path: Path, series: FoundSeries) -> ImageFile:
    try:
        return read_image(path)
    except Exception as error:
        raise DataError(
            "An image of this series is cut off or damaged: send the series again.",
            uid=series.summary.series_instance_uid,
        ) from error


def _rescale(plane: NDArray[Any], header: Dataset, *, out: Values) -> None:
    slope = decimal_number(header, "RescaleSlope")
    intercept = decimal_number(header, "RescaleIntercept")
    if slope is None or slope == 1.0:  # in one pass over the memory, which is what takes the time
        np.add(plane, np.float32(intercept or 0.0), out=out, dtype=np.float32, casting="unsafe")
        return
    np.multiply(plane, np.float32(slope), out=out, dtype=np.float32, casting="unsafe")
    if intercept:
        out += np.float32(intercept)


def _fingerprint(digests: Mapping[str, bytes]) -> str:
    """Return one hash of all images, whatever the order of their files."""
    digest = hashlib.sha256()
    for uid in sorted(digests):
        digest.update(uid.encode("ascii", "replace") + b"\n" + digests[uid])
    return digest.hexdigest()
