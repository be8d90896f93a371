"""Files to send: 512x512 CT of 16 bits, each round of sending with UIDs of its own."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT_IMAGE: Final = UID("1.2.840.10008.5.1.4.1.1.2")
SIDE: Final = 512
_ROOT: Final = "2.25.4711"
_DIGITS: Final = 10


class CtExams:
    """Writes exams that differ in their UIDs alone: whatever a receiver does with pixels, it does to all alike.

    Parameters
    ----------
    seed
        Of the pixels.
    """

    def __init__(self, seed: int = 1) -> None:
        self._template = _file(Random(seed).randbytes(SIDE * SIDE * 2))
        self._number = 0

    @property
    def image_bytes(self) -> int:
        """Size of one file."""
        return len(self._template)

    def write(self, folder: Path, *, images: int) -> Path:
        """Write a new exam of one series."""
        folder.mkdir(parents=True)
        self._number += 1
        exam = f"{self._number:0{_DIGITS}d}".encode()
        for image in range(1, images + 1):
            content = self._template.replace(b"8" * _DIGITS, b"1" + exam[1:])
            content = content.replace(b"9" * _DIGITS, b"1" + f"{image:0{_DIGITS}d}".encode()[1:])
            (folder / f"{image:04d}.dcm").write_bytes(content)
        return folder


def _file(pixels: bytes) -> bytes:
    exam, image = "8" * _DIGITS, "9" * _DIGITS
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT_IMAGE
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{_ROOT}.{exam}.{image}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(f"{_ROOT}.{exam}"), UID(f"{_ROOT}.{exam}.2")
    dataset.PatientName, dataset.PatientID, dataset.StudyID = "Bench^Mark", "BENCH", "1"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.AccessionNumber = "19700101", "O", "1"
    dataset.StudyDate, dataset.StudyTime, dataset.Modality = "20260504", "101500", "CT"
    dataset.StudyDescription, dataset.SeriesDescription = "CT of the chest", "axial 1 mm"
    dataset.ReferringPhysicianName, dataset.SeriesNumber, dataset.InstanceNumber = "", 2, 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1.0
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    dataset.FrameOfReferenceUID, dataset.KVP = UID(f"{_ROOT}.{exam}.3"), 120
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    # Pixels without a run of the digits that are exchanged.
    dataset.PixelData = pixels.replace(b"8888", b"8887").replace(b"9999", b"9998")
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
