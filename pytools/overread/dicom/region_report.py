"""Measurement reports (PS3.16 TID 1500) about regions of images: what was found, where, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from overread.dicom.codes import ABSENT, CERTAINTY, LEFT, PERCENT, PRESENT, RIGHT, CodedTerm
from overread.dicom.geometry import text_of
from overread.dicom.headers import reference_copy
from overread.dicom.seg_write import ObjectInfo
from overread.dicom.sr import report_document
from overread.errors import DataError

_SIDES: Final[Mapping[str, CodedTerm]] = {"right": RIGHT, "left": LEFT}


@dataclass(frozen=True, kw_only=True)
class RegionFinding:
    """One region of one image.

    Parameters
    ----------
    image_uid
        SOPInstanceUID of the image.
    box
        Left, top, right, bottom in pixels; (0, 0) is the upper left corner of the first one (PS3.3 C.18.6.1.2).
    finding
        What was looked for, as a code.
    present
        Whether it was found.
    site
        Where in the body.
    side
        ``right`` or ``left``.
    certainty_pct
        Probability of what is said.
    tracking_id, tracking_uid
        Name the region over several reports.
    """

    image_uid: str
    box: tuple[float, float, float, float]
    finding: CodedTerm
    present: bool
    site: CodedTerm
    side: str
    certainty_pct: float
    tracking_id: str
    tracking_uid: str


def region_report(
    findings: Sequence[RegionFinding], images: Sequence[Dataset], *, info: ObjectInfo, device_uid: str
) -> Dataset:
    """Return a Comprehensive 3D SR with one measurement group per finding.

    Each has the region as a rectangle in the coordinates of its image (SCOORD), finding and site as codes, whether the
    finding is present or absent, its certainty, and the algorithm that says so.

    Parameters
    ----------
    findings
        At least one.
    images
        Those that findings refer to, and others that were looked at; headers are enough.
    info
        What the report says of itself; its model is the algorithm.
    device_uid
        UID of the program, of which model and version have their own.

    Raises
    ------
    DataError
        If there are no findings, or one is about an image that is not given.
    """
    by_uid = {text_of(image, "SOPInstanceUID"): image for image in images}
    lacking = sorted({f.image_uid for f in findings} - set(by_uid))
    if not findings or lacking:
        raise DataError(f"A report needs findings and their images: {len(findings)} findings, {len(lacking)} lacking.")
    return report_document(
        [_group(finding, by_uid[finding.image_uid], info) for finding in findings],
        evidence=[reference_copy(image) for image in by_uid.values()],
        image=images[0],
        info=info,
        device_uid=device_uid,
    )


def _group(finding: RegionFinding, image: Dataset, info: ObjectInfo) -> Any:
    left, top, right, bottom = finding.box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], dtype=np.float64)
    source = hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=text_of(image, "SOPClassUID"),
        referenced_sop_instance_uid=text_of(image, "SOPInstanceUID"),
    )
    algorithm = hd.sr.AlgorithmIdentification(name=info.model_name, version=info.software_version)
    state = PRESENT if finding.present else ABSENT
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.tracking_id),
        referenced_region=hd.sr.ImageRegion(
            graphic_type=hd.sr.GraphicTypeValues.POLYLINE, graphic_data=corners, source_image=source
        ),
        finding_type=finding.finding.as_code(),
        finding_sites=[
            hd.sr.FindingSite(
                anatomic_location=finding.site.as_code(),
                laterality=_SIDES[finding.side].as_code() if finding.side in _SIDES else None,
            )
        ],
        measurements=[
            hd.sr.Measurement(
                name=CERTAINTY.as_code(),
                value=round(finding.certainty_pct, 2),
                unit=PERCENT.as_code(),
                algorithm_id=algorithm,
            )
        ],
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(name=finding.finding.as_code(), value=state.as_code())],
        algorithm_id=algorithm,
    )
