from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.errors import SpecError
from overread.study.yamltext import parse_json, parse_yaml


def test_every_place_has_its_line() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2}\n", source="f.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.lines[("a",)] == 1
    assert document.lines[("b", 0)] == 3
    assert document.lines[("b", 1, "c")] == 4


def test_json_is_yaml_and_dates_stay_text() -> None:
    assert parse_yaml('{"a": [1, 2.5, null, true], "d": 2024-01-01}', source="f").value == {
        "a": [1, 2.5, None, True],
        "d": "2024-01-01",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: is empty"),
        ("# nothing\n", "f.yaml: is empty"),
        ("a: 1\na: 2\n", "f.yaml:2: a: the key 'a' stands here twice"),
        ("a: &x 1\nb: *x\n", "f.yaml:1: anchors"),
        ("a: !!python/object/apply:os.system [ls]\n", "f.yaml:1: anchors"),
        ("a:\n\t- b\n", "f.yaml:2: is not YAML"),
        ("a: [1, 2\n", "f.yaml:2: is not YAML"),
        ("? [1]\n: 2\n", "f.yaml:1: a key must be a word"),
        ("a: " + "9" * 5000, "f.yaml:1: a: is no number"),
        ("[" * 25 + "]" * 25, "f.yaml:1: is nested too deeply"),
        ("[" * 5000, "f.yaml:1: is nested too deeply"),
        ("a: \x00", "f.yaml: is not YAML"),
        ("#" * 300_000, "f.yaml: is larger than 256 kB"),
    ],
)
def test_complaint_names_the_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_yaml(text, source="f.yaml")
    assert str(raised.value).startswith(message)


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_complaint(text: str) -> None:
    try:
        lines = dict(parse_yaml(text, source="f").lines)
    except SpecError as error:
        lines = {(): 1} if error.source.startswith("f") else {}
    assert () in lines


def test_json_lines_are_found_when_they_are_asked_for() -> None:
    document = parse_json('{"a": [\n\t{"b": 1}\n]}', source="f")
    assert document.lines[("a", 0, "b")] == 2
    assert len(document.lines) == len(list(document.lines)) == 4


def test_json_that_is_no_yaml_has_no_lines() -> None:
    deep = "[" * 30 + "]" * 30
    assert dict(parse_json(deep, source="f").lines) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "f: the key 'a' stands twice in one block"),
        ('{"a": NaN}', "f: NaN is no JSON"),
        ('{\n"a": 1,}', "f:2: is not JSON"),
        ("[" * 100_000, "f: is not JSON that can be read"),
        ('{"a": ' + "9" * 5000 + "}", "f: is not JSON that can be read"),
        (" " * 300_000, "f: is larger than 256 kB"),
    ],
)
def test_json_complaint_names_the_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_json(text, source="f")
    assert str(raised.value).startswith(message)
