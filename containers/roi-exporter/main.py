"""Makes an ROI collection of a run's segmentation, so that the viewer lists it beside those of readers.

A wrap-up command of the Container Service: it finds the run's files at ``/input`` and writes ``roi-collection.xml``.
"""

from __future__ import annotations

import json
import sys

from pydicom import dcmread

from overread.dicom.geometry import attribute, text_of
from overread.errors import DataError
from overread.operators.assessor import Assessor, roi_collection_xml
from overread.operators.job import Context, Job, image_arguments, run_image, write_atomically

COLLECTION_NAME = "roi-collection.xml"
KEYS = ("project", "session_id", "subject_id", "collection", "study_date", "study_time")


def export_collection(job: Job) -> None:
    """Write the collection of the segmentation in the input folder; nothing if there is none."""
    path = job.input / "seg.dcm"
    if not path.is_file():
        print("The run made no segmentation: there is nothing to export.")
        return
    with job.stage("export", at=0.0):
        belongs = read_context(job)
        seg = dcmread(path, stop_before_pixels=True)
        series = [text_of(item, "SeriesInstanceUID") for item in attribute(seg, "ReferencedSeriesSequence") or ()]
        if not series:
            raise DataError("The segmentation refers to no series: write it with ReferencedSeriesSequence.")
        xml = roi_collection_xml(
            assessor=Assessor(label=belongs["collection"], date=belongs["study_date"], time=belongs["study_time"]),
            context=Context(**{key: belongs[key] for key in KEYS[:3]}),
            sop_instance_uid=text_of(seg, "SOPInstanceUID"),
            series_instance_uids=series,
            name=text_of(seg, "SeriesDescription"),
        )
        write_atomically(job.output / COLLECTION_NAME, xml)


def read_context(job: Job) -> dict[str, str]:
    """Return what the run's image wrote down for this command."""
    path = job.input / "context.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        return {key: str(content[key]) for key in KEYS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("context.json is missing or incomplete: the image that wrote seg.dcm must write it.") from error


if __name__ == "__main__":
    sys.exit(run_image(export_collection, image_arguments("Makes an ROI collection of a run's segmentation.")))
