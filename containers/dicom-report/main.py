"""Makes a DICOM report of an exam's result: Secondary Capture, PDF and SR, stored as a new scan of the exam.

What it says is made by `overread.operators.report`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from overread.operators.job import Job, image_arguments, run_image
from overread.operators.report import report_exam

VERSION = "1.0.0"


def main_report(job: Job) -> None:
    """Write the report of the exam in the input folder, if it has a result."""
    report_exam(job, project=job.arguments.project, version=VERSION)


if __name__ == "__main__":
    parser = image_arguments("Makes a DICOM report of an exam's result.")
    parser.add_argument("--project", type=Path, help="folder of the exam's project, for the patient's other exams")
    sys.exit(run_image(main_report, parser))
