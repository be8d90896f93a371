"""What a report of an exam says, and the objects it is: Secondary Capture, PDF and SR, and the scan that holds them.

All of it is read from the results and segmentations in the archive, never from whoever launched the run.
"""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from overread.dicom.capture import encapsulated_pdf, secondary_capture
from overread.dicom.codes import LONG_AXIS, MILLILITRE, MILLIMETRE, VOLUME, CodedTerm
from overread.dicom.seg import ObjectInfo, decode_seg
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.dicom.volumes import volumes_ml
from overread.errors import DataError
from overread.operators.edited import images_of, union_mask
from overread.operators.history import StoredResult, history_of, segmentation_of
from overread.operators.ids import derived_uid
from overread.operators.job import Job, to_json, write_atomically
from overread.operators.measure import longest_axial_diameter_mm
from overread.operators.preview import key_slice
from overread.operators.report_page import FIGURE_PX, SIDE_PX, ReportPage, draw_page
from overread.operators.result import InputSeries, Measurement, Model, Result
from overread.operators.volume import ImageVolume, read_volume
from overread.operators.write import RESULT_NAME, write_dicom
from overread.operators.write_edit import write_nothing
from overread.study.manifest import Progression
from overread.study.progression import Change, follow, followed_model, one_per_exam

NAME: Final = "dicom-report"
XNAT: Final = "http://nrg.wustl.edu/xnat"
PROGRESSION: Final = Progression.model_validate({"measure": "lesion_volume_ml"})
PDF_SCALE: Final = 2
SERIES: Final = {"report": 931, "sr": 932, "pdf": 933}


def report_exam(job: Job, *, project: Path | None, version: str) -> None:
    """Write the report of the exam in the input folder, if it has a result.

    Parameters
    ----------
    job
        The run; its context may name the result that the report is about.
    project
        Folder of the exam's project, in which the patient's other exams lie.
    version
        Of the image.

    Raises
    ------
    DataError
        If the exam has no such result, or lacks the segmentation or the images that it was made from.
    """
    this = Model(name=NAME, version=version, weights_sha256="", framework="none")
    with job.stage("load", at=0.0):
        history = history_of(job.input, project)
        chosen = choose(history, job)
    if chosen is None:
        write_nothing(job, this, "The exam has no result to report.")
        return
    with job.stage("read", at=0.2):
        seg = segmentation_of(chosen)
        if seg is None:
            raise DataError(f"The segmentation of {chosen.label} is not in this session: store it again.")
        volume = read_volume(images_of(seg, job.input))
    with job.stage("draw", at=0.5):
        page = page_of(job, chosen, history, seg, volume)
        picture = draw_page(page)
        document = BytesIO()
        draw_page(page, scale=PDF_SCALE).save(
            document, format="PDF", resolution=72.0 * PDF_SCALE * SIDE_PX / 595.0, quality=92, subsampling=0
        )
    with job.stage("write", at=0.8):
        write_report(job, chosen, seg, volume, picture=picture, pdf=document.getvalue())


def choose(history: list[StoredResult], job: Job) -> StoredResult | None:
    """Return the result that the report is about: the one asked for, else the newest correction, else the model's."""
    own = [result for result in history if result.session == job.input and result.document["status"] == "ok"]
    wanted = job.context.result_label
    if wanted:
        found = next((result for result in own if result.label == wanted), None)
        if found is None:
            raise DataError("The exam has no such result that was measured: give the label of one.", tag=wanted)
        return found
    edited = [result for result in own if result.origin == "edited"]
    return (edited or own)[-1] if own else None


def page_of(
    job: Job, chosen: StoredResult, history: list[StoredResult], seg: Dataset, volume: ImageVolume
) -> ReportPage:
    """Return what the page says."""
    rules = job.context.follow(PROGRESSION)
    changes = compared(history, chosen, rules)
    value = chosen.value(rules.measure)
    name, unit = named(rules.measure, chosen)
    mask = union_mask(decode_seg(seg, geometry=volume.geometry), volume.geometry)
    figure, k = key_slice(volume.values, mask, volume.geometry, side_px=PDF_SCALE * FIGURE_PX, shown_px=FIGURE_PX)
    here = next((c for c in changes if c.point.label == chosen.label), None)
    model = chosen.document["model"]
    used = chosen.document["inputs"][0]
    origin = "the model, unchanged" if chosen.origin == "ai" else "a reader, who corrected the model"
    return ReportPage(
        title=job.context.study_title or "Model result",
        exam_date=chosen.study_date,
        value=f"{name}: not measured" if value is None else f"{name} {value:.1f} {unit}",
        facts=(
            ("Model", chosen.model),
            ("Outline by", origin),
            ("Series", str(used.get("series_description") or "without a description")),
            ("Lesions", _lesions(chosen)),
            ("Compared", here.reason if here else "with nothing: the exam has no date"),
        ),
        figure=figure,
        figure_caption=f"Slice {k + 1} of {volume.geometry.shape[0]}, where the outline is largest",
        measure=name,
        unit=unit,
        changes=changes,
        threshold_pct=rules.increase_pct,
        warnings=chosen.document["warnings"],
        footer=(
            f"Result {chosen.label}. SHA-256 of the weights {str(model['weights_sha256'])[:16] or 'unknown'}.",
            f"{job.context.command or NAME}, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d %H:%M} UTC.",
            "Made by a program from images of this study. Not a finding of a physician. Research use only.",
        ),
    )


