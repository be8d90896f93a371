"""Finds both hips on an exam's radiographs and says whether each is broken or holds hardware.

What is done to the exam stands in ``model/card.yaml``; reading, running and writing are `overread.operators`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from overread.dicom.codes import FRACTURE, HIP, IMPLANT
from overread.operators.assessor import ResultType
from overread.operators.detect import Detector
from overread.operators.exam import Exam, choose_series_of
from overread.operators.job import Job, image_arguments, run_image
from overread.operators.keras_card import load_detection_card
from overread.operators.radiographs import RadiographImage, Refused, read_radiographs
from overread.operators.result import Finding, Model
from overread.operators.write_findings import Meaning, write_findings

MODEL = Path(__file__).parent / "model"
ROLE = "radiographs"
RESULT = ResultType(
    prefix="hipfracture",
    namespace="http://overread/xnat/hipfracture",
    element="Result",
    measures=("right_confidence", "left_confidence"),
    texts=("right_class", "left_class"),
    code="HF",
)
MEANINGS = {
    "no-fracture": Meaning(finding=FRACTURE, present=False),
    "fracture": Meaning(finding=FRACTURE, present=True),
    "hardware": Meaning(finding=IMPLANT, present=True),
}
SIDES = ("right", "left")


def detect_in_exam(job: Job) -> None:
    """Look at the exam in the input folder and write what was found."""
    card = load_detection_card(MODEL)
    model = Model(
        name=card.name, version=card.version, weights_sha256=card.weights.sha256, framework=card.weights.framework
    )
    exam, candidates = choose_series_of(job, model=model, rules=card.inputs)
    with job.stage("read", at=0.15):
        radiographs = read_radiographs(candidates.get(ROLE, ()), body_parts=card.body_parts, lossy=card.lossy)
    refused = list(radiographs.refused)
    images: list[RadiographImage] = []
    findings: tuple[Finding, ...] = ()
    if radiographs.images:
        with job.stage("network", at=0.2):
            detector = Detector(MODEL, card)
        with job.stage("predict", at=0.5):
            detection = detector.examine(radiographs.images, finding="hip")
        images, findings = detection.used, detection.findings
        refused += detection.refused
        for warning in detection.warnings:
            job.warn(warning)
    for side in SIDES if findings else ():
        if all(finding.side != side for finding in findings):
            job.warn(f"The {side} hip is on none of the images")
    said = [f"{each.name}: {each.reason}" for each in refused]
    for line in said if findings else ():
        job.warn(f"Not used: {line}")
    write_findings(
        job,
        RESULT,
        exam if findings else _missing(exam, refused),
        role=ROLE,
        images=images,
        findings=findings,
        meanings=MEANINGS,
        site=HIP,
        device="cpu",
    )


def _missing(exam: Exam, refused: list[Refused]) -> Exam:
    """Return the exam with the reason why the model does not apply, image by image."""
    reasons = "; ".join(f"{each.name}: {each.reason}" for each in refused)
    return replace(exam, missing=exam.missing or reasons or "there is no radiograph")


def main() -> int:
    """Run the image and return its exit code."""
    return run_image(detect_in_exam, image_arguments(__doc__ or ""))


if __name__ == "__main__":
    sys.exit(main())
