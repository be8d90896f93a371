"""Segments a non-enhancing brain lesion on FLAIR and measures it.

What is done to the exam stands in ``model/card.yaml``; reading, running and writing are `overread.operators`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from overread.dicom.codes import LONG_AXIS, VOLUME, CodedTerm
from overread.dicom.seg import SegmentInfo
from overread.operators import measure
from overread.operators.assessor import ResultType
from overread.operators.card import load_card
from overread.operators.exam import read_exam
from overread.operators.job import Job, image_arguments, run_image
from overread.operators.lesions import head_centre_mm
from overread.operators.plausibility import doubts
from overread.operators.predict import load_network
from overread.operators.result import Measurement
from overread.operators.write import Segmentation, write_not_applicable, write_segmentation

MODEL = Path(__file__).parent / "model"
RESULT = ResultType(
    prefix="braintumor",
    namespace="http://overread/xnat/braintumor",
    element="Result",
    measures=("lesion_volume_ml", "lesion_count", "longest_axial_diameter_mm"),
    code="BT",
)
LESION = SegmentInfo(
    number=1,
    label="Lesion",
    category=CodedTerm("49755003", "SCT", "Morphologically Abnormal Structure"),
    type=CodedTerm("108369006", "SCT", "Neoplasm"),
    anatomic_region=CodedTerm("12738006", "SCT", "Brain"),
    color_cielab=(37593, 51031, 44414),  # red: sRGB 255, 64, 64
)


def segment_exam(job: Job) -> None:
    """Segment the exam in the input folder and write what was found."""
    card = load_card(MODEL)
    exam = read_exam(job, card)
    if exam.missing:
        write_not_applicable(job, RESULT, exam)
        return
    role = next(iter(card.inputs))
    volume = exam.volumes[role]
    with job.stage("network", at=0.2):
        network = load_network(MODEL)
    with job.stage("predict", at=0.3):
        probability = network.probability(volume.values, volume.geometry)
    with job.stage("measure", at=0.8):
        rules = card.postprocessing
        mask = measure.lesion_mask(probability, volume.geometry, rules=rules)
        volume_ml = measure.volume_ml(mask, volume.geometry)
        for doubt in doubts(
            probability > rules.threshold,
            mask,
            volume.values,
            volume.geometry,
            expected=card.plausible,
            connectivity=rules.connectivity,
        ):
            job.warn(doubt)
        _, count = measure.components(mask, connectivity=rules.connectivity)
        extent = measure.axial_extent(mask, volume.geometry)
        surface_mm2 = measure.surface_mm2(mask, volume.geometry)
        origin_mm = head_centre_mm(volume.values, volume.geometry)
    roi = card.output.roi
    found = Segmentation(
        role=role,
        segments=((LESION, mask),),
        measurements=(
            Measurement(roi=roi, name="lesion_volume_ml", value=volume_ml, unit="mL", code=VOLUME),
            Measurement(roi=roi, name="lesion_count", value=count, unit="1"),
            Measurement(roi=roi, name="longest_axial_diameter_mm", value=extent.longest_mm, unit="mm", code=LONG_AXIS),
            Measurement(roi=roi, name="perpendicular_diameter_mm", value=extent.perpendicular_mm, unit="mm"),
            Measurement(roi=roi, name="bidimensional_product_mm2", value=extent.product_mm2, unit="mm2"),
            Measurement(roi=roi, name="surface_mm2", value=surface_mm2, unit="mm2"),
        ),
        device=network.device,
        title=LESION.label,
        caption=f"Lesion {volume_ml:.1f} mL, {extent.longest_mm:.0f} mm" if count else "No lesion found",
        origin_mm=origin_mm,
    )
    write_segmentation(job, RESULT, exam, found)


if __name__ == "__main__":
    sys.exit(run_image(segment_exam, image_arguments("Segments a non-enhancing brain lesion on FLAIR.")))
