"""Measures the liver's parts in a segmentation that a reader saved, and links the numbers to what was corrected."""

from __future__ import annotations

import sys
from pathlib import Path

from overread.dicom.geometry import text_of
from overread.dicom.seg import decode_seg
from overread.operators import liver
from overread.operators.assessor import ResultType
from overread.operators.edited import Edit, find_original, find_seg, images_of, is_of_a_reader, union_mask
from overread.operators.job import Job, image_arguments, run_image
from overread.operators.lesions import compare_masks
from overread.operators.result import Model
from overread.operators.volume import read_volume
from overread.operators.write_edit import write_edit, write_nothing

RESULT = ResultType(
    prefix="livertransplant",
    namespace="http://overread/xnat/livertransplant",
    element="Result",
    measures=("left_lobe_ml", "right_lobe_ml", "vessels_ml", "total_ml", "remnant_pct"),
    code="LT",
    texts=("remnant_lobe", "phase"),
)
THIS = Model(name="liver-volumes", version="1.0.0", weights_sha256="", framework="none")


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
        before = decode_seg(original.seg, geometry=volume.geometry) if original else None
        masks, strays = liver.parts_in(decoded, volume.geometry, original=before)
        for stray in strays:
            job.warn(stray)
        said = original.texts if original else {}
        remnant = liver.remnant_of(said.get("remnant_lobe") or job.context.remnant)
        measurements = liver.measure_liver(masks, volume.geometry, remnant=remnant)
        mask = union_mask(decoded, volume.geometry)
        corrected = union_mask(before, volume.geometry) if before else None
        comparison = compare_masks(mask, corrected, volume.geometry) if corrected is not None else None
    values = {measurement.name: measurement.value for measurement in measurements}
    edit = Edit(
        seg=seg,
        mask=mask,
        measurements=measurements,
        original=original,
        reader=text_of(seg, "ContentCreatorName").rstrip("^"),
        caption=f"Reader: {values['total_ml']:.0f} mL, {remnant} remnant {values['remnant_pct']:.0f} %",
        comparison=comparison,
        before=corrected,
        texts={"remnant_lobe": remnant, "phase": said.get("phase", "")},
        parts=tuple(masks.values()),
        shown=liver.SOFT_TISSUE_HU,
    )
    write_edit(job, RESULT, edit, series=series, volume=volume, calculator=THIS)


if __name__ == "__main__":
    parser = image_arguments("Measures the liver's parts in a segmentation that a reader saved.")
    parser.add_argument("--session", type=Path, required=True, help="folder of the exam, as XNAT keeps it; only read")
    sys.exit(run_image(measure_collection, parser))
