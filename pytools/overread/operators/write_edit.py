"""Writes the result that measures a reader's segmentation."""

from __future__ import annotations

from typing import Final

from overread.dicom.codes import LONG_AXIS, MILLILITRE, MILLIMETRE, SHORT_AXIS, VOLUME
from overread.dicom.geometry import text_of
from overread.dicom.seg import ObjectInfo, decode_seg
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.dicom.volumes import volumes_ml
from overread.operators.assessor import Provenance, ResultType
from overread.operators.difference import difference_png
from overread.operators.edited import Edit
from overread.operators.ids import derived_uid, edit_label, input_fingerprint
from overread.operators.job import Job, to_json, write_atomically
from overread.operators.load import FoundSeries
from overread.operators.measure import axial_extent
from overread.operators.preview import preview_png
from overread.operators.result import InputSeries, Model, Result, WrittenObject
from overread.operators.volume import ImageVolume
from overread.operators.write import PREVIEW_NAME, RESULT_NAME, SR_NAME, write_dicom, write_result

_SR_SERIES: Final = 912
DIFFERENCE_NAME: Final = "difference.png"


def write_edit(
    job: Job, kind: ResultType, edit: Edit, *, series: FoundSeries, volume: ImageVolume, calculator: Model
) -> None:
    """Write report, preview, assessor and result of a reader's segmentation.

    The result names the model whose result was corrected, so that edits and predictions of one model stand side by
    side; `calculator` where there is none. Its label depends on the segmentation alone: measured twice, it is the same.
    """
    seg_uid = text_of(edit.seg, "SOPInstanceUID")
    outputs = {
        "seg": WrittenObject(sop_instance_uid=seg_uid, series_instance_uid=text_of(edit.seg, "SeriesInstanceUID"))
    }
    with job.stage("write", at=0.8):
        report = _report(job, edit, volume, calculator)
        if report is not None:
            outputs["sr"] = report
        note = f"Corrects {edit.original.label}." if edit.original else "Drawn by the reader."
        picture = preview_png(
            volume.values, edit.mask, volume.geometry, caption=edit.caption, note=note, parts=edit.parts,
            window=edit.shown,
        )  # fmt: skip
        write_atomically(job.output / PREVIEW_NAME, picture)
        if edit.before is not None:
            shown = difference_png(volume.values, edit.mask, edit.before, volume.geometry)
            write_atomically(job.output / DIFFERENCE_NAME, shown)
    used = InputSeries(
        role=edit.original.role if edit.original else "image",
        series_instance_uid=series.summary.series_instance_uid,
        instances=series.summary.instances,
        fingerprint=volume.fingerprint,
        series_description=str(series.summary.header.get("SeriesDescription", "")),
    )
    result = Result(
        status="ok",
        reason="",
        study_instance_uid=series.study_instance_uid,
        study_date=series.study_date,
        study_time=series.study_time,
        model=edit.original.model if edit.original else calculator,
        device="cpu",
        inputs=(used,),
        measurements=edit.measurements,
        outputs=outputs,
        timings_s=job.timings_s,
        warnings=job.warnings,
        lesions=edit.lesions,
        comparison=edit.comparison,
        texts=edit.texts,
    )
    more = Provenance(
        origin="edited",
        input_fingerprint=input_fingerprint([(used.role, used.fingerprint)]),
        reader=edit.reader,
        original=edit.original.label if edit.original else "",
        collection=job.context.collection_label,
    )
    write_result(job, kind, result, label=edit_label(kind.code, seg_uid), more=more)


def write_nothing(job: Job, calculator: Model, reason: str) -> None:
    """Write ``result.json`` alone: there is nothing to be measured, and nothing to be stored."""
    result = Result(
        status="not-applicable",
        reason=reason,
        study_instance_uid="",
        study_date="",
        study_time="",
        model=calculator,
        device="",
        timings_s=job.timings_s,
        warnings=job.warnings,
    )
    print(f"not applicable: {reason}", flush=True)  # noqa: T201 - the log says why there is no measurement
    write_atomically(job.output / RESULT_NAME, to_json(result.as_document()).encode() + b"\n")


def _report(job: Job, edit: Edit, volume: ImageVolume, calculator: Model) -> WrittenObject | None:
    decoded = decode_seg(edit.seg, geometry=volume.geometry)
    if not all(segment.tracking_uid and segment.tracking_id for segment in decoded.segments):
        job.warn("The segmentation has no tracking UIDs, so there is no measurement report")
        return None
    measurements = []
    for number, volume_ml in volumes_ml(edit.seg, geometry=volume.geometry).items():
        mask = decoded.volume(number, volume.geometry)
        extent = axial_extent(mask, volume.geometry)
        measurements += [
            SegmentMeasurement(segment_number=number, name=VOLUME, value=volume_ml, unit=MILLILITRE),
            SegmentMeasurement(segment_number=number, name=LONG_AXIS, value=extent.longest_mm, unit=MILLIMETRE),
            SegmentMeasurement(segment_number=number, name=SHORT_AXIS, value=extent.perpendicular_mm, unit=MILLIMETRE),
        ]
    seg_uid = text_of(edit.seg, "SOPInstanceUID")
    report = measurement_report(
        edit.seg,
        volume.images,
        measurements=measurements,
        info=ObjectInfo(
            series_instance_uid=derived_uid("edit sr series", seg_uid),
            sop_instance_uid=derived_uid("edit sr instance", seg_uid),
            series_number=_SR_SERIES,
            series_description="Reader's segmentation: measurements",
            content_creator_name=edit.reader,
            model_name=calculator.name,
            software_version=calculator.version,
        ),
        device_uid=derived_uid("device", calculator.name, calculator.version),
    )
    return write_dicom(job, SR_NAME, report)
