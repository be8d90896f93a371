"""Segments both lobes of the liver and its vessels on portal venous CT and measures them.

What is done to the exam stands in ``model/card.yaml``; reading, running and writing are `overread.operators`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from overread.operators import liver
from overread.operators.assessor import ResultType
from overread.operators.card import load_card_as
from overread.operators.cascade import CascadeCard, load_cascade
from overread.operators.exam import read_exam
from overread.operators.job import Job, image_arguments, run_image
from overread.operators.write import Segmentation, write_not_applicable, write_segmentation

MODEL = Path(__file__).parent / "model"
RESULT = ResultType(
    prefix="livertransplant",
    namespace="http://overread/xnat/livertransplant",
    element="Result",
    measures=("left_lobe_ml", "right_lobe_ml", "vessels_ml", "total_ml", "remnant_pct"),
    code="LT",
    texts=("remnant_lobe", "phase"),
)


def segment_exam(job: Job) -> None:
    """Segment the exam in the input folder and write what was found."""
    remnant = liver.remnant_of(job.context.remnant)
    card = load_card_as(CascadeCard, MODEL)
    exam = read_exam(job, card)
    if exam.missing:
        write_not_applicable(job, RESULT, exam)
        return
    role = next(iter(card.inputs))
    volume = exam.volumes[role]
    with job.stage("network", at=0.2):
        cascade = load_cascade(MODEL)
    with job.stage("predict", at=0.25):
        found = cascade.run(volume.values, volume.geometry)
    with job.stage("measure", at=0.75):
        thresholds = {name: stage.threshold for name, stage in card.stages.items()}
        masks = liver.parts_of(found, volume.geometry, thresholds=thresholds)
        del found
        measurements = liver.measure_liver(masks, volume.geometry, remnant=remnant)
        for doubt in liver.doubts_about(masks, volume.geometry, expected=card.plausible):
            job.warn(doubt)
    values = {measurement.name: measurement.value for measurement in measurements}
    write_segmentation(
        job,
        RESULT,
        exam,
        Segmentation(
            role=role,
            segments=tuple((segment, masks[segment.tracking_id]) for segment in liver.SEGMENTS),
            measurements=measurements,
            device=cascade.device,
            title="Liver",
            caption=f"Liver {values['total_ml']:.0f} mL, {remnant} remnant {values['remnant_pct']:.0f} %",
            texts={"remnant_lobe": remnant, "phase": role},
            shown=liver.SOFT_TISSUE_HU,
        ),
    )


if __name__ == "__main__":
    sys.exit(run_image(segment_exam, image_arguments("Segments the liver's lobes and vessels on portal venous CT.")))
