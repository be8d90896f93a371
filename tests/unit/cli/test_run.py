"""``overread run``: an image on a folder, as an engineer calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.images import make_image
from overread.cli.main import main

WORK = """
import json, os, pathlib, sys
print("progress 0.5 predict")
if os.environ["MODE"] == "crash":
    print("the reason before", file=sys.stderr)
    sys.exit("no usable series")
target = pathlib.Path(sys.argv[4])
(target / "result.json").write_text(json.dumps({
    "status": "ok", "reason": "", "warnings": ["synthetic"],
    "measurements": [{"roi": "lesion", "name": "volume", "value": 12.5, "unit": "mL"}],
    "project": os.environ["PROJECT"], "more": os.listdir(sys.argv[6]) if len(sys.argv) > 6 else None,
}))
"""
INPUTS = [
    {"name": "mode", "type": "select-one", "select-values": ["fast", "crash"], "default-value": "fast"},
    {"name": "project", "type": "string", "required": True},
]
WRAPPER = {
    "name": "w",
    "external-inputs": [{"name": "session", "type": "Session", "provides-files-for-command-mount": "in"}],
    "derived-inputs": [
        {"name": "p", "type": "string", "derived-from-wrapper-input": "session",
         "derived-from-xnat-object-property": "project-id", "provides-value-for-command-input": "project"}
    ],
}  # fmt: skip


class Desk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.image = make_image(
            root,
            WORK,
            inputs=INPUTS,
            xnat=[WRAPPER],
            environment_variables={"MODE": "#mode#", "PROJECT": "#project#"},
        )
        (root / "in").mkdir()
        self.output = root / "out"

    def run(self, *options: str) -> Result:
        words = ["run", str(self.image), str(self.root / "in"), str(self.output), *options]
        return CliRunner().invoke(main, words)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_result_is_told_on_stdout_and_progress_on_stderr(desk: Desk) -> None:
    done = desk.run("--set", "project=P")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "status: ok\nlesion: volume 12.5 mL\nwarning: synthetic\n"
    assert " 50 % predict" in done.stderr
    assert json.loads((desk.output / "result.json").read_text())["project"] == "P"


def test_what_a_server_would_put_in_may_be_left_out(desk: Desk) -> None:
    done = desk.run("--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["project"] == ""


def test_a_failure_is_one_line_with_the_log_before_it(desk: Desk) -> None:
    done = desk.run("--set", "mode=crash")
    assert done.exit_code == 1
    assert "  the reason before" in done.stderr
    assert done.stderr.splitlines()[-1] == "Error: overread/tiny:1.0.0: no usable series (exit code 1)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "none=1"), "no input none"),
        (("--set", "mode=slow"), "one of fast, crash"),
        (("--set", "mode"), "NAME=VALUE"),
        (("--mount", "none=/tmp"), "no mount none"),
        (("--mount", "in=/no/such/folder"), "no folder /no/such/folder"),
        (("--command", "other"), "commands tiny"),
    ],
)
def test_a_wrong_call_is_told_before_anything_runs(desk: Desk, options: tuple[str, ...], message: str) -> None:
    done = desk.run(*options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(desk.output.glob("*"))


def test_an_output_that_holds_something_is_not_touched(desk: Desk) -> None:
    desk.output.mkdir()
    (desk.output / "mine").write_text("x")
    done = desk.run()
    assert done.exit_code == 2
    assert "is not empty" in done.stderr
    assert desk.run("--overwrite").exit_code == 0
    assert (desk.output / "mine").read_text() == "x"


def test_a_folder_that_is_no_image_is_told(desk: Desk) -> None:
    (desk.image / "command.json").unlink()
    done = desk.run()
    assert done.exit_code == 2
    assert "an image folder needs one" in done.stderr
