"""What a run prints: progress lines, reasons, and text that wants to be more than text."""

from __future__ import annotations

import pytest

from overread.hub.runs.logs import one_line, parse_progress
from overread.hub.runs.runner import Progress
from overread.hub.runs.template import command_line_value, command_line_values, fill


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("progress 0 load", Progress(0, "load")),
        ("progress 0.25 predict patches", Progress(0.25, "predict patches")),
        (" progress 1.0 done \r", Progress(1, "done")),
        ("progress 2 x", None),
        ("progress 1.5 x", None),
        ("progress -1 x", None),
        ("progress 0.5", None),
        ("progress nan x", None),
        ("in progress 0.5 x", None),
        ("progress 0.5 " + "x" * 200, None),
    ],
)
def test_progress_lines(line: str, progress: Progress | None) -> None:
    assert parse_progress(line) == progress


def test_a_reason_is_one_clean_line() -> None:
    assert one_line("a\x1b[31m b\n\tc\x00d  ") == "a b c d"
    assert len(one_line("x" * 10_000)) == 500


def test_replacement_is_done_once() -> None:
    assert fill("#a# and #b# and #c#", {"#a#": "#b#", "#b#": "2"}) == "#b# and 2 and #c#"
    assert fill(None, {"#a#": "1"}) == ""
    assert fill("#ab#", {"#a": "1", "#ab#": "2"}) == "2"


def test_flags_stand_before_values() -> None:
    given = {"type": "string", "command-line-flag": "--x"}
    assert command_line_value(given, "1") == "--x 1"
    assert command_line_value(given | {"command-line-separator": "="}, "1") == "--x=1"
    assert command_line_value(given, " ") == ""
    assert command_line_value({"type": "string"}, "1") == "1"
    many = given | {"type": "select-many", "multiple-delimiter": "space"}
    assert command_line_value(many, '["a", "b"]') == "--x a b"
    assert command_line_values(given, []) == ""
