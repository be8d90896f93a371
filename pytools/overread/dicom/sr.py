"""Measurement reports (PS3.16 TID 1500) about the segments of a segmentation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from overread.dicom.codes import CodedTerm
from overread.dicom.geometry import text_of
from overread.dicom.headers import as_read, copy_patient_and_study, plain_text, reference_copy
from overread.dicom.seg_read import decode_seg
from overread.dicom.seg_write import ObjectInfo
from overread.dicom.segments import SegmentInfo
from overread.errors import DataError

_LO_MAX: Final = 64
_PROCEDURE: Final = CodedTerm("18748-4", "LN", "Diagnostic imaging study")


@dataclass(frozen=True, kw_only=True)
class SegmentMeasurement:
    """One number measured on one segment.

    Parameters
    ----------
    segment_number
        Segment of the segmentation.
    name
        What was measured, as a code, such as `overread.dicom.codes.VOLUME`.
    value
        How much.
    unit
        UCUM code, such as `overread.dicom.codes.MILLILITRE`.
    """

    segment_number: int
    name: CodedTerm
    value: float
    unit: CodedTerm


def measurement_report(
    seg: Dataset,
    source_images: Sequence[Dataset],
    *,
    measurements: Sequence[SegmentMeasurement],
    info: ObjectInfo,
    device_uid: str,
) -> Dataset:
    """Return a Comprehensive 3D SR with the measurements of each segment.

    Each segment becomes one measurement group that refers to the segment in `seg` and to the series it was drawn on,
    and has the segment's tracking identifier and UID, so that time points can be lined up.

    Parameters
    ----------
    seg
        Segmentation as `write_seg` returns it.
    source_images
        Images that it was made from; headers are enough.
    measurements
        At least one.
    info
        What the report says of itself. Its content creator is the observer if there is one, else the program is.
    device_uid
        UID of the program, of which model and version have their own.

    Returns
    -------
    Dataset
        Explicit VR Little Endian, with file meta information.

    Raises
    ------
    DataError
        If a measurement is about a segment that `seg` does not have, or a segment lacks tracking UID or tracking ID.
    """
    segments = {s.number: s for s in decode_seg(seg).segments}
    by_segment: dict[int, list[SegmentMeasurement]] = defaultdict(list)
    for measurement in measurements:
        by_segment[measurement.segment_number].append(measurement)
    if not by_segment or not set(by_segment) <= set(segments):
        raise DataError(
            f"Measurements are about segments {sorted(by_segment)}, the segmentation has {sorted(segments)}: measure "
            "its segments.",
            uid=text_of(seg, "SOPInstanceUID"),
        )
    # Frames of a multi-frame image are one image.
    images = [reference_copy(ds) for ds in {text_of(ds, "SOPInstanceUID"): ds for ds in source_images}.values()]
    groups = [
        _group(segments[number], found, seg=seg, series_uid=text_of(images[0], "SeriesInstanceUID"))
        for number, found in sorted(by_segment.items())
    ]
    return report_document(
        groups, evidence=[reference_copy(seg), *images], image=source_images[0], info=info, device_uid=device_uid
    )


def report_document(
    groups: Sequence[Any], *, evidence: Sequence[Dataset], image: Dataset, info: ObjectInfo, device_uid: str
) -> Dataset:
    """Return a measurement report (Comprehensive 3D SR, TID 1500) of some measurement groups.

    Parameters
    ----------
    groups
        highdicom's, at least one.
    evidence
        Copies of all that they refer to.
    image
        Of the exam: patient and study are taken from it.
    info, device_uid
        As for `measurement_report`.
    """
    report = hd.sr.MeasurementReport(
        observation_context=_observer(info, device_uid),
        procedure_reported=_PROCEDURE.as_code(),
        imaging_measurements=list(groups),
        title=codes.DCM.ImagingMeasurementReport,
    )
    sr = hd.sr.Comprehensive3DSR(
        evidence=list(evidence),
        content=report,
        is_complete=True,
        is_final=False,  # a program's measurements are nobody's finding until a reader says so
        is_verified=False,
        **info.highdicom_arguments(),
    )
    copy_patient_and_study(image, sr)
    return as_read(sr)


def _observer(info: ObjectInfo, device_uid: str) -> hd.sr.ObservationContext:
    if info.content_creator_name:
        # The trailing caret says that this is a family name alone (PS3.5 6.2.1.1), as logins are.
        person = hd.sr.PersonObserverIdentifyingAttributes(name=f"{info.content_creator_name}^")
        return hd.sr.ObservationContext(
            observer_person_context=hd.sr.ObserverContext(
                observer_type=codes.DCM.Person, observer_identifying_attributes=person
            )
        )
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid,
        name=info.model_name,
        manufacturer_name=info.manufacturer,
        model_name=plain_text(f"{info.model_name} {info.software_version}", limit=_LO_MAX),
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _group(segment: SegmentInfo, measurements: Sequence[SegmentMeasurement], *, seg: Dataset, series_uid: str) -> Any:
    if not segment.tracking_uid or not segment.tracking_id:
        raise DataError(
            f"Segment {segment.number} has no tracking ID and UID: give it both, a report refers to them.",
            uid=text_of(seg, "SOPInstanceUID"),
            tag="TrackingUID",
        )
    reference = hd.sr.ReferencedSegment(
        sop_class_uid=text_of(seg, "SOPClassUID"),
        sop_instance_uid=text_of(seg, "SOPInstanceUID"),
        segment_number=segment.number,
        source_series=hd.sr.SourceSeriesForSegmentation(referenced_series_instance_uid=series_uid),
    )
    site = segment.anatomic_region
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=reference,
        tracking_identifier=hd.sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id),
        finding_category=segment.category.as_code(),
        finding_type=segment.type.as_code(),
        finding_sites=[hd.sr.FindingSite(anatomic_location=site.as_code())] if site else None,
        measurements=[
            hd.sr.Measurement(name=m.name.as_code(), value=_digits(m.value), unit=m.unit.as_code())
            for m in measurements
        ],
    )


def _digits(value: float) -> float:
    """Return a value with as many digits as a decimal string holds without loss of meaning."""
    return float(f"{value:.10g}")
