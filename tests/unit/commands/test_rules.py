"""Each rule of the lint on a command that breaks it and nothing else of that kind."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from helpers.commands import COMMAND
from overread.cli.main import main
from overread.commands.lint import lint_text, rules

ROOT = Path(__file__).parents[3]
EXAMPLES = Path(__file__).parent / "examples"
SCHEMA = json.loads((ROOT / "schemas" / "command.schema.json").read_text("utf-8"))


def good() -> dict[str, Any]:
    """A command without any finding."""
    command = copy.deepcopy(COMMAND)
    command |= {"description": "Measures a knee.", "limit-memory": 4000}
    command["environment-variables"] |= {"RULES": "#series-rules#", "DIGEST": "#image-digest#"}
    command["xnat"][0]["description"] = "Measures the session's knee."
    return command


def put(path: str, value: Any) -> dict[str, Any]:
    """The good command with a value put at a path; ``+`` appends to a list, `...` takes away."""
    command = good()
    here: Any = command
    *parents, last = path.split("/")
    for part in parents:
        here = here[int(part) if part.isdigit() else part]
    if last == "+":
        here.append(value)
    elif value is ...:
        del here[int(last) if last.isdigit() else last]
    else:
        here[int(last) if last.isdigit() else last] = value
    return command


W, EXTERNAL, DERIVED = "xnat/0", "xnat/0/external-inputs", "xnat/0/derived-inputs"
HANDLERS = "xnat/0/output-handlers"
SCAN = {"name": "scan", "type": "Scan", "derived-from-wrapper-input": "session"}
HANDLER = {"name": "x", "accepts-command-output": "seg", "type": "Resource", "label": "X", "as-a-child-of": "session"}
SPECIAL = {
    "name": "s",
    "description": "x",
    "version": "1",
    "type": "docker-setup",
    "image": "a/b:1",
    "command-line": "x",
}
BROKEN: dict[str, Any] = {
    "unknown-key": put("imagee", "x"),
    "missing-key": put("mounts/0/path", ...),
    "wrong-value": put("type", "podman"),
    "image-missing": put("image", ...),
    "special-keys": {**SPECIAL, "ports": {"80": "80"}},
    "version-missing": put("version", ...),
    "image-tag": put("image", "overread/knee"),
    "image-latest": put("image", "overread/knee:latest"),
    "description-missing": put("description", ...),
    "name-twice": put(f"{DERIVED}/+", {**SCAN, "name": "session"}),
    "mount-path": put("mounts/0/path", "/"),
    "mount-nested": put("mounts/0/path", "/output/in"),
    "mount-unused": put("mounts/+", {"name": "more", "path": "/more"}),
    "output-unmounted": put("outputs/0/mount", "outt"),
    "output-read-only": put("outputs/0/mount", "in"),
    "output-everything": put("outputs/1/path", ...),
    "output-glob": put("outputs/1/glob", "*.dcm"),
    "output-path": put("outputs/1/path", "../seg.dcm"),
    "select-values": put("inputs/1/select-values", ["a"]),
    "default-not-selectable": put("inputs/0/default-value", "none"),
    "default-not-of-type": put("inputs/3", {"name": "image-digest", "type": "number", "default-value": "many"}),
    "default-forbidden": put("inputs/2/default-value", "a(b)"),
    "variable-reserved": put("environment-variables/XNAT_PASS", "x"),
    "variable-name": put("environment-variables/a-b", "x"),
    "secret-in-command": put("environment-variables/DB_PASSWORD", "hunter2"),
    "secret-open": put("inputs/3", {"name": "api-key", "replacement-key": "#image-digest#", "type": "string"}),
    "secret-shape": put("secrets", [{"source": {"type": "file"}}]),
    "wrapper-missing": put("xnat", []),
    "wrapper-description": put(f"{W}/description", ...),
    "wrapper-external-input": put(EXTERNAL, []),
    "context-missing": put(f"{W}/contexts", []),
    "context-type": put(f"{W}/contexts", ["xnat:mrScanData"]),
    "context-any-session": put(f"{W}/contexts/+", "xnat:imageSessionData"),
    "provides-unknown-input": put(f"{DERIVED}/0/provides-value-for-command-input", "projct"),
    "provides-select": put(f"{DERIVED}/0/provides-value-for-command-input", "mode"),
    "provides-twice": put(f"{DERIVED}/+", {**COMMAND["xnat"][0]["derived-inputs"][0], "name": "again"}),
    "provides-unknown-mount": put(f"{EXTERNAL}/0/provides-files-for-command-mount", "inn"),
    "provides-no-files": put(f"{DERIVED}/0/provides-files-for-command-mount", "out"),
    "setup-without-mount": put(f"{DERIVED}/+", {**SCAN, "via-setup-command": "a/b:1"}),
    "derived-unknown": put(f"{DERIVED}/0/derived-from-wrapper-input", "sesion"),
    "derived-property": put(f"{DERIVED}/0/derived-from-xnat-object-property", "projectid"),
    "derived-type": put(f"{DERIVED}/+", {**SCAN, "type": "Directory"}),
    "multiple-target": put(f"{DERIVED}/+", {**SCAN, "multiple": True}),
    "matcher-brackets": put(f"{DERIVED}/+", {**SCAN, "matcher": "@.label == 'DICOM"}),
    "handler-unknown-output": put(f"{HANDLERS}/+", {**HANDLER, "accepts-command-output": "sag"}),
    "output-unhandled": put("outputs/+", {"name": "extra", "mount": "out", "path": "x"}),
    "handler-label": put(f"{HANDLERS}/1/label", ...),
    "handler-label-twice": put(f"{HANDLERS}/+", {**HANDLER, "label": "SEG", "as-a-child-of": "result"}),
    "handler-xml": put("outputs/0/path", "result.json"),
    "handler-xsi-type": put(f"{HANDLERS}/0/xsi-type", ...),
    "handler-parent": put(f"{HANDLERS}/1/as-a-child-of", "reslt"),
    "handler-assessor-parent": put(f"{EXTERNAL}/0/type", "Assessor"),
    "handler-order": put(f"{HANDLERS}/1/as-a-child-of", "late"),
    "handler-required": put("outputs/1/required", True),
    "command-line-missing": put("command-line", ""),
    "command-line-length": put("command-line", "run #mode# " + "x" * 2048),
    "key-unknown": put("environment-variables/A", "#thrshold#"),
    "key-not-on-command-line": put("command-line", "run #mode# #project-id#"),
    "key-twice": put("inputs/3/replacement-key", "#mode#"),
    "input-unused": put("inputs/+", {"name": "idle", "type": "string", "default-value": "1"}),
    "input-unprovided": put("inputs/2", {"name": "series-rules", "type": "string", "required": True}),
    "shell-needed": put("command-line", "run #mode# > /output/log"),
    "shell-missing": put("override-entrypoint", True) | {"image": "gcr.io/distroless/python3:1"},
    "memory-order": put("reserve-memory", 8000),
    "memory-missing": put("limit-memory", ...),
    "memory-unit": put("limit-memory", 8 * 10**9),
    "ulimit-form": put("ulimits", {"nofile": "many"}),
    "gpu-by-gpus": put("gpus", "all"),
    "gpu-on-kubernetes": put("runtime", "nvidia"),
    "kubernetes-mount-name": put("mounts/+", {"name": "My_Mount", "path": "/x"}),
    "kubernetes-label": put("container-labels", {"my label": "x"}),
    "kubernetes-port": put("ports", {"http": "80"}),
    "container-name": put("container-name", "knee"),
    "kubernetes-container-name": put("container-name", "Knee-#project#"),
    "auto-remove": put("auto-remove", True),
    "network-host": put("network", "host"),
}  # fmt: skip
BROKEN["handler-order"]["xnat"][0]["output-handlers"].append(
    {**COMMAND["xnat"][0]["output-handlers"][0], "name": "late", "accepts-command-output": "result"}
)
BROKEN["handler-required"]["outputs"][0]["required"] = False


def test_good_command_has_no_finding() -> None:
    assert lint_text(json.dumps(good())) == ()


@pytest.mark.parametrize("name", [rule.id for rule in rules() if rule.id != "not-json"])
def test_rule_finds_what_breaks_it(name: str) -> None:
    text = json.dumps(BROKEN[name], indent=1)
    (first, *_) = [item for item in lint_text(text) if item.rule.id == name]
    assert first.message
    assert first.path.startswith("$")
    assert first.rule.why.endswith(".")
    assert first.line > 0


def test_no_json_is_told_with_its_line() -> None:
    (found,) = lint_text('{\n "name": "x",,\n}')
    assert (found.rule.id, found.line) == ("not-json", 2)


@pytest.mark.parametrize(
    "text", ["null", "3", '"x"', "[]", "[1]", "{}", '{"image": 4}', '{"xnat": [3]}', '{"inputs": {"a": 1}}']
)
def test_anything_at_all_is_answered(text: str) -> None:
    for item in lint_text(text):
        assert item.rule.id in {rule.id for rule in rules()}


def test_examples_break_what_is_expected() -> None:
    expected = json.loads((EXAMPLES / "expected.json").read_text("utf-8"))
    found = {
        name: [f"{item.path} {item.rule.id}" for item in lint_text((EXAMPLES / name).read_text("utf-8"))]
        for name in expected
    }
    assert found == expected


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "containers").glob("*/command.json")), *sorted(EXAMPLES.glob("[!eo]*.json"))]
)
def test_schema_takes_ours_and_public_shapes(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    document = json.loads(path.read_text("utf-8"))
    for one in document if isinstance(document, list) else [document]:
        assert [error.message for error in validator.iter_errors(one)] == []


@pytest.mark.parametrize("name", ["unknown-key", "missing-key", "wrong-value"])
def test_schema_refuses_wrong_shapes(name: str) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(BROKEN[name])


def test_schema_is_of_its_dialect_and_that_of_the_models() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    printed = CliRunner().invoke(main, ["command", "schema"])
    assert json.loads(printed.stdout) == SCHEMA


def test_reference_is_computed_from_the_rules() -> None:
    printed = CliRunner().invoke(main, ["command", "rules"])
    assert printed.stdout == (ROOT / "docs" / "reference" / "command-rules.md").read_text("utf-8")
