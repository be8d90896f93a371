from __future__ import annotations

import pytest

from overread.errors import SpecError
from overread.study.problems import Problem, did_you_mean, dotted, line_of


def test_problem_is_one_line_with_its_place() -> None:
    assert str(Problem("f.yaml", 3, "a.b[0]", "is missing", "add it")) == "f.yaml:3: a.b[0]: is missing; add it"
    assert str(Problem("f.yaml", 0, "", "is empty")) == "f.yaml: is empty"


@pytest.mark.parametrize("problem", [Problem("f.yaml", 3, "a", "m"), Problem("f.yaml", 0, "", "m")])
def test_problem_survives_as_an_exception(problem: Problem) -> None:
    assert Problem.of(problem.error()) == problem


def test_exception_without_a_file_is_kept_as_it_is() -> None:
    assert Problem.of(SpecError("m")) == Problem("", 0, "", "m")


def test_line_of_the_nearest_thing_around() -> None:
    lines = {(): 1, ("a",): 4, ("a", 0): 5}
    assert line_of(("a", 0, "gone"), lines) == 5
    assert line_of(("b",), lines) == 1
    assert line_of(("b",), {}) == 0


def test_nearest_word_or_all_words_or_nothing() -> None:
    assert did_you_mean("Fair", ["flair", "t1"]) == "did you mean 'flair'?"
    assert did_you_mean("xyz", ["t2", "t1"]) == "one of t1, t2"
    assert did_you_mean("xyz", [f"w{i}" for i in range(50)]) == ""
    assert did_you_mean("xyz", []) == ""


def test_dotted_path_of_nothing_is_empty() -> None:
    assert dotted(()) == ""
