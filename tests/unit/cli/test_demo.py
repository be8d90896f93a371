"""How the demo judges what came out, and which studies it takes; that it runs is seen by the end-to-end tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.requirements import REPOSITORY
from overread.cli import demo
from overread.cli.demo_line import Outcome
from overread.cli.main import main
from overread.study.manifest import Demo, DemoMeasure
from overread.synthetic.demo import GENERATORS, demo_exams
from overread.xnat.bundle import StudyBundle, load_bundle


class _Exam:
    patient_id, date, uid, accession_number = "P1", "2025-01-20", "1.2.3", "A1"

    def __init__(self, **truth: float | str) -> None:
        self.truth = truth

    def write(self, folder: Path) -> list[Path]:
        raise AssertionError(folder)


def line(truth: dict[str, float | str], said: dict[str, str], *, status: str = "Complete") -> demo._Line:
    manifest = load_bundle(REPOSITORY / "xnat-plugins" / "brain-tumor" / "study.yaml").manifest
    measures = {
        "volume_ml": DemoMeasure(within_pct=8.0, or_within=0.5),
        "side": DemoMeasure(within_pct=0.0, or_within=0.0),
    }
    manifest = manifest.model_copy(update={"demo": Demo(exams="brain", measures=measures)})
    return demo._Line(manifest, _Exam(**truth), Outcome(status, values=said))


@pytest.mark.parametrize(
    ("truth", "said", "good"),
    [
        ({"volume_ml": 12.0, "side": "left"}, {"volume_ml": "12.9", "side": "left"}, True),
        ({"volume_ml": 12.0, "side": "left"}, {"volume_ml": "13.0", "side": "left"}, False),
        ({"volume_ml": 0.0}, {"volume_ml": "0.5"}, True),
        ({"volume_ml": 0.0}, {"volume_ml": "0.51"}, False),
        ({"volume_ml": 12.0, "side": "left"}, {"volume_ml": "12.0", "side": "right"}, False),
        ({"volume_ml": 12.0}, {}, False),
        ({"status": "not-applicable"}, {"status": "not-applicable"}, True),
        ({"status": "not-applicable"}, {"status": "ok", "volume_ml": "3"}, False),
        ({}, {"volume_ml": "12"}, False),  # nothing known is nothing shown
    ],
)
def test_results_are_held_against_the_truth(truth: dict[str, float | str], said: dict[str, str], good: bool) -> None:
    assert line(truth, said).good is good


def test_a_run_that_failed_is_never_good() -> None:
    assert not line({"volume_ml": 12.0}, {"volume_ml": "12.0"}, status="Failed").good


def test_summary_says_truth_and_measured_by_field(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    assert not demo._summary([line({"volume_ml": 12.0, "side": "left"}, {"volume_ml": "99", "side": "left"})], target)
    (exam,) = json.loads(target.read_text())["exams"]
    assert exam["truth"] == {"volume_ml": 12.0, "side": "left"}
    assert exam["measured"] == {"volume_ml": 99.0, "side": "left"}
    assert exam["good"] is False


def test_unknown_study_is_one_line_that_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    result = CliRunner().invoke(main, ["demo", "--study", "knee"])
    assert result.exit_code == 2
    assert "There is no study 'knee'" in result.stderr
    assert "brain-tumor" in result.stderr


def _studies_with_a_demo() -> list[StudyBundle]:
    found = [load_bundle(path) for path in sorted((REPOSITORY / "xnat-plugins").glob("*/study.yaml"))]
    return [study for study in found if study.manifest.demo]


@pytest.mark.parametrize("study", _studies_with_a_demo(), ids=lambda study: study.manifest.id)
def test_each_study_has_exams_whose_truth_it_compares(study: StudyBundle) -> None:
    assert study.manifest.demo is not None
    exams = demo_exams(study.manifest.demo.exams)
    compared = set(study.manifest.demo.measures) | {"status"}
    assert exams
    assert all(compared & set(exam.truth) for exam in exams)
    assert len({exam.uid for exam in exams}) == len({exam.accession_number for exam in exams}) == len(exams)


def test_every_generator_is_some_studys() -> None:
    used = {study.manifest.demo.exams for study in _studies_with_a_demo() if study.manifest.demo}
    assert used == set(GENERATORS)
