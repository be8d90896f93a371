"""The demo's exams by the name that a study's manifest gives (``demo.exams``)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from overread.errors import SpecError
from overread.study.problems import did_you_mean

GENERATORS: Final = {
    "brain": "overread.synthetic.exams",
    "abdomen": "overread.synthetic.abdomen_exams",
    "hip": "overread.synthetic.hip_exams",
}
"""Module by name; each has a function ``demo_exams`` without arguments. Nothing else is ever imported by a manifest."""


class DemoExam(Protocol):
    """An exam of a patient who does not exist, whose right result is known."""

    @property
    def patient_id(self) -> str:
        """PatientID."""

    @property
    def date(self) -> str:
        """Day of the exam, YYYY-MM-DD."""

    @property
    def uid(self) -> str:
        """StudyInstanceUID."""

    @property
    def accession_number(self) -> str:
        """AccessionNumber."""

    @property
    def truth(self) -> Mapping[str, float | str]:
        """What a right result says, by field of the result; compared is what the manifest's ``demo.measures`` names.

        An exam to which the model does not apply says so by ``{"status": "not-applicable"}`` alone.
        """

    def write(self, folder: Path) -> list[Path]:
        """Write the exam as DICOM files below `folder` and return them."""


def demo_exams(name: str) -> Sequence[DemoExam]:
    """Return the exams of a demo.

    Parameters
    ----------
    name
        One of `GENERATORS`.

    Raises
    ------
    SpecError
        If there is no generator of this name.
    """
    if name not in GENERATORS:
        raise SpecError(
            f"There are no made-up exams named {name!r}: {did_you_mean(name, GENERATORS)}", path="demo.exams"
        )
    exams: Sequence[DemoExam] = importlib.import_module(GENERATORS[name]).demo_exams()
    return exams
