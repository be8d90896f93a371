"""Measures a segmentation that a reader saved, and links the numbers to reader, collection and corrected result."""

from __future__ import annotations

import sys
from pathlib import Path

from overread.dicom.codes import LONG_AXIS, VOLUME
from overread.dicom.geometry import text_of
from overread.dicom.seg import decode_seg
from overread.dicom.volumes import union_volume_ml
from overread.operators import measure
from overread.operators.assessor import ResultType
from overread.operators.edited import Edit, find_original, find_seg, images_of, is_of_a_reader, union_mask
from overread.operators.job import Job, image_arguments, run_image
from overread.operators.lesions import compare_masks, find_lesions, head_centre_mm
from overread.operators.result import Measurement, Model
from overread.operators.volume import read_volume
from overread.operators.write_edit import write_edit, write_nothing

RESULT = ResultType(
    prefix="braintumor",
    namespace="http://overread/xnat/braintumor",
    element="Result",
    measures=("lesion_volume_ml", "lesion_count", "longest_axial_diameter_mm"),
    code="BT",
)
THIS = Model(name="volume-calculator", version="1.0.0", weights_sha256="", framework="none")
ROI = "lesion"


def measure_collection(job: Job) -> None:
    """Measure the segmentation in the collection's folder, if a reader made it."""
    session: Path = job.arguments.session
    with job.stage("load", at=0.0):
        seg = find_seg(job.input, job.arguments.session)
    if seg is None:
        write_nothing(job, THIS, "The collection's segmentation has not been stored yet.")
        return
    if not is_of_a_reader(seg):
        write_nothing(job, THIS, "The segmentation is a model's own, which has measured it already.")
        return
    with job.stage("read", at=0.1):
        original = find_original(seg, session)
        series = images_of(seg, session)
        volume = read_volume(series)
        decoded = decode_seg(seg, geometry=volume.geometry)
    with job.stage("measure", at=0.6):
        mask = union_mask(decoded, volume.geometry)
        volume_ml = union_volume_ml(seg, geometry=volume.geometry)
        _, count = measure.components(mask)
        extent = measure.axial_extent(mask, volume.geometry)
        surface_mm2 = measure.surface_mm2(mask, volume.geometry)
        segments = [(segment, decoded.volume(segment.number, volume.geometry)) for segment in decoded.segments]
        lesions = find_lesions(segments, volume.geometry, origin_mm=head_centre_mm(volume.values, volume.geometry))
        comparison = before = None
        if original is not None:
            before = union_mask(decode_seg(original.seg, geometry=volume.geometry), volume.geometry)
            comparison = compare_masks(mask, before, volume.geometry)
    edit = Edit(
        seg=seg,
        mask=mask,
        measurements=(
            Measurement(roi=ROI, name="lesion_volume_ml", value=volume_ml, unit="mL", code=VOLUME),
            Measurement(roi=ROI, name="lesion_count", value=count, unit="1"),
            Measurement(roi=ROI, name="longest_axial_diameter_mm", value=extent.longest_mm, unit="mm", code=LONG_AXIS),
            Measurement(roi=ROI, name="perpendicular_diameter_mm", value=extent.perpendicular_mm, unit="mm"),
            Measurement(roi=ROI, name="bidimensional_product_mm2", value=extent.product_mm2, unit="mm2"),
            Measurement(roi=ROI, name="surface_mm2", value=surface_mm2, unit="mm2"),
        ),
        original=original,
        reader=text_of(seg, "ContentCreatorName").rstrip("^"),
        caption=f"Reader: {volume_ml:.1f} mL, {extent.longest_mm:.0f} mm" if count else "Reader: no lesion",
        lesions=lesions,
        comparison=comparison,
        before=before,
    )
    write_edit(job, RESULT, edit, series=series, volume=volume, calculator=THIS)


if __name__ == "__main__":
    parser = image_arguments("Measures a segmentation that a reader saved.")
    parser.add_argument("--session", type=Path, required=True, help="folder of the exam, as XNAT keeps it; only read")
    sys.exit(run_image(measure_collection, parser))
