from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from overread.cli.main import main

ROOT = Path(__file__).parents[3]
EXAMPLES = Path(__file__).parents[1] / "commands" / "examples"
GOOD = ROOT / "containers" / "volume-calculator" / "command.json"
_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
# What SARIF 2.1.0 (sections 3.13 to 3.52) demands of the parts that are used here.
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": _TEXT,
                                                "fullDescription": _TEXT,
                                                "help": _TEXT,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {
                                                        "level": {"enum": ["none", "note", "warning", "error"]}
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "level", "locations"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": _TEXT,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {"uri": {"type": "string"}},
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}},
                                                    },
                                                },
                                            },
                                            "logicalLocations": {"type": "array", "items": {"type": "object"}},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["command", *arguments], input=text)


def test_good_file_is_silent() -> None:
    result = run("lint", str(GOOD))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "1 files, 0 errors, 0 warnings\n")


def test_error_is_one_line_with_place_mend_and_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    result = run("lint", "old.json")
    assert result.exit_code == 1
    assert (
        "old.json:18: $.xnat[0].output-handlers[0].as-a-child-of: error: 'item' comes later; move that handler before "
        "this one [handler-order]\n"
    ) in result.stdout


def test_warnings_alone_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    command = json.loads(GOOD.read_text("utf-8"))
    del command["limit-memory"]
    result = run("lint", "-", text=json.dumps(command))
    assert result.exit_code == 0
    assert result.stdout == "standard input:1: $.limit-memory: warning: is missing; add it, in MB [memory-missing]\n"


def test_json_carries_all_that_the_lines_do() -> None:
    result = run("lint", "--format", "json", str(EXAMPLES / "old.json"), str(GOOD))
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    assert report["errors"] + report["warnings"] == len(report["findings"])
    assert all(row["why"] and row["line"] for row in report["findings"])


def test_sarif_has_the_shape_of_the_standard() -> None:
    result = run("lint", "--format", "sarif", str(EXAMPLES / "old.json"), str(EXAMPLES / "label.json"), str(GOOD))
    document = json.loads(result.stdout)
    jsonschema.Draft202012Validator(SARIF).validate(document)
    (sheet,) = document["runs"]
    known = [rule["id"] for rule in sheet["tool"]["driver"]["rules"]]
    assert sheet["results"]
    assert all(known[item["ruleIndex"]] == item["ruleId"] for item in sheet["results"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "can't be read"), (b"\xff\xfe", "is not UTF-8 text"), (b"x" * 5_000_000, "is larger than 4 MB")],
)
def test_file_that_is_none_is_one_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "command.json"
    if content is not None:
        path.write_bytes(content)
    result = run("lint", str(path))
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
