"""Writes a small made-up study to a folder: manifest, datatype, commands, form."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from helpers.commands import COMMAND

STUDY_YAML = """\
id: knee
title: Knee effusion
version: 1.2.0
project: KNEE
receiver: {ae_title: KNEE, port: 8104}
arrival:
  accept: [{tag: Modality, in: [MR]}]
  series:
    pd: {where: [{tag: SeriesDescription, matches: "(?i)pd"}], at_least: 3}
  complete: {needs: [pd], quiet_s: 10, give_up_s: 100}
command: images/knee-volume/command.json
result: knee.yaml
form: knee-form.json
progression: {measure: effusion_ml}
edit: {collections: [SEG], recompute: images/recalculate/command.json}
"""

DATATYPE_YAML = """\
prefix: knee
type: resultData
element: Result
extends: xnat:imageAssessorData
singular: Knee result
plural: Knee results
code: KN
description: Effusion of a knee.
fields:
  - {name: status, type: string, values: [ok, not-applicable], title: Status, list: true}
  - {name: effusion_ml, type: float, unit: mL, title: Effusion, list: true}
  - {name: remarks, type: string, max_length: 2000, title: Remarks}
"""

FORM: dict[str, Any] = {
    "display": "form",
    "title": "Knee feedback",
    "settings": {},
    "components": [
        {
            "label": "Usable?",
            "key": "usable",
            "type": "radio",
            "input": True,
            "values": [{"label": "yes", "value": "yes"}, {"label": "no", "value": "no"}],
            "validate": {"required": True},
        },
        {
            "label": "Why not?",
            "key": "why",
            "type": "textarea",
            "input": True,
            "conditional": {"show": True, "when": "usable", "eq": "no"},
        },
    ],
}

EXPORTER: dict[str, Any] = {
    "name": "exporter",
    "version": "1.0.0",
    "type": "docker-wrapup",
    "image": "overread/exporter:1.0.0",
    "command-line": "python main.py --input /input --output /output",
}


def model_command() -> dict[str, Any]:
    """The good command, with a wrap-up."""
    command = copy.deepcopy(COMMAND)
    command["outputs"].append({"name": "collection", "mount": "out", "path": "collection.xml"})
    command["xnat"][0]["output-handlers"].append(
        {
            "name": "collection",
            "accepts-command-output": "collection",
            "type": "Assessor",
            "xsi-type": "icr:roiCollectionData",
            "as-a-child-of": "session",
            "via-wrapup-command": "overread/exporter:1.0.0:exporter",
        }
    )
    return command


def recompute_command() -> dict[str, Any]:
    """The good command, started from a collection."""
    command = copy.deepcopy(COMMAND)
    command["name"], command["image"] = "recalculate", "overread/recalculate:1.0.0"
    wrapper = command["xnat"][0]
    wrapper["name"], wrapper["contexts"] = "recalculate-collection", ["icr:roiCollectionData"]
    wrapper["external-inputs"] = [{"name": "collection", "type": "Assessor", "required": True}]
    wrapper["derived-inputs"] = [{"name": "session", "type": "Session", "derived-from-wrapper-input": "collection"}]
    command["environment-variables"] = {}
    return command


def write_study(folder: Path) -> Path:
    """Write the whole study and return its manifest."""
    files: dict[str, str] = {
        "study.yaml": STUDY_YAML,
        "knee.yaml": DATATYPE_YAML,
        "knee-form.json": json.dumps(FORM, indent=1),
        "images/knee-volume/command.json": json.dumps(model_command(), indent=1),
        "images/recalculate/command.json": json.dumps(recompute_command(), indent=1),
        "images/exporter/command.json": json.dumps(EXPORTER, indent=1),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "study.yaml"
