"""What a report compares: the value that it is about, with the model version that is followed."""

from __future__ import annotations

from pathlib import Path

from overread.operators.history import StoredResult
from overread.operators.report import compared
from overread.study.manifest import Progression

RULES = Progression.model_validate({"measure": "lesion_volume_ml", "increase_pct": 40})


def result(label: str, date: str, volume_ml: float, *, version: str = "1.0.0", modified: float = 0.0) -> StoredResult:
    return StoredResult(
        label=label,
        session=Path(f"/exams/{date}"),
        modified=modified,
        document={
            "model": {"name": "net", "version": version},
            "study": {"study_date": date, "study_instance_uid": f"1.2.{date}"},
            "measurements": [{"name": "lesion_volume_ml", "value": volume_ml}],
            "outputs": {},
        },
    )


def test_a_report_of_the_models_value_compares_that_one_although_a_reader_corrected_it() -> None:
    before = result("A", "20250101", 10.0)
    chosen, corrected = result("B", "20260101", 12.0), result("B-EDIT-1", "20260101", 20.0, modified=1.0)
    history = [before, chosen, corrected]
    assert [(c.point.label, c.verdict) for c in compared(history, chosen, RULES)] == [
        ("A", "baseline"),
        ("B", "increase"),
    ]
    assert [(c.point.label, c.verdict) for c in compared(history, corrected, RULES)] == [
        ("A", "baseline"),
        ("B-EDIT-1", "progression"),
    ]


def test_the_version_of_the_latest_exam_is_followed_also_where_a_reader_corrected_it() -> None:
    old = result("A", "20250101", 10.0)
    made, corrected = result("B", "20260101", 12.0, version="2.0.0"), result("B-EDIT-1", "20260101", 20.0)
    corrected.document["model"]["version"] = "2.0.0"
    found = compared([old, made, corrected], corrected, RULES)
    assert [(c.point.label, c.verdict) for c in found] == [("A", "other-model"), ("B-EDIT-1", "baseline")]
