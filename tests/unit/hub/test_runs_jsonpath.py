"""Values in carets: what a path leads to, and what stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from overread.errors import PermanentRunnerError
from overread.hub.runs.jsonpath import Carets, JsonPathError, find, is_path

COMMAND: dict[str, Any] = {
    "name": "tiny",
    "label": None,
    "limit-cpu": 2,
    "mounts": [{"name": "in", "path": "/input"}, {"name": "out", "path": "/output"}],
    "xnat": [{"name": "w", "output-handlers": [{"name": "store", "label": "SEG"}]}],
}
CARETS = Carets(COMMAND, COMMAND["xnat"][0])


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [COMMAND]),
        ("$.name", ["tiny"]),
        ("$['name']", ["tiny"]),
        ('$["limit-cpu"]', [2]),
        ('$.mounts[?(@.name=="in")].path', ["/input"]),
        ("$.mounts[?(@.path =~ /.*put/)].name", ["in", "out"]),
        ("$.mounts[1].path", ["/output"]),
        ("$.mounts[*].path", ["/input", "/output"]),
        ("$..path", ["/input", "/output"]),
        ("$..output-handlers[0].label", ["SEG"]),
        ("$.none.path", []),
        ("$.mounts[7]", []),
        ("$.name[0]", []),
    ],
)
def test_paths(path: str, found: list[object]) -> None:
    assert find(COMMAND, path) == found


@pytest.mark.parametrize(
    "path", ["name", "$.", "$[", "$.a b", "$[?(@.a ==)]", "$[?(@.a =~ /(a+)+/)]", "$" + ".a" * 3000]
)
def test_paths_that_can_not_be_read(path: str) -> None:
    with pytest.raises(JsonPathError):
        find(COMMAND, path)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("--in ^$.mounts[?(@.name=='in')].path^ --fast", "--in /input --fast"),
        ("^wrapper:$.output-handlers[0].label^", "SEG"),
        ("^$.limit-cpu^", "2"),
        ("^$.label^", "^$.label^"),  # null counts as nothing
        ("^$.none^", "^$.none^"),
        ("10^3 and 10^4", "10^3 and 10^4"),
        ("2^8", "2^8"),
        ("", ""),
    ],
)
def test_texts(text: str, becomes: str) -> None:
    assert CARETS.resolve(text) == becomes


def test_several_values_are_an_error() -> None:
    with pytest.raises(PermanentRunnerError, match="leads to 2 values"):
        CARETS.resolve("^$.mounts[*].path^")


def test_what_is_a_path() -> None:
    assert is_path("x ^$.mounts[?(@.name=='in')].path^")
    assert not is_path("10^3 (or 10^4")
    assert not is_path("rm -rf /; ^")
