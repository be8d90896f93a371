"""MR images (PS3.3 A.4) made from an array: the headers that phantoms and synthetic exams share.

Arrays are ordered (slices, rows, columns); slices follow the normal, the cross product of ImageOrientationPatient's
row and column direction. Coordinates are the patient's (LPS, mm).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from overread.errors import DataError

Orientation = Literal["axial", "sagittal", "coronal", "oblique"]
Triple = tuple[float, float, float]

_UID_NAMESPACE: Final = uuid.UUID("6e0d5f2c-5b43-5d3c-9a53-2f6b0d9a8a11")
_IMPLEMENTATION_UID: Final = UID("2.25.147204861936325817482660319572409116843")
_MAX_STORED: Final = 4095


def uid_from(*parts: object) -> str:
    """Return a UID below 2.25 (PS3.5 B.2) that depends on nothing but `parts`.

    Parameters
    ----------
    *parts
        What the UID stands for, from the general to the particular.

    Returns
    -------
    str
        The same UID for the same parts, on every machine.
    """
    return f"2.25.{uuid.uuid5(_UID_NAMESPACE, '|'.join(map(str, parts))).int}"


@dataclass(frozen=True, kw_only=True)
class ImageGrid:
    """Where the voxels of a series lie in the patient (LPS, mm).

    Parameters
    ----------
    shape
        (slices, rows, columns).
    spacing_mm
        Distance of neighbouring voxels along slices, rows (down a column) and columns (along a row).
    row_cosine, column_cosine
        ImageOrientationPatient: direction of increasing column index, and of increasing row index.
    origin_mm
        Centre of the first voxel of the first slice.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    row_cosine: Triple
    column_cosine: Triple
    origin_mm: Triple

    @property
    def normal(self) -> NDArray[np.float64]:
        """Direction in which the slices follow each other."""
        return np.asarray(np.cross(self.row_cosine, self.column_cosine), dtype=np.float64)

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """(4, 4) matrix from the index (slice, row, column) to LPS in mm."""
        affine = np.eye(4)
        affine[:3, 0] = self.normal * self.spacing_mm[0]
        affine[:3, 1] = np.asarray(self.column_cosine) * self.spacing_mm[1]
        affine[:3, 2] = np.asarray(self.row_cosine) * self.spacing_mm[2]
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def cosines(orientation: Orientation) -> tuple[Triple, Triple]:
    """Return row and column direction (LPS) of slices in the named plane.

    Parameters
    ----------
    orientation
        The three planes as scanners write them; ``oblique`` is an axial one tilted about all three axes.

    Returns
    -------
    tuple
        (row cosine, column cosine), unit vectors at right angles.
    """
    if orientation == "axial":
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    if orientation == "sagittal":
        return (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)
    if orientation == "coronal":
        return (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)
    turn = _rotation(0, 17.0) @ _rotation(1, -9.0) @ _rotation(2, 12.0)
    row, column = turn[:, 0], turn[:, 1]
    return (float(row[0]), float(row[1]), float(row[2])), (float(column[0]), float(column[1]), float(column[2]))


