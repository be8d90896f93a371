"""The Container Service's rules for command documents."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.runs import document
from overread.hub.runs.documents import normalise
from overread.hub.runs.validation import problems

CONTAINERS = Path(__file__).resolve().parents[3] / "containers"


def _broken(*steps: Any, value: Any) -> dict[str, Any]:
    """Return a document with one place changed."""
    whole = copy.deepcopy(document())
    place: Any = whole
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_broken("name", value=""), "name cannot be blank"),
        (_broken("image", value="overread/tiny"), "must include version tag"),
        (_broken("type", value="podman"), "Unknown command type"),
        (_broken("mounts", 1, "name", value="in"), "not unique"),
        (_broken("mounts", 0, "path", value="../etc"), "path must be absolute"),
        (_broken("outputs", 0, "mount", value="nowhere"), "unknown mount"),
        (_broken("inputs", 0, "name", value="a b"), "alphanumeric"),
        (_broken("inputs", 0, "type", value="select-one"), "doesn't list select-values"),
        (_broken("environment-variables", "XNAT_PASS", value="x"), "reserved"),
        (_broken("xnat", 0, "external-inputs", 0, "type", value="Exam"), "Unknown type"),
        (_broken("xnat", 0, "external-inputs", 0, "type", value="Subject"), "cannot provide files"),
        (_broken("xnat", 0, "external-inputs", 0, "matcher", value="@.a =="), "matcher"),
        (_broken("xnat", 0, "derived-inputs", 0, "derived-from-wrapper-input", value="no"), "unknown XNAT input"),
        (_broken("xnat", 0, "derived-inputs", 0, "multiple", value=True), "must provide values"),
        (_broken("xnat", 0, "output-handlers", 0, "as-a-child-of", value="later"), "no earlier output handler"),
        (_broken("xnat", 0, "output-handlers", 0, "as-a-child-of", value="session-id"), "is not a"),
        (_broken("xnat", 0, "output-handlers", 1, "label", value=""), "label cannot be blank"),
        (_broken("xnat", 0, "output-handlers", 2, "accepts-command-output", value="report"), "is not handled"),
        (_broken("xnat", 0, "output-handlers", 2, "as-a-child-of", value="store-report"), "can be a parent"),
        (_broken("inputs", value="none"), "must be a list of objects"),
        (_broken("xnat", 0, "output-handlers", value=[1]), "must be a list of objects"),
    ],
)
def test_what_is_wrong_is_told(broken: dict[str, Any], message: str) -> None:
    assert message in " ".join(problems(broken))


def test_a_right_document_is_taken() -> None:
    assert problems(document()) == []


@pytest.mark.parametrize("source", sorted(CONTAINERS.glob("*/command.json")), ids=lambda path: path.parent.name)
def test_the_commands_of_our_own_images_are_taken(source: Path) -> None:
    content = json.loads(source.read_text("utf-8"))
    for command in content if isinstance(content, list) else [content]:
        assert problems(command) == []


@pytest.mark.parametrize("nonsense", [{}, {"xnat": {}}, {"inputs": [None]}, {"name": 1}, {"mounts": [{"name": []}]}])
def test_no_document_does_worse_than_being_refused(nonsense: dict[str, Any]) -> None:
    assert problems(nonsense)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in _places(part, (*path, key)))]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.text(max_size=5), part, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(_places(document())[1:]), _JSON)
def test_any_value_anywhere_is_taken_or_refused_but_breaks_nothing(place: tuple[Any, ...], value: Any) -> None:
    broken = _broken(*place, value=value)
    if not problems(broken):
        assert normalise(broken)["name"]
