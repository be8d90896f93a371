"""What ends before any network is loaded: said in one line, or as a result that does not apply."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.containers import main_of, run_main
from helpers.exam_files import write_series
from overread.synthetic.phantoms import make_mr_series


@pytest.fixture(scope="module")
def image() -> Any:
    return main_of("liver-segmentation")


def test_an_unknown_lobe_is_one_line(image, tmp_path):
    folder = write_series(tmp_path / "in", make_mr_series((4, 8, 8)))
    done = run_main(image.segment_exam, folder, tmp_path / "out", OVERREAD_REMNANT="caudate")
    assert done.code == 2
    assert done.error.count("\n") == 1
    assert "write left or right" in done.error


def test_an_exam_of_another_modality_does_not_apply(image, tmp_path):
    folder = write_series(tmp_path / "in", make_mr_series((40, 8, 8), series_description="portal venous"))
    done = run_main(image.segment_exam, folder, tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    assert done.result["status"] == "not-applicable"
    assert "Modality" in done.result["reason"]
