from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.studies import MANIFEST, manifest
from overread.errors import SpecError
from overread.study.manifest import StudyManifest, load_manifest, load_stored_study, read_manifest

ROOT = Path(__file__).parents[3]


def changed(path: str, value: Any) -> str:
    """The good manifest as JSON, with the value at a path replaced; `...` removes it."""
    document = copy.deepcopy(MANIFEST)
    *parents, last = path.split("/")
    here: Any = document
    for part in parents:
        here = here[int(part) if part.isdigit() else part]
    if value is ...:
        del here[last]
    else:
        here[int(last) if last.isdigit() else last] = value
    return json.dumps(document, indent=1)


def complaints(text: str) -> list[str]:
    result = read_manifest(text, source="study.yaml")
    assert isinstance(result, tuple)
    return [f"{p.path}: {p.message}; {p.mend}" for p in result]


def test_round_trip_through_json() -> None:
    first = manifest(progression={"measure": "volume_ml"}, viewer_series=["t2", "pd"])
    again = load_manifest(json.dumps(first.model_dump(mode="json")), source="x")
    assert again == first
    assert again.model_dump(mode="json")["arrival"]["accept"] == [{"tag": "Modality", "in": ["MR"]}]


def test_viewer_shows_the_needed_series_unless_told() -> None:
    assert manifest().shown_series == ("pd",)
    assert manifest(viewer_series=["t2"]).shown_series == ("t2",)


def test_stored_study_adds_what_was_resolved() -> None:
    stored = {**manifest().model_dump(mode="json"), "result_type": "knee:resultData", "form_uuid": "u"}
    study = load_stored_study(json.dumps(stored), source="server")
    assert (study.result_type, study.form_uuid, study.id) == ("knee:resultData", "u", "knee")
    with pytest.raises(SpecError, match="server:1: form_uuid: unknown key"):
        load_manifest(json.dumps(stored), source="server")


QUOTED = "write three numbers in quotes, such as '1.0.0'"
OPERATORS = "give exactly one of in, matches, equals, at_least, at_most, exists"
ROLES = "one of pd, t2"
ANY_MODALITY = {"where": [{"tag": "Modality", "exists": True}]}


@pytest.mark.parametrize(
    ("path", "value", "where", "message", "mend"),
    [
        ("tittle", "x", "tittle", "unknown key 'tittle'", "did you mean 'title'?"),
        ("result", ..., "result", "is missing", "add 'result'"),
        ("version", 1.0, "version", "1.0 is not text", "put it in quotes"),
        ("version", "1", "version", "'1' can't be used here", QUOTED),
        ("mode", "silent", "mode", "'silent' is not possible", "one of 'shadow', 'assist', 'live'"),
        ("id", "Knee", "id", "'Knee' can't be used here", "write lower-case words with hyphens"),
        ("command", "/x", "command", "'/x' is not a relative path", "write it from this file's folder, with /"),
        (
            "receiver/ae_title", "A\\B", "receiver.ae_title", "'A\\\\B' can't be used here",
            "an AE title has 1 to 16 plain characters and no backslash",
        ),
        (
            "receiver/port", "8104", "receiver.port", "'8104' is not a whole number",
            "write a whole number, without quotes",
        ),
        ("receiver/port", 0, "receiver.port", "0 is out of bounds", "it must be greater than or equal to 1"),
        (
            "arrival/accept/0/tag", "Modalty", "arrival.accept[0].tag", "'Modalty' is no DICOM keyword",
            "did you mean 'Modality'?",
        ),
        (
            "arrival/accept/0/tag", "PixelData", "arrival.accept[0].tag",
            "PixelData holds OB or OW, which can't be compared", "choose another",
        ),
        ("arrival/accept/0", {"tag": "Modality"}, "arrival.accept[0]", "has no operator", OPERATORS),
        (
            "arrival/accept/0/in", [True], "arrival.accept[0].in[0]", "is neither text nor a number",
            "put yes/no words in quotes",
        ),
        ("arrival/series/pd/where", [], "arrival.series.pd.where", "is empty", "name at least one"),
        (
            "arrival/series/PD", ANY_MODALITY, "arrival.series.PD", "'PD' can't be used here",
            "write a lower-case word such as flair",
        ),
        (
            "arrival/complete/needs", ["pd", "t1"], "arrival.complete.needs[1]",
            "'t1' has no rule in arrival.series", ROLES,
        ),
        (
            "arrival/complete/give_up_s", 5, "arrival.complete.give_up_s", "5 s is shorter than quiet_s (10 s)",
            "give up later than the quiet time",
        ),
        ("viewer_series", ["t9"], "viewer_series[0]", "'t9' has no rule in arrival.series", ROLES),
        (
            "arrival", 3, "arrival", "3 stands where keys and values should",
            "write 'key: value' lines below it",
        ),
        ("arrival/accept", "MR", "arrival.accept", "'MR' stands where a list should", "write it as [a, b]"),
    ],
)  # fmt: skip
def test_complaint_says_where_what_and_how_to_mend(path: str, value: Any, where: str, message: str, mend: str) -> None:
    assert complaints(changed(path, value)) == [f"{where}: {message}; {mend}"]


def test_complaints_come_in_the_order_of_lines() -> None:
    text = changed("id", "Knee").replace('"port"', '"prt"').replace("KNEE", "K\\\\N")
    result = read_manifest(text, source="s")
    assert isinstance(result, tuple)
    lines = [problem.line for problem in result]
    assert lines == sorted(lines)
    assert len(lines) > 1


def test_first_problem_is_raised_with_line_and_count() -> None:
    text = changed("tittle", "x").replace('"knee"', '"Knee"')
    with pytest.raises(SpecError) as raised:
        load_manifest(text, source="study.yaml")
    assert str(raised.value) == (
        "study.yaml:2: id: 'Knee' can't be used here; write lower-case words with hyphens "
        "(and 1 more; `overread study check` lists all)"
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)


def _paths(value: Any, prefix: str = "") -> list[str]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    found = []
    for key in keys:
        here = f"{prefix}/{key}" if prefix else str(key)
        found += [here, *_paths(value[key], here)]
    return found


@given(st.sampled_from(_paths(MANIFEST)), json_values)
def test_no_value_anywhere_breaks_the_reader(path: str, value: Any) -> None:
    try:
        result = read_manifest(changed(path, value), source="study.yaml")
    except SpecError:
        return
    if isinstance(result, tuple):
        assert all(problem.line > 0 and problem.message for problem in result)
    else:
        assert isinstance(result, StudyManifest)


def test_shipped_studies_are_good() -> None:
    for path in (ROOT / "xnat-plugins").glob("*/study.yaml"):
        assert load_manifest(path.read_text("utf-8"), source=str(path)).id == path.parent.name
