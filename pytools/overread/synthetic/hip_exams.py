"""Synthetic hip exams as DICOM studies: five radiographs (DX or CR) of a patient who does not exist.

The whole pelvis, each hip from the front, one from the side, and the pelvis once more as a technologist sends it twice.
Explicit VR Little Endian. Everything follows from the plan's values, so two runs write equal files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from overread.synthetic.hip_conditions import Condition
from overread.synthetic.hip_shape import Side
from overread.synthetic.mr import uid_from
from overread.synthetic.radiograph import Projection, Shot, make_person, take

Modality = Literal["DX", "CR"]
_IMPLEMENTATION_UID: Final = UID("2.25.147204861936325817482660319572409116843")
_TITLES: Final[Mapping[Projection, str]] = {"pelvis": "Pelvis AP", "hip": "Hip AP", "lateral": "Hip lateral"}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One image of an exam: number of its series, projection, and side if it is of one hip."""

    number: int
    projection: Projection
    side: Side | None = None
    repeats: int | None = None
    """Number of the image that this is a copy of, under a UID of its own."""


FIVE: Final = (
    Taken(number=1, projection="pelvis"),
    Taken(number=2, projection="hip", side="right"),
    Taken(number=3, projection="hip", side="left"),
    Taken(number=4, projection="lateral", side="left"),
    Taken(number=5, projection="pelvis", repeats=1),
)


@dataclass(frozen=True, kw_only=True)
class PlannedHipExam:
    """An exam that can be made at any time; its truth is known before.

    Parameters
    ----------
    patient_id, patient_name, patient_birth_date, study_date, study_time, accession_number
        Header values; dates as YYYYMMDD.
    right, left
        What each hip has.
    seed
        Of the person and the images, and of the UIDs.
    modality
        DX or CR.
    photometric_interpretation
        MONOCHROME1 or MONOCHROME2.
    spacing_mm
        ImagerPixelSpacing.
    images
        What is taken.
    """

    patient_id: str
    study_date: str
    right: Condition
    left: Condition
    seed: int
    patient_name: str = "Synthetic^Patient"
    patient_birth_date: str = "19450101"
    accession_number: str = ""
    study_time: str = "111500"
    modality: Modality = "DX"
    photometric_interpretation: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    spacing_mm: float = 0.35
    images: tuple[Taken, ...] = FIVE

    @property
    def date(self) -> str:
        """Day of the exam, YYYY-MM-DD."""
        day = dt.datetime.strptime(self.study_date, "%Y%m%d").replace(tzinfo=dt.UTC)
        return day.date().isoformat()

    @property
    def uid(self) -> str:
        """StudyInstanceUID of the exam."""
        return uid_from("hip exam", self.patient_id, self.study_date, self.seed)

    @property
    def truth(self) -> Mapping[str, float | str]:
        """What a right result says of the exam, by field."""
        return {"right_class": self.right.name, "left_class": self.left.name}

    def datasets(self) -> list[Dataset]:
        """Return the images of the study."""
        person = make_person(self.seed, {"right": self.right, "left": self.left})
        found: list[Dataset] = []
        for taken in self.images:
            shot = Shot(
                projection=taken.projection,
                side=taken.side,
                spacing_mm=self.spacing_mm,
                seed=taken.repeats or taken.number,
            )
            copied = next((ds for ds in found if ds.SeriesNumber == taken.repeats), None)
            values = take(person, shot).values if copied is None else None
            found.append(self._image(taken, values, copied))
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write the study to a folder, one file per image in one folder per series."""
        paths = []
        for ds in self.datasets():
            path = folder / f"series-{ds.SeriesNumber:03d}" / "image-0001.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    def _image(self, taken: Taken, values: NDArray[np.float32] | None, copied: Dataset | None) -> Dataset:
        ds = radiograph_dataset(
            values if values is not None else np.zeros((2, 2), np.float32),
            modality=self.modality,
            spacing_mm=self.spacing_mm,
            inverted=self.photometric_interpretation == "MONOCHROME1",
        )
        if copied is not None:
            for keyword in ("Rows", "Columns", "PixelData", "WindowCenter", "WindowWidth"):
                setattr(ds, keyword, copied[keyword].value)
            ds["PixelData"].VR = "OW"
        side = taken.side
        ds.StudyInstanceUID = self.uid
        ds.SeriesInstanceUID = uid_from(self.uid, "series", taken.number)
        _name_instance(ds, uid_from(self.uid, "image", taken.number))
        ds.SeriesNumber, ds.InstanceNumber = taken.number, 1
        ds.PatientID, ds.PatientName, ds.PatientBirthDate = self.patient_id, self.patient_name, self.patient_birth_date
        ds.AccessionNumber = self.accession_number
        for date in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            setattr(ds, date, self.study_date)
        for time in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
            setattr(ds, time, self.study_time)
        ds.StudyDescription = "XR pelvis and hips"
        title = _TITLES[taken.projection] + (f" {side}" if side else "")
        ds.SeriesDescription = ds.ProtocolName = title
        ds.BodyPartExamined = "HIP" if side else "PELVIS"
        ds.ViewPosition = "LL" if taken.projection == "lateral" else "AP"
        letter = {"right": "R", "left": "L", None: "B" if self.modality == "DX" else ""}[side]
        if self.modality == "DX":
            ds.ImageLaterality = letter
        elif letter:
            ds.Laterality = letter
        ds.PatientOrientation = ["P", "F"] if taken.projection == "lateral" else ["L", "F"]
        return ds


def radiograph_dataset(
    values: NDArray[np.float32], *, modality: Modality = "DX", spacing_mm: float, inverted: bool = False
) -> Dataset:
    """Return a radiograph as a DICOM image of nobody (PS3.3 A.26, A.2), to be given a patient.

    Parameters
    ----------
    values
        (rows, columns), 0 to 1, bone bright.
    modality
        DX or CR.
    spacing_mm
        ImagerPixelSpacing.
    inverted
        MONOCHROME1: stored the other way round.
    """
    stored = np.rint(values * 4095.0).astype(np.uint16)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY"] + ([""] if modality == "DX" else [])
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation if modality == "DX" else ComputedRadiographyImageStorage
    ds.Modality = modality
    ds.Manufacturer, ds.ManufacturerModelName = "Overread synthetic", "Phantom"
    ds.ReferringPhysicianName = ds.StudyID = ds.PatientSex = ""
    ds.DeviceSerialNumber = ds.SoftwareVersions = "1"
    ds.KVP = "77"
    ds.ExposureInuAs = 18000
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.ImagerPixelSpacing = [f"{spacing_mm:.6g}"] * 2
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = "2048", "4096"
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    if modality == "DX":
        _dx(ds, inverted=inverted)
    else:
        ds.PlateType = ""
    ds.PixelData = np.ascontiguousarray(4095 - stored if inverted else stored, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.FileMetaInformationVersion = b"\x00\x01"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = _IMPLEMENTATION_UID
    ds.file_meta.ImplementationVersionName = "OVERREAD_SYNTH"
    _name_instance(ds, uid_from("radiograph", values.tobytes()[:4096], spacing_mm, inverted))
    return ds


def _dx(ds: Dataset, *, inverted: bool) -> None:
    """Add what a DX image has and a CR image has not (PS3.3 C.8.11)."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PixelIntensityRelationship = "LOG"
    # 1: more X-rays make a larger value (PS3.3 C.8.11.3.1.2).
    ds.PixelIntensityRelationshipSign = 1 if inverted else -1
    ds.DetectorType, ds.DetectorConfiguration = "SCINTILLATOR", "AREA"
    ds.PositionerType = "COLUMN"
    ds.AcquisitionContextSequence = []
    ds.AnatomicRegionSequence = [_code("12921003", "SCT", "Pelvis")]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _name_instance(ds: Dataset, uid: str) -> None:
    ds.SOPInstanceUID = UID(uid)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID


