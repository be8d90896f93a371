"""Small makers of what the study package decides about."""

from __future__ import annotations

from typing import Any

from overread.study.manifest import Complete, Condition, SeriesRule, StudyManifest
from overread.study.selection import SeriesSummary

MANIFEST: dict[str, Any] = {
    "id": "knee",
    "title": "Knee effusion",
    "version": "1.2.0",
    "project": "KNEE",
    "receiver": {"ae_title": "KNEE"},
    "arrival": {
        "accept": [{"tag": "Modality", "in": ["MR"]}],
        "series": {
            "pd": {"where": [{"tag": "SeriesDescription", "matches": "(?i)pd"}], "at_least": 3},
            "t2": {"where": [{"tag": "SeriesDescription", "matches": "(?i)t2"}], "choose": "last"},
        },
        "complete": {"needs": ["pd"], "quiet_s": 10, "give_up_s": 100},
    },
    "command": "command.json",
    "result": "result.yaml",
}


def manifest(**changes: Any) -> StudyManifest:
    return StudyManifest.model_validate({**MANIFEST, **changes})


def condition(tag: str, **operator: Any) -> Condition:
    return Condition.model_validate({"tag": tag, **operator})


def rule(*where: Condition, **rest: Any) -> SeriesRule:
    return SeriesRule.model_validate({"where": [c.model_dump() for c in where], **rest})


def complete(*, quiet_s: float = 10, give_up_s: float = 100, needs: tuple[str, ...] = ("pd",)) -> Complete:
    return Complete(needs=needs, quiet_s=quiet_s, give_up_s=give_up_s)


def series(uid: str, description: str, *, instances: int = 5, **header: Any) -> SeriesSummary:
    return SeriesSummary(uid, instances, {"Modality": "MR", "SeriesDescription": description, **header})
