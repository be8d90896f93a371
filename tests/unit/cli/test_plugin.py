from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.study_folder import write_study
from overread.cli.main import main

UNCHECKED = "Java not checked: no WAR and no stubs"


def test_build_prints_the_jar_and_what_to_do_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no stubs lie
    folder = write_study(tmp_path / "knee").parent
    result = CliRunner().invoke(main, ["plugin", "build", str(folder), "--output", str(tmp_path / "out")])
    assert result.stdout == f"{tmp_path}/out/overread-knee-1.2.0.jar  overreadKnee 1.2.0, 8 files; {UNCHECKED}\n"
    assert "Not for release, good for the embedded hub only: overread-knee-1.2.0.jar" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Drop them into the plugins folder of XNAT")


def test_all_means_every_folder_of_xnat_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "xnat-plugins" / "knee")
    (tmp_path / "xnat-plugins" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plugin", "build", "--all", "--json"])
    assert [item["jar"] for item in json.loads(result.stdout)] == ["build/plugins/overread-knee-1.2.0.jar"]
    assert Path("build/plugins/overread-knee-1.2.0.jar").is_file()


@pytest.mark.parametrize("arguments", [[], ["--all", "."]])
def test_folders_or_all_but_not_both(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["plugin", "build", *arguments])
    assert "Name one or more folders, or give --all." in result.stderr
    assert result.exit_code == 2


def test_all_far_from_the_repository_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plugin", "build", "--all"])
    assert result.stderr == "Error: xnat-plugins: has no plugins; start the command where xnat-plugins/ lies\n"
    assert result.exit_code == 2