def centred_grid(
    shape: tuple[int, int, int], spacing_mm: Triple, *, orientation: Orientation, centre_mm: Triple = (0.0, 0.0, 0.0)
) -> ImageGrid:
    """Return the grid of this shape whose middle lies at `centre_mm`.

    Parameters
    ----------
    shape
        (slices, rows, columns).
    spacing_mm
        In the same order.
    orientation
        Plane of the slices.
    centre_mm
        LPS position of the middle of the box.

    Returns
    -------
    ImageGrid
        The grid; its coordinates are rounded to what a DICOM decimal string holds.
    """
    row, column = cosines(orientation)
    row = _rounded(row, digits=10)
    column = _rounded(column, digits=10)
    at_zero = ImageGrid(
        shape=shape, spacing_mm=spacing_mm, row_cosine=row, column_cosine=column, origin_mm=(0.0, 0.0, 0.0)
    )
    middle = at_zero.affine_lps[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    x, y, z = np.asarray(centre_mm) - middle
    origin = _rounded((float(x), float(y), float(z)), digits=6)
    return ImageGrid(shape=shape, spacing_mm=spacing_mm, row_cosine=row, column_cosine=column, origin_mm=origin)


@dataclass(frozen=True, kw_only=True)
class StudyHeader:
    """What all images of one study say alike. The people named here do not exist."""

    study_instance_uid: str
    patient_id: str
    patient_name: str = "Synthetic^Patient"
    patient_birth_date: str = "19700101"
    patient_sex: str = "O"
    study_date: str = "20240115"
    study_time: str = "101500"
    study_id: str = "1"
    study_description: str = "MR brain"
    accession_number: str = ""


@dataclass(frozen=True, kw_only=True)
class SeriesHeader:
    """What all images of one series say alike (PS3.3 C.7.3.1, C.8.3.1)."""

    series_instance_uid: str
    frame_of_reference_uid: str
    series_number: int = 1
    series_description: str = "FLAIR"
    image_type: Sequence[str] = ("ORIGINAL", "PRIMARY", "OTHER")
    attributes: dict[str, Any] = field(default_factory=dict)
    """More attributes by keyword, for example the timing of the sequence."""


def mr_images(
    volume: NDArray[np.number[Any]], grid: ImageGrid, *, study: StudyHeader, series: SeriesHeader
) -> list[Dataset]:
    """Return one single-frame MR image per slice, in the order of the slices.

    Parameters
    ----------
    volume
        (slices, rows, columns), values from 0 to 4095: 12 bits are stored, as scanners do.
    grid
        Where the voxels lie.
    study, series
        The headers.

    Returns
    -------
    list of Dataset
        With file meta information (Explicit VR Little Endian), ready for ``save_as(..., enforce_file_format=True)``.

    Raises
    ------
    DataError
        If array and grid differ in shape, or values do not fit into 12 bits.
    """
    if volume.shape != grid.shape:
        raise DataError(f"The array is {volume.shape}, the grid {grid.shape}: pass (slices, rows, columns) in both.")
    low, high = float(volume.min()), float(volume.max())
    if low < 0 or high > _MAX_STORED:
        raise DataError(f"Values run from {low:g} to {high:g}; 12 bits hold 0 to {_MAX_STORED}: scale the array first.")
    stored = np.rint(volume).astype(np.uint16)
    window = (float(np.percentile(stored, 99.5)) + 1.0) or 1.0
    return [_image(stored[k], k, grid=grid, study=study, series=series, window=window) for k in range(grid.shape[0])]


def _image(
    pixels: NDArray[np.uint16], k: int, *, grid: ImageGrid, study: StudyHeader, series: SeriesHeader, window: float
) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = list(series.image_type)
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = uid_from(series.series_instance_uid, k)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = study.study_time
    ds.AccessionNumber = study.accession_number
    ds.Modality = "MR"
    ds.Manufacturer = "Overread synthetic"
    ds.ManufacturerModelName = "Phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = study.study_description
    ds.SeriesDescription = series.series_description
    ds.PatientName = study.patient_name
    ds.PatientID = study.patient_id
    ds.PatientBirthDate = study.patient_birth_date
    ds.PatientSex = study.patient_sex
    ds.BodyPartExamined = "BRAIN"
    ds.ScanningSequence = "SE"
    ds.SequenceVariant = "NONE"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime = "500"
    ds.EchoTime = "10"
    ds.EchoTrainLength = "1"
    ds.MagneticFieldStrength = "3"
    ds.ProtocolName = series.series_description
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = study.study_instance_uid
    ds.SeriesInstanceUID = series.series_instance_uid
    ds.StudyID = study.study_id
    ds.SeriesNumber = str(series.series_number)
    ds.InstanceNumber = str(k + 1)
    ds.FrameOfReferenceUID = series.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    place(ds, k, grid)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = grid.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = decimal(window / 2), decimal(window)
    for keyword, value in series.attributes.items():
        setattr(ds, keyword, value)
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = file_meta(ds)
    return ds


def place(ds: Dataset, k: int, grid: ImageGrid) -> None:
    """Write into a header where slice `k` of a grid lies."""
    position = (grid.affine_lps @ np.array([k, 0, 0, 1.0]))[:3]
    ds.ImagePositionPatient = [decimal(v) for v in position]
    ds.ImageOrientationPatient = [decimal(v) for v in (*grid.row_cosine, *grid.column_cosine)]
    ds.PixelSpacing = [decimal(grid.spacing_mm[1]), decimal(grid.spacing_mm[2])]
    ds.SliceThickness = ds.SpacingBetweenSlices = decimal(grid.spacing_mm[0])
    ds.SliceLocation = decimal(float(position @ grid.normal))


def file_meta(ds: Dataset) -> FileMetaDataset:
    """Return the file meta information of an image in Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = "OVERREAD_SYNTH"
    return meta


def decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters (PS3.5 6.2, DS)."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text[:16]


def _rounded(values: Triple, *, digits: int) -> Triple:
    a, b, c = values
    return round(a, digits), round(b, digits), round(c, digits)


def _rotation(axis: int, degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    first, second = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix
