from __future__ import annotations

from typing import Any

import pytest

from overread.study.reading import Gate, Reading, Roster, prefix_of, read_roster

STUDY: dict[str, Any] = {
    "page": "findings",
    "form": "f.json",
    "groups": {"radiologist": {"per_case": 2}},
    "gate": {
        "group": "technologist",
        "form": "g.json",
        "pass": [{"answer": "relevant", "equals": "yes"}, {"answer": "quality", "in": ["good", "fair"]}],
    },
    "adjudicate": {"group": "senior", "differ": ["right_class"]},
}
GOOD = "groups:\n  radiologist: [anna, ben]\n  technologist: [tess]\n  senior: [sara]\n"


def read(text: str) -> Any:
    return read_roster(text, source="readers.yaml", reading=Reading.model_validate(STUDY))


def test_roster_is_read() -> None:
    roster = read(GOOD)
    assert isinstance(roster, Roster)
    assert roster.groups["radiologist"] == ("anna", "ben")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[anna, ben]", "[anna]", "has 1 readers, but each case needs 2 of them; add logins, or lower per_case"),
        ("[sara]", "[anna]", "anna stands in radiologist as well; one person has one role, and one project"),
        ("[sara]", "[sara, SARA]", "SARA stands twice"),
        ("senior", "seniors", "the study has no such group; one of radiologist, senior, technologist"),
        ("[tess]", "['te ss']", "write the login as the server knows it"),
        ("  technologist: [tess]\n", "", "names nobody"),
    ],
)
def test_what_is_wrong_with_a_roster_is_said_in_words(old: str, new: str, said: str) -> None:
    problems = read(GOOD.replace(old, new))
    assert isinstance(problems, tuple)
    assert any(said in str(problem) for problem in problems), [str(p) for p in problems]


def test_gate_says_by_which_answer_a_case_is_refused() -> None:
    gate = Reading.model_validate(STUDY).gate
    assert isinstance(gate, Gate)
    assert gate.refusal({"relevant": "yes", "quality": "fair"}) is None
    assert gate.refusal({"relevant": "no", "quality": "good"}) == "relevant: no"
    assert gate.refusal({"relevant": "yes", "quality": "poor"}) == "quality: poor"
    assert gate.refusal({"relevant": "yes"}) == "quality: not answered"


def test_block_survives_being_stored() -> None:
    reading = Reading.model_validate(STUDY)
    assert Reading.model_validate(reading.model_dump(mode="json", by_alias=True)) == reading


def test_labels_of_sources() -> None:
    sources = ("model", "expert", "second_novice")
    assert [prefix_of(source) for source in sources] == [
        "AI-",
        "EXPERT-",
        "SECOND-NOVICE-",
    ]
