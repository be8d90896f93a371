"""Synthetic brain exams as DICOM studies: localiser, T1 and FLAIR of a patient who does not exist.

Explicit VR Little Endian, single-frame MR images. Everything follows from the plan's values, so two runs write equal
files.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from overread.synthetic.anatomy import load_anatomy, sample
from overread.synthetic.brain import T1_LOOK, BrainExam, Look, add_noise, make_exam, render
from overread.synthetic.interpolation import Volume
from overread.synthetic.mr import (
    ImageGrid,
    Orientation,
    SeriesHeader,
    StudyHeader,
    Triple,
    centred_grid,
    mr_images,
    uid_from,
)

_HEAD_MM: Final = (172.0, 212.0, 180.0)
"""Feet to head, front to back, right to left: the head of the anatomies with scalp."""
_PLANES: Final[tuple[Orientation, ...]] = ("axial", "sagittal", "coronal")
_T1_SPACING_MM: Final = 4.0
_LOCALISER_COARSER: Final = 2.0

_FLAIR_TIMING: Final[dict[str, Any]] = {
    "ScanningSequence": ["SE", "IR"],
    "SequenceVariant": ["SK", "SP"],
    "RepetitionTime": "9000",
    "EchoTime": "125",
    "InversionTime": "2500",
    "EchoTrainLength": "16",
}
_T1_TIMING: Final[dict[str, Any]] = {"RepetitionTime": "550", "EchoTime": "9"}
_LOCALISER_TIMING: Final[dict[str, Any]] = {
    "ScanningSequence": "GR",
    "SequenceVariant": "SS",
    "RepetitionTime": "6",
    "EchoTime": "3",
}


@dataclass(frozen=True, kw_only=True)
class PlannedExam:
    """An exam that can be made at any time; its truth is known before.

    Parameters
    ----------
    patient_id, patient_name, patient_birth_date, study_date, accession_number
        Header values; dates as YYYYMMDD.
    lesion_ml
        Wanted volume; 0 for a healthy head. `truth_ml` is what the voxels make of it.
    seed
        Noise and look of this exam, and its UIDs.
    lesion_seed, lesion_centre_mm
        Shape and place (LPS): the same over a patient's time points, so that the lesion grows.
    anatomy
        One of ``overread.synthetic.anatomy.ANATOMIES``.
    orientation, slice_spacing_mm, pixel_spacing_mm
        Of the FLAIR.
    look
        How the FLAIR shows tissue.
    study_instance_uid
        Made from patient, date and seed if empty.
    """

    patient_id: str
    study_date: str
    lesion_ml: float
    seed: int
    lesion_seed: int = 1
    lesion_centre_mm: Triple | None = None
    patient_name: str = "Synthetic^Patient"
    patient_birth_date: str = "19700101"
    accession_number: str = ""
    study_time: str = "101500"
    anatomy: str = "mni152"
    orientation: Orientation = "axial"
    slice_spacing_mm: float = 2.0
    pixel_spacing_mm: float = 1.0
    look: Look = field(default_factory=Look)
    study_instance_uid: str = ""

    @property
    def date(self) -> str:
        """Day of the exam, YYYY-MM-DD."""
        day = dt.datetime.strptime(self.study_date, "%Y%m%d").replace(tzinfo=dt.UTC)
        return day.date().isoformat()

    @property
    def uid(self) -> str:
        """StudyInstanceUID of the exam."""
        return self.study_instance_uid or uid_from("exam", self.patient_id, self.study_date, self.seed)

    @property
    def grid(self) -> ImageGrid:
        """Where the voxels of the FLAIR lie."""
        spacing = (self.slice_spacing_mm, self.pixel_spacing_mm, self.pixel_spacing_mm)
        return _head_grid(self.anatomy, self.orientation, spacing)

    @property
    def truth_ml(self) -> float:
        """True volume: a whole number of voxels."""
        voxel_ml = self.slice_spacing_mm * self.pixel_spacing_mm**2 / 1000.0
        return round(self.lesion_ml / voxel_ml) * voxel_ml

    @property
    def truth(self) -> dict[str, float]:
        """What a right result says of the exam, by field."""
        return {"lesion_volume_ml": self.truth_ml}

    def flair(self) -> BrainExam:
        """Return the FLAIR and the mask of its lesion."""
        return make_exam(
            load_anatomy(self.anatomy),
            self.grid,
            volumes_ml=[self.lesion_ml] if self.lesion_ml > 0 else [],
            lesion_seed=self.lesion_seed,
            centre_mm=self.lesion_centre_mm,
            look=self.look,
            seed=self.seed,
        )

    def datasets(self) -> list[Dataset]:
        """Return the images of the study: localiser, T1, FLAIR."""
        return [*self._localiser(), *self._t1(), *self._flair()]

    def write(self, folder: Path) -> list[Path]:
        """Write the study to a folder, one file per image in one folder per series.

        Parameters
        ----------
        folder
            Made if it is not there.

        Returns
        -------
        list of Path
            The files, in the order in which a scanner would send them.
        """
        paths = []
        for ds in self.datasets():
            path = folder / f"series-{ds.SeriesNumber:03d}" / f"image-{ds.InstanceNumber:04d}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    def _flair(self) -> list[Dataset]:
        series = self._series(3, f"{self.orientation[:3].upper()} FLAIR", _FLAIR_TIMING)
        exam = self.flair()
        return mr_images(exam.flair, exam.grid, study=self._study(), series=series)

    def _t1(self) -> list[Dataset]:
        series = self._series(2, f"{self.orientation[:3].upper()} T1", _T1_TIMING)
        grid = _head_grid(
            self.anatomy, self.orientation, (_T1_SPACING_MM, self.pixel_spacing_mm, self.pixel_spacing_mm)
        )
        return mr_images(self._plain(grid, series_number=2), grid, study=self._study(), series=series)

    def _localiser(self) -> list[Dataset]:
        series = self._series(1, "LOCALIZER", _LOCALISER_TIMING, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
        images: list[Dataset] = []
        for number, plane in enumerate(_PLANES, start=1):
            whole = _head_grid(self.anatomy, plane, (_LOCALISER_COARSER * self.pixel_spacing_mm,) * 3)
            grid = centred_grid(
                (1, *whole.shape[1:]),
                whole.spacing_mm,
                orientation=plane,
                centre_mm=load_anatomy(self.anatomy).centre_lps_mm,
            )
            (ds,) = mr_images(self._plain(grid, series_number=1), grid, study=self._study(), series=series)
            ds.InstanceNumber = str(number)
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(
                uid_from(series.series_instance_uid, plane)
            )
            images.append(ds)
        return images

    def _plain(self, grid: ImageGrid, *, series_number: int) -> Volume:
        """Return the head as T1 shows it; the lesion is not drawn, for on T1 it is hardly seen."""
        head = sample(load_anatomy(self.anatomy), grid)
        seed = self.seed + series_number
        none = np.zeros(grid.shape, dtype=np.bool_)
        image = add_noise(render(head, none, look=T1_LOOK, seed=seed), sigma=T1_LOOK.noise, seed=seed)
        return np.asarray(np.clip(image * 1200.0, 0.0, 4095.0), dtype=np.float32)

    def _study(self) -> StudyHeader:
        return StudyHeader(
            study_instance_uid=self.uid,
            patient_id=self.patient_id,
            patient_name=self.patient_name,
            patient_birth_date=self.patient_birth_date,
            study_date=self.study_date,
            study_time=self.study_time,
            study_description="MR brain",
            accession_number=self.accession_number,
        )

    def _series(
        self,
        number: int,
        description: str,
        attributes: dict[str, Any],
        *,
        image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "OTHER"),
    ) -> SeriesHeader:
        return SeriesHeader(
            series_instance_uid=uid_from(self.uid, "series", number),
            frame_of_reference_uid=uid_from(self.uid, "frame of reference"),
            series_number=number,
            series_description=description,
            image_type=image_type,
            attributes=attributes,
        )


def demo_exams() -> list[PlannedExam]:
    """Return the exams of the demo, whose volumes were fixed before any network saw them.

    Returns
    -------
    list of PlannedExam
        A patient with five time points, the last of which passes baseline + 40 %, and a patient without lesion.
    """
    followed = (
        ("20230116", 12.0),
        ("20230717", 13.1),
        ("20240115", 14.2),
        ("20240715", 15.6),
        ("20250120", 17.9),
    )
    exams = [
        PlannedExam(
            patient_id="OVR-0001",
            patient_name="Synthetic^Alpha",
            patient_birth_date="19810604",
            study_date=day,
            accession_number=f"OVR{day}1",
            lesion_ml=lesion_ml,
            seed=100 + number,
            lesion_seed=41,
            lesion_centre_mm=(28.0, -30.0, 24.0),
        )
        for number, (day, lesion_ml) in enumerate(followed)
    ]
    healthy = PlannedExam(
        patient_id="OVR-0002",
        patient_name="Synthetic^Beta",
        patient_birth_date="19760923",
        study_date="20250121",
        accession_number="OVR202501212",
        lesion_ml=0.0,
        seed=200,
    )
    return [*exams, healthy]


def _head_grid(anatomy: str, orientation: Orientation, spacing_mm: Triple) -> ImageGrid:
    up, back, left = _HEAD_MM
    extent = {"sagittal": (left, up, back), "coronal": (back, up, left)}.get(orientation, _HEAD_MM)
    slices, rows, columns = (round(e / s) for e, s in zip(extent, spacing_mm, strict=True))
    return centred_grid(
        (slices, rows, columns), spacing_mm, orientation=orientation, centre_mm=load_anatomy(anatomy).centre_lps_mm
    )
