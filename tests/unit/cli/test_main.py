from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from overread.cli.main import main
from overread.errors import DataError

HEAVY = ("numpy", "torch", "sqlalchemy", "pydicom", "starlette", "xnat", "pydantic", "highdicom", "scipy", "jinja2")


def test_help_starts_without_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from overread.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for noun in ("plugin", "study"):
        assert f"  {noun}" in done.stdout


def test_help_names_each_noun_with_the_first_line_of_its_module() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert "Check a study's files, and set the study up on a server." in " ".join(result.output.split())


@pytest.mark.parametrize("noun", ["", *sorted(main.list_commands(click.Context(main)))])
def test_no_line_of_a_list_of_commands_is_cut(noun: str) -> None:
    said = CliRunner().invoke(main, [*noun.split(), "--help"]).output
    assert not re.search(r"^  \S.*\.\.\.$", said.partition("Commands:")[2], re.MULTILINE), said


def test_near_miss_is_suggested() -> None:
    result = CliRunner().invoke(main, ["stdy"])
    assert "No such command 'stdy'. Did you mean 'study'?" in result.output
    assert result.exit_code == 2


def test_far_miss_is_not_suggested() -> None:
    result = CliRunner().invoke(main, ["xyzzy"])
    assert "Did you mean" not in result.output
    assert result.exit_code == 2


def test_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("overread 0.")


def test_error_of_ours_is_one_line_without_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DataError("the series has gaps; send it again", uid="1.2.3")

    monkeypatch.setattr("overread.plugins.build.build_plugin", fail)
    result = CliRunner().invoke(main, ["plugin", "build", str(tmp_path)])
    assert result.stderr == "Error: 1.2.3: the series has gaps; send it again\n"
    assert result.exit_code == 1


def test_missing_package_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name=name.replace("overread.cli.study", "sqlalchemy"))

    monkeypatch.setattr("overread.cli.main.importlib.import_module", fail)
    result = CliRunner().invoke(main, ["study"])
    assert "needs sqlalchemy, which is not installed; install it with: pip install 'overread[hub]'" in result.output