def compared(history: Sequence[StoredResult], chosen: StoredResult, rules: Progression) -> tuple[Change, ...]:
    """Compare the patient's values over time; of the exam itself that counts which the report is about."""
    points = [point for result in history if (point := result.time_point(rules.measure)) is not None]
    model, own = followed_model(points), chosen.time_point(rules.measure)
    counting = [
        own if own is not None and point.study_instance_uid == own.study_instance_uid else point
        for point in one_per_exam(points, model)
    ]
    return follow(counting, rules, model=model)


def _lesions(result: StoredResult) -> str:
    """Return volume and longest axial diameter of each lesion, the largest first; nothing where they were not told."""
    told = [f"{each['volume_ml']:.1f} mL, {each['longest_axial_diameter_mm']:.0f} mm" for each in _listed(result)]
    return f"{len(told)}: {'; '.join(told)}" if told else ""


def _listed(result: StoredResult) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.document.get("lesions") or []
    return found


def named(measure: str, result: StoredResult) -> tuple[str, str]:
    """Return a measure in words, and its unit."""
    unit = next((str(m["unit"]) for m in result.document["measurements"] if m["name"] == measure), "")
    words = measure.removesuffix(f"_{unit.lower()}").replace("_", " ")
    return words[:1].upper() + words[1:], "" if unit == "1" else unit


def write_report(
    job: Job, chosen: StoredResult, seg: Dataset, volume: ImageVolume, *, picture: Image.Image, pdf: bytes
) -> None:
    """Write the objects, the scan that holds them, and what was made. UIDs are new each time: nothing is replaced."""
    first = volume.images[0]
    rgb = np.asarray(picture.convert("RGB"), dtype=np.uint8)
    capture = secondary_capture(
        rgb,
        first,
        info=about(chosen, "report", "AI report, research use only"),
        sources=[first],
        derivation=f"Report of {chosen.label}, made by dicom-report",
    )
    document = encapsulated_pdf(
        pdf,
        first,
        info=about(chosen, "pdf", "AI report (PDF), research use only"),
        title="AI report, research use only",
    )
    outputs = {"report": write_dicom(job, "report.dcm", capture), "pdf": write_dicom(job, "pdf.dcm", document)}
    report = structured(chosen, seg, volume)
    if report is None:
        job.warn("The segmentation has no tracking UIDs, so there is no structured report")
    else:
        outputs["sr"] = write_dicom(job, "sr.dcm", report)
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    write_atomically(job.output / "report.png", buffer.getvalue())
    write_atomically(job.output / "scan.xml", scan_xml(job, capture))
    result = Result(
        status="ok",
        reason="",
        study_instance_uid=str(first.StudyInstanceUID),
        study_date=str(first.get("StudyDate", "")),
        study_time="",
        model=Model(**chosen.document["model"]),
        device="cpu",
        inputs=tuple(InputSeries(**item) for item in chosen.document["inputs"]),
        measurements=tuple(measurement_of(item) for item in chosen.document["measurements"]),
        outputs=outputs,
        timings_s=job.timings_s,
        warnings=job.warnings,
    )
    write_atomically(job.output / RESULT_NAME, to_json(result.as_document()).encode() + b"\n")


def measurement_of(item: dict[str, Any]) -> Measurement:
    """Return a measurement of a stored result."""
    code = item.get("code")
    return Measurement(**{**item, "code": CodedTerm(**code) if code else None})


def structured(chosen: StoredResult, seg: Dataset, volume: ImageVolume) -> Dataset | None:
    """Return volume and long axis of each segment as an SR; None if segments can't be followed."""
    decoded = decode_seg(seg, geometry=volume.geometry)
    if not all(segment.tracking_uid and segment.tracking_id for segment in decoded.segments):
        return None
    measured = []
    for number, volume_ml in volumes_ml(seg, geometry=volume.geometry).items():
        longest_mm = longest_axial_diameter_mm(decoded.volume(number, volume.geometry), volume.geometry)
        measured += [
            SegmentMeasurement(segment_number=number, name=VOLUME, value=volume_ml, unit=MILLILITRE),
            SegmentMeasurement(segment_number=number, name=LONG_AXIS, value=longest_mm, unit=MILLIMETRE),
        ]
    return measurement_report(
        seg,
        volume.images,
        measurements=measured,
        info=about(chosen, "sr", "AI report (SR), research use only"),
        device_uid=derived_uid(
            "device", str(chosen.document["model"]["name"]), str(chosen.document["model"]["version"])
        ),
    )


def about(chosen: StoredResult, kind: str, description: str) -> ObjectInfo:
    """Return what an object of the report says of itself."""
    return ObjectInfo(
        series_number=SERIES[kind],
        series_description=description,
        model_name=str(chosen.document["model"]["name"]),
        software_version=str(chosen.document["model"]["version"]),
    )


def scan_xml(job: Job, capture: Dataset) -> bytes:
    """Return the scan that holds the report. Its ID is new: a report never takes the place of another."""
    ET.register_namespace("xnat", XNAT)
    made = f"{capture.SeriesDate}{str(capture.SeriesTime)[:6]}-{str(generate_uid(prefix=None))[-6:]}"
    scan = ET.Element(f"{{{XNAT}}}SCScan", {"ID": f"report-{made}", "type": "AI report"})
    scan.set("UID", str(capture.SeriesInstanceUID))
    if job.context.session_id:
        ET.SubElement(scan, f"{{{XNAT}}}image_session_ID").text = job.context.session_id
    ET.SubElement(scan, f"{{{XNAT}}}quality").text = "usable"
    ET.SubElement(scan, f"{{{XNAT}}}series_description").text = str(capture.SeriesDescription)
    return bytes(ET.tostring(scan, encoding="utf-8", xml_declaration=True)) + b"\n"
