"""What ends before any network is loaded: a result that does not apply, and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from helpers.containers import Run, main_of, run_main
from helpers.exam_files import write_series
from overread.synthetic.hip_conditions import Condition
from overread.synthetic.hip_exams import FIVE, PlannedHipExam


@pytest.fixture(scope="module")
def image() -> Any:
    return main_of("hip-fracture-detection")


@pytest.fixture(scope="module")
def exam() -> list[Dataset]:
    """A pelvis from the front."""
    plan = PlannedHipExam(
        patient_id="T1", study_date="20250201", right=Condition(name="no-fracture"), left=Condition(name="no-fracture"),
        seed=4_100_002, spacing_mm=1.6, images=FIVE[:1],
    )  # fmt: skip
    return plan.datasets()


@pytest.fixture
def run(image: Any, tmp_path: Path) -> Callable[[list[Dataset]], Run]:
    def start(images: list[Dataset]) -> Run:
        done = run_main(image.detect_in_exam, write_series(tmp_path / "in", images), tmp_path / "out")
        assert (done.code, done.error) == (0, "")
        assert done.result["status"] == "not-applicable"
        return done

    return start


def test_another_part_of_the_body_is_refused_by_its_header(
    run: Callable[[list[Dataset]], Run], exam: list[Dataset]
) -> None:
    chest = exam[0].copy()
    chest.BodyPartExamined = "CHEST"
    assert "another part of the body (BodyPartExamined CHEST)" in run([chest]).result["reason"]


def test_an_exam_without_radiographs_does_not_apply(run: Callable[[list[Dataset]], Run], exam: list[Dataset]) -> None:
    scan = exam[0].copy()
    scan.Modality = "MR"
    assert "radiographs" in run([scan]).result["reason"]
