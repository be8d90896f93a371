"""Writes a run's files: ``result.json`` last, so that a folder with one is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from overread.dicom.codes import MILLILITRE, MILLIMETRE
from overread.dicom.seg import ObjectInfo, SegmentInfo, write_seg
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.operators.assessor import Assessor, Provenance, ResultType, result_xml
from overread.operators.exam import Exam
from overread.operators.ids import derived_uid, input_fingerprint, result_hash
from overread.operators.job import Job, to_json, write_atomically
from overread.operators.lesions import find_lesions
from overread.operators.preview import preview_png
from overread.operators.result import InputSeries, Measurement, Model, Result, WrittenObject

SEG_NAME: Final = "seg.dcm"
SR_NAME: Final = "sr.dcm"
PREVIEW_NAME: Final = "preview.png"
ASSESSOR_NAME: Final = "assessor.xml"
RESULT_NAME: Final = "result.json"
CONTEXT_NAME: Final = "context.json"
"""For wrap-up commands, which the Container Service gives nothing but the files of the run."""

_UNITS: Final = {unit.value: unit for unit in (MILLILITRE, MILLIMETRE)}
_SEG_SERIES, _SR_SERIES = 901, 902


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The names of a result.

    Parameters
    ----------
    digits
        Twelve digits that stand for input and model (`overread.operators.ids.result_hash`).
    fingerprint
        Of all inputs together.
    """

    digits: str
    fingerprint: str

    def label(self, code: str) -> str:
        """Return the result's label."""
        return f"{code}-{self.digits}"

    @property
    def collection(self) -> str:
        """Label of the ROI collection that holds the result's segmentation."""
        return f"AI-{self.digits}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What a segmentation network found.

    Parameters
    ----------
    role
        Series that was segmented.
    segments
        How each is described in DICOM, algorithm and tracking left out; and its voxels, (slices, rows, columns) on the
        grid of the series.
    measurements
        In the order of the datatype.
    device
        On which the network ran.
    caption
        What the preview says.
    title
        Of all segments together, for the descriptions of the series.
    origin_mm
        LPS position from which the places of lesions are told (`overread.operators.lesions.head_centre_mm`). None:
        the segments are parts of an organ, not lesions to be told one by one.
    texts
        What the result says in words, by field.
    shown
        Values that become black and white in the preview; None: the slice's own range.
    """

    role: str
    segments: tuple[tuple[SegmentInfo, NDArray[np.bool_]], ...]
    measurements: tuple[Measurement, ...]
    device: str
    caption: str
    title: str
    origin_mm: tuple[float, float, float] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[float, float] | None = None


def identify(study_instance_uid: str, inputs: Sequence[InputSeries], model: Model) -> Identity:
    """Return the names of the result that `model` makes of `inputs`: the same for the same, always."""
    fingerprint = input_fingerprint((item.role, item.fingerprint) for item in inputs)
    digits = result_hash(
        study_instance_uid=study_instance_uid,
        series_instance_uids=[item.series_instance_uid for item in inputs],
        fingerprint=fingerprint,
        model=model.name,
        version=model.version,
    )
    return Identity(digits=digits, fingerprint=fingerprint)


def write_segmentation(job: Job, kind: ResultType, exam: Exam, found: Segmentation) -> None:
    """Write all files of a run that segmented something: SEG, SR, preview, assessor and result.

    An empty mask is a result like any other: its SEG lists the segment, with an empty frame on every slice, so that a
    reader can draw what was missed on the segment that is there.
    """
    with job.stage("write", at=0.85):
        volume, series = exam.volumes[found.role], exam.series[found.role]
        identity = identify(series.study_instance_uid, exam.inputs, exam.model)
        segments = [(_described(one, exam.model, identity), mask) for one, mask in found.segments]
        seg = write_seg(
            volume.images,
            {one.number: mask for one, mask in segments},
            [one for one, _ in segments],
            info=about(exam.model, identity, "seg", number=_SEG_SERIES, description=f"AI {found.title}"),
        )
        report = measurement_report(
            seg,
            volume.images,
            measurements=_coded(found.measurements, found.segments),
            info=about(exam.model, identity, "sr", number=_SR_SERIES, description=f"AI {found.title}: measurements"),
            device_uid=derived_uid("device", exam.model.name, exam.model.version),
        )
        outputs = {"seg": write_dicom(job, SEG_NAME, seg), "sr": write_dicom(job, SR_NAME, report)}
        del seg
        note = f"{exam.model.name} {exam.model.version}. Not for clinical use."
        masks = [mask for _, mask in segments]
        picture = preview_png(
            volume.values,
            masks[0] if len(masks) == 1 else np.logical_or.reduce(masks),
            volume.geometry,
            caption=found.caption,
            note=note,
            parts=masks if len(masks) > 1 else (),
            window=found.shown,
        )
        write_atomically(job.output / PREVIEW_NAME, picture)
    result = Result(
        status="ok",
        reason="",
        study_instance_uid=series.study_instance_uid,
        study_date=series.study_date,
        study_time=series.study_time,
        model=exam.model,
        device=found.device,
        inputs=exam.inputs,
        measurements=found.measurements,
        outputs=outputs,
        timings_s=job.timings_s,
        warnings=job.warnings,
        lesions=find_lesions(segments, volume.geometry, origin_mm=found.origin_mm) if found.origin_mm else (),
        texts=found.texts,
    )
    more = Provenance(origin="ai", input_fingerprint=identity.fingerprint, collection=identity.collection)
    write_context(job, identity.collection, result)
    write_result(job, kind, result, label=identity.label(kind.code), more=more)


def write_not_applicable(job: Job, kind: ResultType, exam: Exam) -> None:
    """Write the result of an exam to which the model does not apply, so that it is counted and not lost.

    Its label depends on all series that are there: when more arrive, the next run is a result of its own.
    """
    found = exam.folder.series
    seen = tuple(
        InputSeries(
            role="seen",
            series_instance_uid=s.summary.series_instance_uid,
            instances=s.summary.instances,
            fingerprint=f"{s.summary.series_instance_uid}:{s.summary.instances}",
        )
        for s in found
    )
    result = Result(
        status="not-applicable",
        reason=exam.missing,
        study_instance_uid=found[0].study_instance_uid if found else "",
        study_date=found[0].study_date if found else "",
        study_time=found[0].study_time if found else "",
        model=exam.model,
        device="",
        timings_s=job.timings_s,
        warnings=job.warnings,
    )
    print(f"not applicable: {exam.missing}", flush=True)  # noqa: T201 - the log says why there is no measurement
    identity = identify(result.study_instance_uid, seen, exam.model)
    more = Provenance(origin="ai", input_fingerprint=identity.fingerprint)
    write_result(job, kind, result, label=identity.label(kind.code), more=more)


def write_result(job: Job, kind: ResultType, result: Result, *, label: str, more: Provenance) -> None:
    """Write ``assessor.xml`` and, last of all, ``result.json``."""
    document = result.as_document()
    assessor = Assessor(label=label, date=result.study_date, time=result.study_time)
    xml = result_xml(kind, result, assessor=assessor, context=job.context, more=more)
    write_atomically(job.output / ASSESSOR_NAME, xml)
    write_atomically(job.output / RESULT_NAME, to_json(document).encode() + b"\n")


def write_context(job: Job, collection: str, result: Result) -> None:
    """Write ``context.json``: where the ROI collection of the run's segmentation belongs, and its label."""
    context = {
        "project": job.context.project,
        "session_id": job.context.session_id,
        "subject_id": job.context.subject_id,
        "collection": collection,
        "study_date": result.study_date,
        "study_time": result.study_time,
    }
    write_atomically(job.output / CONTEXT_NAME, to_json(context).encode() + b"\n")