def demo_exams() -> list[PlannedHipExam]:
    """Return the exams of the demo, whose classes were fixed before any network saw them."""
    none = Condition(name="no-fracture")

    def broken(kind: str, severity: float, seed: int) -> Condition:
        return Condition(name="fracture", kind=kind, severity=severity, seed=seed)

    def metal(kind: str, seed: int) -> Condition:
        return Condition(name="hardware", kind=kind, seed=seed)

    inverted = {"photometric_interpretation": "MONOCHROME1"}
    plans: tuple[tuple[str, Condition, Condition, dict[str, Any]], ...] = (
        ("Gamma", broken("neck", 0.7, 11), none, {}),
        ("Delta", none, broken("intertrochanteric", 0.6, 12), {"modality": "CR", **inverted}),
        ("Epsilon", metal("prosthesis", 13), none, {**inverted}),
        ("Zeta", none, none, {"modality": "CR"}),
        ("Eta", metal("hip-screw", 14), broken("subtrochanteric", 0.5, 15), {}),
    )  # fmt: skip
    return [
        PlannedHipExam(
            patient_id=f"OVR-2{number:03d}",
            patient_name=f"Synthetic^{name}",
            patient_birth_date=f"19{36 + 3 * number}0412",
            study_date=f"2025021{number}",
            accession_number=f"OVRH2025021{number}",
            right=right,
            left=left,
            seed=4_000_000 + number,
            **more,
        )
        for number, (name, right, left, more) in enumerate(plans, start=1)
    ]
