from __future__ import annotations

import pytest

from helpers.containers import run_main
from overread.errors import DataError, SpecError
from overread.operators.job import Context, write_atomically


def working(error):
    def work(job):
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            DataError("The series is\nbroken: send it again.", uid="1.2"),
            1,
            "1.2: The series is broken: send it again.\n",
        ),
        (SpecError("Say it right.", source="x"), 2, "x: Say it right.\n"),
        (OSError(28, "No space left on device", "/output/seg.dcm"), 1, "No space left on device: /output/seg.dcm\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path, error, code, text):
    done = run_main(working(error), tmp_path, tmp_path / "out")
    assert (done.code, done.error) == (code, text)


def test_a_fault_of_the_image_is_one_line_without_values(tmp_path):
    done = run_main(working(KeyError("Doe^Jane")), tmp_path, tmp_path / "out")
    assert done.code == 70
    assert done.error.startswith("A fault of this image, not of the exam (KeyError in test_job.py:")
    assert done.error.count("\n") == 1
    assert "Doe" not in done.error


def test_for_its_maker_the_traceback_can_be_had(tmp_path):
    done = run_main(working(KeyError("x")), tmp_path, tmp_path / "out", OVERREAD_DEBUG="1")
    assert "Traceback" in done.error


def test_stages_are_timed_and_told(tmp_path):
    taken = {}

    def work(job):
        with job.stage("load", at=0.25):
            pass
        with pytest.raises(DataError), job.stage("predict", at=0.5):
            raise DataError("x")
        job.warn("look closer")
        taken.update(job.timings_s)
        assert job.warnings == ["look closer"]

    done = run_main(work, tmp_path, tmp_path / "out")
    assert done.out.splitlines() == [
        "progress 0.25 load", "progress 0.50 predict", "warning: look closer", "progress 1.00 done",
    ]  # fmt: skip
    assert taken.keys() == {"load", "predict"}
    assert all(0 <= seconds < 1 for seconds in taken.values())


def test_the_context_is_that_of_the_environment():
    context = Context.of({"OVERREAD_PROJECT": "BTS", "OVERREAD_SERIES_RULES": " ", "OVERREAD_IMAGE_DIGEST": "#digest#"})
    assert (context.project, context.series_rules, context.image_digest, context.session_id) == ("BTS", "", "", "")


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    write_atomically(tmp_path / "a.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
