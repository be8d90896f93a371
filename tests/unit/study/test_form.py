from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from helpers.study_folder import FORM
from overread.study.form import FeedbackForm, read_form

ROOT = Path(__file__).parents[3]
SIDE = {"label": "Side", "key": "side", "type": "select"}


def with_component(**component: Any) -> str:
    form = copy.deepcopy(FORM)
    form["components"].append(component)
    return json.dumps(form, indent=1)


def complaints(text: str) -> list[str]:
    result = read_form(text, source="form.json")
    return [] if isinstance(result, FeedbackForm) else [f"{p.path}: {p.message}; {p.mend}" for p in result]


@pytest.mark.parametrize(
    ("component", "complaint"),
    [
        (
            {"label": "x", "key": "usable", "type": "textfield"},
            "components[2].key: the key 'usable' stands twice; rename one",
        ),
        (SIDE, "components[2]: a select needs answers; list them in data.values"),
        ({**SIDE, "type": "radio"}, "components[2]: a radio needs answers; list them in values"),
        (
            {
                "label": "x",
                "key": "x",
                "type": "number",
                "conditional": {"show": True, "when": "usable", "eq": "maybe"},
            },
            "components[2].conditional.eq: 'maybe' is no answer to 'usable'; one of no, yes",
        ),
        (
            {"label": "x", "key": "x y", "type": "number"},
            "components[2].key: 'x y' can't be used here; write a word such",
        ),
        ({"label": "x", "key": "x", "type": "panel"}, "components[2].type: 'panel' is not possible; one of 'radio'"),
    ],
)
def test_question_that_could_not_be_asked_is_refused(component: dict[str, Any], complaint: str) -> None:
    assert [line[: len(complaint)] for line in complaints(with_component(**component))] == [complaint]


def test_title_has_only_what_xnat_takes() -> None:
    assert complaints(json.dumps({**FORM, "title": "<script>"}))[0].startswith("title: '<script>' can't be used here")


def test_defaults_of_the_form_builder_are_let_through() -> None:
    text = with_component(label="x", key="x", type="textarea", tableView=True, hideLabel=False, customClass="", tags=[])
    assert complaints(text) == []


def test_digest_follows_the_content_not_the_layout() -> None:
    plain, spread = read_form(json.dumps(FORM), source="f"), read_form(json.dumps(FORM, indent=4), source="f")
    other = read_form(json.dumps({**FORM, "title": "Other"}), source="f")
    assert isinstance(plain, FeedbackForm)
    assert isinstance(spread, FeedbackForm)
    assert isinstance(other, FeedbackForm)
    assert plain.digest == spread.digest != other.digest


def test_shipped_form_asks_what_the_study_wants_to_know() -> None:
    form = read_form((ROOT / "forms" / "brain-tumor.json").read_text("utf-8"), source="forms/brain-tumor.json")
    assert isinstance(form, FeedbackForm)
    by_key = {c["key"]: c for c in form.document["components"]}
    assert list(by_key) == ["mask_rating", "progression_agreement", "usable", "unusable_reason", "remarks"]
    assert [v["value"] for v in by_key["mask_rating"]["values"]] == ["1", "2", "3", "4", "5"]
    assert by_key["unusable_reason"]["conditional"] == {"show": True, "when": "usable", "eq": "no"}
    assert by_key["unusable_reason"]["validate"]["required"] is True
