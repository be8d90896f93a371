from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import COMMAND
from overread.commands.model import Command
from overread.commands.read import load_command, read_command
from overread.errors import SpecError

ROOT = Path(__file__).parents[3]


def changed(path: str, value: Any) -> str:
    """The good command as JSON with the value at a path replaced, or put at the end of a list."""
    document = copy.deepcopy(COMMAND)
    *parents, last = path.split("/")
    here: Any = document
    for part in parents:
        here = here[int(part) if part.isdigit() else part]
    if last == "+":
        here.append(value)
    else:
        here[int(last) if last.isdigit() else last] = value
    return json.dumps(document, indent="\t")


def complaints(text: str) -> list[str]:
    result = read_command(text, source="command.json")
    return [f"{p.path}: {p.message}; {p.mend}" for p in result] if isinstance(result, tuple) else []


HANDLER = {"name": "x", "accepts-command-output": "seg", "type": "Resource", "label": "X", "as-a-child-of": "session"}
DERIVED = "xnat/0/derived-inputs/0"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("imag", "x", "imag: unknown key 'imag'; did you mean 'image'?"),
        ("image", "overread/knee", "image: 'overread/knee' has no tag; write name:tag"),
        ("mounts/0/path", "input", "mounts[0].path: 'input' can't be used here; write an absolute path"),
        ("mounts/+", {"name": "in", "path": "/x"}, "mounts: the name 'in' stands twice; rename one"),
        ("inputs/0/type", "string", "inputs[0].select-values: a string has no select-values; make it select-one"),
        ("inputs/0/default-value", "ful", "inputs[0].default-value: 'ful' is not among the select-values; did you"),
        ("inputs/0/select-values", [], "inputs[0]: a select-one needs select-values; list them"),
        ("outputs/0/mount", "ou", "outputs[0].mount: there is no mount 'ou'; did you mean 'out'?"),
        ("outputs/0/mount", "in", "outputs[0].mount: the mount 'in' is read-only; set its writable to true"),
        ("outputs/+", {"name": "extra", "mount": "out", "path": "x"},
         "xnat[0].output-handlers: nothing takes the output 'extra'; add a handler for it"),
        ("environment-variables/XNAT_PASS", "x", "environment-variables.XNAT_PASS: is set by XNAT itself; rename it"),
        ("environment-variables/A", "#projct#", "environment-variables.A: no input replaces #projct#; did you mean"),
        ("command-line", "run #nothing-like-it#", "command-line: no input replaces #nothing-like-it#; one of"),
        ("xnat/0/contexts", [], "xnat[0].contexts: is empty; name the types"),
        (f"{DERIVED}/derived-from-wrapper-input", "sesion",
         f"{DERIVED}.derived-from-wrapper-input: there is no earlier input 'sesion'; did you mean 'session'?"),
        (f"{DERIVED}/derived-from-xnat-object-property", "projectid",
         f"{DERIVED}.derived-from-xnat-object-property: a Session has no 'projectid'; did you mean 'project-id'?"),
        (f"{DERIVED}/provides-value-for-command-input", "mode",
         f"{DERIVED}.provides-value-for-command-input: the input 'mode' is a select; an input that XNAT"),
        (f"{DERIVED}/provides-files-for-command-mount", "in",
         f"{DERIVED}.provides-files-for-command-mount: a string has no files; use one of"),
        ("xnat/0/output-handlers/1/as-a-child-of", "reslt",
         "xnat[0].output-handlers[1].as-a-child-of: there is no input or earlier handler 'reslt'; did you"),
        ("xnat/0/output-handlers/0/as-a-child-of", "project-id",
         "xnat[0].output-handlers[0].as-a-child-of: 'project-id' is a project-id; it must be a uri"),
        ("xnat/0/output-handlers/+", {**HANDLER, "as-a-child-of": "seg"},
         "xnat[0].output-handlers[2].as-a-child-of: 'seg' is a Resource and has no children; name"),
        ("xnat/0/output-handlers/+", {k: v for k, v in HANDLER.items() if k != "label"},
         "xnat[0].output-handlers[2]: a Resource needs a label; add 'label'"),
        ("type", "docker-wrapup", "environment-variables: a docker-wrapup command has no environment-variables"),
    ],
)  # fmt: skip
def test_complaint_says_where_what_and_how_to_mend(path: str, value: Any, complaint: str) -> None:
    wanted = complaint.replace("xnat/0/derived-inputs/0", "xnat[0].derived-inputs[0]")
    assert any(line.startswith(wanted) for line in complaints(changed(path, value)))


def test_good_command_has_no_complaints_and_keeps_its_words() -> None:
    command = read_command(json.dumps(COMMAND), source="command.json")
    assert isinstance(command, Command)
    assert command.document() == COMMAND
    assert command.xnat[0].inputs[1].key == "#project-id#"


def test_defaults_are_text() -> None:
    command = read_command(changed("inputs/+", {"name": "n", "type": "number", "default-value": 0.5}), source="c")
    assert isinstance(command, Command)
    assert command.inputs[-1].default_value == "0.5"


def test_several_objects_have_no_place_in_a_mount() -> None:
    many = {"name": "scans", "type": "Scan", "derived-from-wrapper-input": "session", "multiple": True}
    assert complaints(changed("xnat/0/derived-inputs/+", many)) == [
        "xnat[0].derived-inputs[1].multiple: several values must go to a command input; say which one"
    ]


def test_complaints_carry_lines_even_with_tabs() -> None:
    result = read_command(changed("image", "x"), source="command.json")
    assert isinstance(result, tuple)
    assert result[0].line == 5


def test_missing_file_is_told() -> None:
    with pytest.raises(SpecError, match=r"nowhere/command\.json: can't be read; check the path"):
        load_command(Path("nowhere/command.json"))


def test_shipped_commands_are_good() -> None:
    for path in (ROOT / "containers").glob("*/command.json"):
        assert load_command(path).image.startswith("overread/")


@pytest.mark.parametrize(("default", "good"), [('["a", "b"]', True), ('["a", "c"]', False), ("a", True), ("[a", False)])
def test_default_of_several_is_a_list_or_one_of_them(default: str, good: bool) -> None:
    several = {"name": "s", "type": "select-many", "select-values": ["a", "b"], "default-value": default}
    assert (complaints(changed("inputs/+", several)) == []) is good


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("xnat/0/external-inputs", [], "xnat[0].external-inputs: is empty; a run starts from one external input"),
        (
            f"{DERIVED}/provides-value-for-command-input",
            "projct",
            "xnat[0].derived-inputs[0].provides-value-for-command-input: there is no input 'projct'; did",
        ),
        (
            "xnat/0/external-inputs/0/provides-files-for-command-mount",
            "inn",
            "xnat[0].external-inputs[0].provides-files-for-command-mount: there is no mount 'inn'; did you mean 'in'?",
        ),
        (
            "xnat/0/output-handlers/1/accepts-command-output",
            "sag",
            "xnat[0].output-handlers[1].accepts-command-output: there is no output 'sag'; did you mean 'seg'?",
        ),
        (
            "xnat/0/derived-inputs/+",
            {"name": "scans", "type": "Scan", "derived-from-wrapper-input": "session", "multiple": True,
             "provides-files-for-command-mount": "in", "provides-value-for-command-input": "project"},
            "xnat[0].derived-inputs[1].multiple: several objects can't fill one mount; mount the object around them",
        ),
    ],
)  # fmt: skip
def test_wrapper_that_leads_nowhere_is_refused(path: str, value: Any, complaint: str) -> None:
    assert any(line.startswith(complaint) for line in complaints(changed(path, value)))
