"""A series as one array with its place in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, decimal_number, geometry_of, in_slice_order, text_of
from overread.errors import DataError
from overread.operators.load import FoundSeries

Values = NDArray[np.float32]

_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


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
        Headers in slice order, without pixels.
    fingerprint
        SHA-256 over instance UIDs and stored pixels: equal if and only if the images are.
    """

    values: Values
    geometry: VolumeGeometry
    images: tuple[Dataset, ...]
    fingerprint: str


def read_volume(series: FoundSeries) -> ImageVolume:
    """Read a series.

    Raises
    ------
    DataError
        If a file can't be read or is cut off, or the slices are no volume (`geometry_of`). The message names the
        image's UID, never the file, whose name may hold a patient's.
    """
    datasets = [_read(path, series) for path in series.paths]
    geometry = geometry_of(datasets)
    ordered = in_slice_order(datasets, geometry)
    values = np.empty(geometry.shape, dtype=np.float32)
    for k, ds in enumerate(ordered):
        values[k] = _pixels(ds, geometry.shape[1:])
    fingerprint = _fingerprint(ordered)
    for ds in ordered:
        for keyword in _PIXELS:
            if keyword in ds:
                del ds[keyword]
    return ImageVolume(values=values, geometry=geometry, images=tuple(ordered), fingerprint=fingerprint)


def _read(path: Path, series: FoundSeries) -> Dataset:
    try:
        return dcmread(path)
    except Exception as error:
        raise DataError(
            "An image of this series is cut off or damaged: send the series again.",
            uid=series.summary.series_instance_uid,
        ) from error


def _pixels(ds: Dataset, shape: tuple[int, ...]) -> NDArray[Any]:
    uid = text_of(ds, "SOPInstanceUID")
    try:
        pixels = np.asarray(ds.pixel_array, dtype=np.float32)
    except Exception as error:  # decoders raise anything on damaged data
        raise DataError(
            "The image's pixels can't be read, it is cut off or damaged: send the series again.",
            uid=uid,
            tag="PixelData",
        ) from error
    if pixels.shape != shape:
        raise DataError(
            f"The image's pixels are {pixels.shape} instead of {shape}: send a series of single-frame grey images.",
            uid=uid,
            tag="PixelData",
        )
    slope = decimal_number(ds, "RescaleSlope")
    intercept = decimal_number(ds, "RescaleIntercept")
    return pixels * (1.0 if slope is None else slope) + (intercept or 0.0)


def _fingerprint(datasets: list[Dataset]) -> str:
    digest = hashlib.sha256()
    for ds in sorted(datasets, key=lambda ds: text_of(ds, "SOPInstanceUID")):
        digest.update(text_of(ds, "SOPInstanceUID").encode("ascii", "replace") + b"\n")
        for keyword in _PIXELS:
            if keyword in ds:
                digest.update(hashlib.sha256(ds[keyword].value).digest())
    return digest.hexdigest()
