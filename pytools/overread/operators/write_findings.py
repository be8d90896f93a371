"""Writes the files of a run that detected something: SR, annotated image, preview, assessor and result."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overread.dicom.capture import secondary_capture
from overread.dicom.codes import CodedTerm
from overread.dicom.geometry import text_of
from overread.dicom.region_report import RegionFinding, region_report
from overread.operators.annotate import annotated, as_png
from overread.operators.assessor import Provenance, ResultType
from overread.operators.exam import Exam
from overread.operators.ids import derived_uid
from overread.operators.job import Job, write_atomically
from overread.operators.load import FoundSeries
from overread.operators.radiographs import RadiographImage
from overread.operators.result import Finding, InputSeries, Result
from overread.operators.write import (
    PREVIEW_NAME,
    SR_NAME,
    Identity,
    about,
    identify,
    write_dicom,
    write_not_applicable,
    write_result,
)

ANNOTATED_NAME: Final = "annotated.dcm"
_SR_SERIES, _ANNOTATED_SERIES = 902, 903


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a class says in codes: which finding, and whether it is there."""

    finding: CodedTerm
    present: bool


def write_findings(
    job: Job,
    kind: ResultType,
    exam: Exam,
    *,
    role: str,
    images: Sequence[RadiographImage],
    findings: Sequence[Finding],
    meanings: Mapping[str, Meaning],
    site: CodedTerm,
    device: str,
) -> None:
    """Write all files of a run with findings; without any, the result that the model does not apply (`exam.missing`).

    Parameters
    ----------
    role
        What the images are called among the inputs.
    images
        Those that were used.
    findings
        Each with a box on one of them.
    meanings
        Codes by class.
    site
        Where in the body findings lie.
    device
        On which the network ran.
    """
    if not findings:
        write_not_applicable(job, kind, exam)
        return
    inputs = _inputs(role, images, exam.folder.series)
    series = next(s for s in exam.folder.series if s.summary.series_instance_uid == inputs[0].series_instance_uid)
    identity = identify(series.study_instance_uid, inputs, exam.model)
    headers = [image.header for image in images]
    note = f"{exam.model.name} {exam.model.version}. Not for clinical use."
    with job.stage("write", at=0.85):
        report = region_report(
            [_region(f, meanings[f.cls], site, identity) for f in findings],
            headers,
            info=about(exam.model, identity, "sr", number=_SR_SERIES, description="AI findings"),
            device_uid=derived_uid("device", exam.model.name, exam.model.version),
        )
        picture = annotated(images, findings, note=note)
        capture = secondary_capture(
            picture,
            headers[0],
            info=about(exam.model, identity, "annotated", number=_ANNOTATED_SERIES, description="AI findings, drawn"),
            sources=headers,
            derivation=f"Boxes of findings by {exam.model.name} {exam.model.version}",
        )
        outputs = {"sr": write_dicom(job, SR_NAME, report), "annotated": write_dicom(job, ANNOTATED_NAME, capture)}
        write_atomically(job.output / PREVIEW_NAME, as_png(picture))
    result = Result(
        status="ok",
        reason="",
        study_instance_uid=series.study_instance_uid,
        study_date=series.study_date,
        study_time=series.study_time,
        model=exam.model,
        device=device,
        inputs=inputs,
        findings=tuple(findings),
        texts={f"{finding.side}_class": finding.cls for finding in findings},
        outputs=outputs,
        timings_s=job.timings_s,
        warnings=job.warnings,
    )
    more = Provenance(origin="ai", input_fingerprint=identity.fingerprint)
    write_result(job, kind, result, label=identity.label(kind.code), more=more)


def _inputs(role: str, images: Sequence[RadiographImage], series: Sequence[FoundSeries]) -> tuple[InputSeries, ...]:
    """Return the series that the images lie in; the fingerprint is that of the images that were used."""
    by_series: dict[str, list[RadiographImage]] = defaultdict(list)
    for image in images:
        by_series[text_of(image.header, "SeriesInstanceUID")].append(image)
    described = {s.summary.series_instance_uid: s for s in series}
    return tuple(
        InputSeries(
            role=role,
            series_instance_uid=uid,
            instances=len(members),
            fingerprint=_fingerprint(members),
            series_description=str(described[uid].summary.header.get("SeriesDescription", "")),
        )
        for uid, members in by_series.items()
    )


def _fingerprint(images: Sequence[RadiographImage]) -> str:
    lines = "\n".join(sorted(f"{image.uid}:{image.pixels_sha256}" for image in images))
    return hashlib.sha256(lines.encode()).hexdigest()


def _region(finding: Finding, meaning: Meaning, site: CodedTerm, identity: Identity) -> RegionFinding:
    box = finding.box
    if box is None:
        raise ValueError(f"the {finding.side} {finding.name} has no box")  # of ours, not of the exam
    return RegionFinding(
        image_uid=box.sop_instance_uid,
        # SCOORD counts from the corner of the first pixel, a box from its middle.
        box=(box.x + 0.5, box.y + 0.5, box.x + box.width + 0.5, box.y + box.height + 0.5),
        finding=meaning.finding,
        present=meaning.present,
        site=site,
        side=finding.side,
        certainty_pct=100.0 * finding.confidence,
        tracking_id=f"{finding.name} {finding.side}",
        tracking_uid=derived_uid("tracking", identity.digits, finding.side),
    )