def write_dicom(job: Job, name: str, ds: Dataset) -> WrittenObject:
    """Write a DICOM object into the output folder and return its UIDs."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    write_atomically(job.output / name, buffer.getvalue())
    return WrittenObject(sop_instance_uid=str(ds.SOPInstanceUID), series_instance_uid=str(ds.SeriesInstanceUID))


def _described(segment: SegmentInfo, model: Model, identity: Identity) -> SegmentInfo:
    return replace(
        segment,
        algorithm_type="AUTOMATIC",
        algorithm_name=model.name,
        algorithm_version=model.version,
        tracking_id=segment.tracking_id or segment.label,
        tracking_uid=derived_uid("tracking", identity.digits, str(segment.number)),
    )


def about(model: Model, identity: Identity, kind: str, *, number: int, description: str) -> ObjectInfo:
    """Return what an object of a result says of itself: its UIDs are the same whenever the result is."""
    return ObjectInfo(
        series_instance_uid=derived_uid(kind, "series", identity.digits),
        sop_instance_uid=derived_uid(kind, "instance", identity.digits),
        series_number=number,
        series_description=description,
        model_name=model.name,
        software_version=model.version,
    )


def _coded(
    measurements: Sequence[Measurement], segments: Sequence[tuple[SegmentInfo, NDArray[np.bool_]]]
) -> list[SegmentMeasurement]:
    """Return the measurements of segments that have a name in a code system; a report holds no others.

    A measurement belongs to the segment whose tracking ID (or else label) its ROI names; to the only one if there is
    one alone.
    """
    numbers = {one.tracking_id or one.label: one.number for one, _ in segments}
    only = segments[0][0].number if len(segments) == 1 else None
    return [
        SegmentMeasurement(segment_number=number, name=m.code, value=m.value, unit=_UNITS[m.unit])
        for m in measurements
        if m.code is not None and m.unit in _UNITS and (number := numbers.get(m.roi, only)) is not None
    ]
