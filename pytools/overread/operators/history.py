"""A patient's results over time, found in the folders of a project as XNAT keeps them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset

from overread.dicom.geometry import text_of
from overread.errors import DataError
from overread.operators.edited import drawn_objects, read_drawn
from overread.operators.result import check_result
from overread.operators.write import RESULT_NAME
from overread.study.progression import TimePoint

_MAX_RESULT_BYTES: Final = 4 * 2**20
_EDITED: Final = "-EDIT-"
"""In the label of a result that measures a reader's segmentation (`overread.operators.ids.edit_label`)."""


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """A result as it lies in a session.

    Parameters
    ----------
    label
        Of the result in XNAT.
    session
        Folder of its session.
    document
        Its ``result.json``.
    modified
        When its file was written, in seconds since 1970.
    """

    label: str
    session: Path
    document: dict[str, Any]
    modified: float

    @property
    def origin(self) -> Literal["ai", "edited"]:
        """Who made the segmentation."""
        return "edited" if _EDITED in self.label else "ai"

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return f"{self.document['model']['name']} {self.document['model']['version']}"

    @property
    def study_date(self) -> dt.date | None:
        """Date of the exam, None where it is not known."""
        text = str(self.document["study"]["study_date"]).replace("-", "")
        try:
            return dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).date()
        except ValueError:
            return None

    def value(self, name: str) -> float | None:
        """Return a measurement, None if it was not measured."""
        return next((float(m["value"]) for m in self.document["measurements"] if m["name"] == name), None)

    @property
    def seg_sop_instance_uid(self) -> str:
        """The segmentation that was measured, empty if there is none."""
        return str(self.document["outputs"].get("seg", {}).get("sop_instance_uid", ""))

    def time_point(self, measure: str) -> TimePoint | None:
        """Return the value of a measure as a point in time, None where the exam has no date."""
        date = self.study_date
        if date is None:
            return None
        return TimePoint(
            date=date,
            volume_ml=self.value(measure),
            origin=self.origin,
            study_instance_uid=str(self.document["study"]["study_instance_uid"]),
            label=self.label,
            measured_at=dt.datetime.fromtimestamp(self.modified, tz=dt.UTC),
            model=self.model,
        )


def results_in(session: Path) -> list[StoredResult]:
    """Return the results of a session, the newest last. What is no result is passed over: all sorts lie there."""
    found = []
    for path in sorted(session.glob(f"ASSESSORS/*/*/{RESULT_NAME}")):
        try:
            info = path.stat()
            if info.st_size > _MAX_RESULT_BYTES:
                continue
            document = json.loads(path.read_bytes())
            check_result(document)
        except (OSError, ValueError, RecursionError, DataError):
            continue
        label = path.relative_to(session / "ASSESSORS").parts[0]
        found.append(StoredResult(label=label, session=session, document=document, modified=info.st_mtime))
    return sorted(found, key=lambda result: (result.modified, result.label))


def history_of(session: Path, project: Path | None) -> list[StoredResult]:
    """Return all results of the patient of a session, those of the project's other sessions included.

    Parameters
    ----------
    session
        Folder of the exam.
    project
        Folder of the project, None: this exam alone. Sessions belong to the same patient if their images name the same
        PatientID (and issuer); it is not told.
    """
    own = results_in(session)
    patient = _patient_of(session)
    if project is None or not patient[0]:
        return own
    uids = {str(result.document["study"]["study_instance_uid"]) for result in own}
    others = [
        result
        for folder in sorted(_sessions(project))
        for result in results_in(folder)
        if str(result.document["study"]["study_instance_uid"]) not in uids and _patient_of(folder) == patient
    ]
    return [*others, *own]


def segmentation_of(result: StoredResult) -> Dataset | None:
    """Return the segmentation that a result was measured on, None if the session does not hold it."""
    for path, header in drawn_objects(result.session / "ASSESSORS"):
        if text_of(header, "SOPInstanceUID") == result.seg_sop_instance_uid:
            return read_drawn(path, result.session)
    return None


def _sessions(project: Path) -> Iterator[Path]:
    for pattern in ("*/ASSESSORS", "*/*/ASSESSORS"):  # with and without XNAT's arc001
        for folder in project.glob(pattern):
            yield folder.parent


def _patient_of(session: Path) -> tuple[str, str]:
    """Return PatientID and issuer of the first image of a session."""
    for path in sorted((session / "SCANS").glob("*/DICOM/*")):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "IssuerOfPatientID"])
        except Exception:  # noqa: BLE001, S112 - a damaged file can make the parser raise anything; the next one will do
            continue
        return text_of(header, "PatientID"), text_of(header, "IssuerOfPatientID")
    return "", ""
