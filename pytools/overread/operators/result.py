"""``result.json``: what a run found and how, checked against ``schemas/result.schema.json`` before it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import jsonschema

import overread
from overread.dicom.codes import CodedTerm
from overread.errors import DataError, SpecError

Status = Literal["ok", "not-applicable"]

SCHEMA_VERSION: Final = 1
SCHEMA_NAME: Final = "result.schema.json"


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model that made a result."""

    name: str
    version: str
    weights_sha256: str
    framework: str


@dataclass(frozen=True, kw_only=True)
class InputSeries:
    """A series that went in. `fingerprint` is the SHA-256 of `overread.operators.volume`."""

    role: str
    series_instance_uid: str
    instances: int
    fingerprint: str
    series_description: str = ""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A number that came out.

    Parameters
    ----------
    roi
        What it was measured on.
    name
        Name of the result's field, with its unit: ``lesion_volume_ml``.
    value
        How much.
    unit
        UCUM.
    code
        The same name in a code system.
    """

    roi: str
    name: str
    value: float
    unit: str
    code: CodedTerm | None = None


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One connected part of a segment.

    Parameters
    ----------
    segment, label, tracking_uid
        Of the segment that it is part of; `tracking_uid` may be empty.
    volume_ml, longest_axial_diameter_mm
        Its size.
    centre_mm
        Its centre of mass (LPS) from an origin that moves with the patient, such as the middle of the brain.
    """

    segment: int
    label: str
    tracking_uid: str
    volume_ml: float
    longest_axial_diameter_mm: float
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle on an image: its left upper corner and its size, in pixels of the image as it is stored."""

    sop_instance_uid: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that was detected.

    Parameters
    ----------
    name
        What was looked at, such as ``hip``.
    side
        Of the patient: ``right``, ``left``, ``both`` or ``none``.
    cls
        What it was found to be.
    confidence
        Probability of that, 0 to 1.
    box
        Where.
    """

    name: str
    side: str
    cls: str
    confidence: float
    box: Box | None = None

    def as_document(self) -> dict[str, Any]:
        """Return it as ``result.json`` has it."""
        box = asdict(self.box) if self.box else None
        return {"name": self.name, "side": self.side, "class": self.cls, "confidence": self.confidence, "box": box}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A reader's mask beside the one it corrects. `hd95_mm` is None where one of them is empty."""

    dice: float
    hd95_mm: float | None
    added_voxels: int
    removed_voxels: int
    added_ml: float
    removed_ml: float


@dataclass(frozen=True, kw_only=True)
class WrittenObject:
    """A DICOM object that came out."""

    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that a run says. Dates are as DICOM writes them, empty where unknown."""

    status: Status
    reason: str
    study_instance_uid: str
    study_date: str
    study_time: str
    model: Model
    device: str
    inputs: tuple[InputSeries, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    outputs: Mapping[str, WrittenObject] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    lesions: tuple[Lesion, ...] = ()
    findings: tuple[Finding, ...] = ()
    comparison: Comparison | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """What the result says in words, by field of the study's datatype."""

    def value(self, name: str) -> float | None:
        """Return the number of a field: a measurement, or ``<side>_confidence`` of a finding; None if there is none."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement.value
        return next((f.confidence for f in self.findings if name == f"{f.side}_confidence"), None)

    def as_document(self) -> dict[str, Any]:
        """Return the document for ``result.json``.

        Raises
        ------
        DataError
            If it is not as the schema says.
        """
        document = {
            "schema": SCHEMA_VERSION,
            "status": self.status,
            "reason": self.reason,
            "study": {"study_instance_uid": self.study_instance_uid, "study_date": self.study_date},
            "model": asdict(self.model),
            "device": self.device,
            "inputs": [asdict(item) for item in self.inputs],
            "measurements": [asdict(item) for item in self.measurements],
            "findings": [item.as_document() for item in self.findings],
            "timings": {f"{name}_s": seconds for name, seconds in self.timings_s.items()},
            "warnings": list(self.warnings),
            "outputs": {name: asdict(item) for name, item in self.outputs.items()},
            "lesions": [asdict(item) | {"centre_mm": list(item.centre_mm)} for item in self.lesions],
        }
        if self.texts:
            document["texts"] = dict(self.texts)
        if self.comparison is not None:
            document["comparison"] = asdict(self.comparison)
        check_result(document)
        return document


def check_result(document: object) -> None:
    """Check a ``result.json``.

    Raises
    ------
    DataError
        With the place of the first thing that is wrong.
    """
    faults = sorted(_validator().iter_errors(document), key=lambda fault: list(map(str, fault.absolute_path)))
    if faults:
        fault = faults[0]
        place = ".".join(map(str, fault.absolute_path)) or "the document"
        raise DataError(f"result.json is not as {SCHEMA_NAME} says: {place}: {fault.message}")


@cache
def _validator() -> Any:
    # Beside this file lies a link to schemas/, which becomes a file wherever the package is copied; in an image built
    # by Docker the schemas lie in the package.
    for path in (Path(__file__).with_name(SCHEMA_NAME), Path(overread.__file__).with_name("schemas") / SCHEMA_NAME):
        if path.is_file():
            schema = json.loads(path.read_text("utf-8"))
            jsonschema.Draft202012Validator.check_schema(schema)
            return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    raise SpecError(f"{SCHEMA_NAME} is nowhere to be found: install overread anew.", source=str(Path(__file__).parent))
