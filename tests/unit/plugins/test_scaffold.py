"""`overread study new`: every study that is there makes another, which is whole at once and keeps no old name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from overread.cli.main import main
from overread.plugins import scaffold

REPOSITORY = Path(__file__).resolve().parents[3]
TEMPLATES = scaffold.templates_in(REPOSITORY)


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def make(template: str, target: Path, *options: str, name: str = "quartz-sample") -> scaffold.Names:
    result = run("study", "new", name, "--from", template, "--out", target, *options)
    assert result.exit_code == 0, result.output
    return scaffold.read_template(target, name).names


@pytest.fixture(scope="module", params=TEMPLATES)
def made(request, tmp_path_factory) -> tuple[str, Path]:
    """A study made without weights, in an empty folder."""
    target = tmp_path_factory.mktemp(request.param)
    make(request.param, target, "--without-weights")
    return request.param, target


def test_there_are_studies():
    assert "brain-tumor" in TEMPLATES


def test_the_new_study_passes_check_and_lint(made):
    _, target = made
    checked = run("study", "check", target / "xnat-plugins/quartz-sample/study.yaml")
    assert checked.exit_code == 0, checked.output
    linted = run("command", "lint", *target.glob("containers/*/command.json"))
    assert linted.exit_code == 0, linted.output
    assert "0 errors, 0 warnings" in linted.output
    compiled = [run("command", "compile", target / "xnat-plugins/quartz-sample/study.yaml", "--check")]
    assert [one.output for one in compiled if one.exit_code] == []


def test_no_old_name_is_left(made):
    template, target = made
    source = scaffold.read_template(REPOSITORY, template)
    old = source.names
    plain = [old.id, old.id.replace("-", "_"), old.words, *(f"(?<!quartz-sample-){one.name}" for one in source.images)]
    if old.prefix == old.id.replace("-", ""):
        plain.append(old.prefix)
    words = [old.project, old.ae_title, old.code, f"{old.prefix}:resultData", f"{old.prefix}_resultData"]
    old_name = re.compile(
        "|".join([*plain, *(rf"(?<![A-Za-z0-9]){re.escape(w)}(?![A-Za-z0-9])" for w in words)]),
    )
    found = []
    for path in target.rglob("*"):
        relative = path.relative_to(target).as_posix()
        if old_name.search(relative):
            found.append(relative)
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace")
            # what is imported from the package is its own, such as the code of an anatomical site
            imported = re.findall(r"\w+", " ".join(re.findall(r"^from overread\S* import (.+)$", text, re.MULTILINE)))
            found += [f"{relative}: {hit[0]}" for hit in old_name.finditer(text) if hit[0] not in imported]
    assert found == []


def test_no_name_is_another_studys(made):
    _, target = made
    new = scaffold.read_template(target, "quartz-sample").names
    for template in TEMPLATES:
        old = scaffold.read_template(REPOSITORY, template).names
        for key in ("id", "project", "ae_title", "port", "prefix", "code"):
            assert getattr(new, key) != getattr(old, key), (template, key)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--without-weights",)], ids=["weights", "none"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_its_own_tests_pass_at_once(template, options, tmp_path):
    """One or two tests of each file: the rest differ from the template's, which all run, by names alone."""
    target = tmp_path
    make(template, target, *options)
    image = scaffold.read_template(target, "quartz-sample").images[0]
    listed = pytest_in(target, "--collect-only", "-q", str(image))
    assert listed.returncode == 0, listed.stdout[-3000:]
    files: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        if "::" in line:
            files.setdefault(line.partition("::")[0], []).append(line)
    chosen = [node for nodes in files.values() for node in nodes[: 2 if options else 1]]
    assert chosen
    done = pytest_in(target, "-q", *chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(chosen)} passed" in done.stdout


def pytest_in(target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=target, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


def test_weights_come_along_unless_told_otherwise(tmp_path):
    make("brain-tumor", tmp_path / "with")
    make("brain-tumor", tmp_path / "without", "--without-weights")
    weights = "containers/quartz-sample-segmentation/model/weights.pt"
    original = REPOSITORY / "containers/brain-tumor-segmentation/model/weights.pt"
    assert (tmp_path / "with" / weights).read_bytes() == original.read_bytes()
    assert not (tmp_path / "without" / weights).exists()
    assert "train them" in (tmp_path / "without" / weights).with_name("WEIGHTS-MISSING.txt").read_text()


def test_in_a_checkout_only_its_own_files_are_written(tmp_path):
    make("brain-tumor", tmp_path, "--without-weights")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    result = run(
        "study", "new", "granite-sample", "--from", "quartz-sample", "--templates", tmp_path, "--out", tmp_path,
        "--without-weights",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file() and p not in before}
    assert all("granite-sample" in name for name in written), written
    assert run("study", "check", tmp_path / "xnat-plugins/granite-sample/study.yaml").exit_code == 0
    again = run("study", "new", "granite-sample", "--from", "brain-tumor", "--out", tmp_path)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Knee", "--from", "brain-tumor"), "write lower-case words with hyphens"),
        (("brain-tumor", "--from", "brain-tumor"), "take another name"),
        (("knee", "--from", "no-such"), "holds no study no-such; there are: "),
        (("knee", "--from", "brain-tumor", "--project", "BTS"), "BTS is taken by another study"),
        (("knee", "--from", "brain-tumor", "--project", "a/b"), "can't be project and AE title"),
    ],
)
def test_names_that_can_not_be_are_refused(tmp_path, arguments, words):
    result = run("study", "new", *arguments, "--out", tmp_path)
    assert result.exit_code in {1, 2}
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_says_where_to_point_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scaffold, "__file__", str(tmp_path / "a/b/c/d.py"))
    monkeypatch.chdir(tmp_path)
    result = run("study", "new", "knee", "--from", "brain-tumor")
    assert result.exit_code == 1
    assert "--templates DIR" in result.stderr
    pointed = run("study", "new", "knee", "--from", "brain-tumor", "--templates", REPOSITORY, "--without-weights")
    assert pointed.exit_code == 0, pointed.output


def test_the_commands_of_the_page_work(tmp_path, monkeypatch):
    """Those of docs/how-to/new-study.md, in a folder that stands for the checkout."""
    page = (REPOSITORY / "docs/how-to/new-study.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ overread (.+)$", page, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["new", "check", "lint"]
    for command in commands:
        done = run(*shlex.split(command))
        assert done.exit_code == 0, (command, done.output)
    assert scaffold.read_template(tmp_path, "knee-effusion").names.code == "KE"
    assert {"xnat-plugins/knee-effusion", "containers/knee-effusion-volume-calculator"} <= {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")
    }
