from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.study_folder import write_study
from overread.cli.main import main

ROOT = Path(__file__).parents[3]
CASES = Path(__file__).parents[1] / "study" / "cases"


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"OVERREAD_PASSWORD": None, "NETRC": "/nowhere", **environment})


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if not path.name.startswith("_")))
def test_each_mistake_gets_its_line(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / case)
    result = run("study", "check", "study.yaml")
    assert result.stdout == Path("expected.txt").read_text("utf-8")
    assert result.stdout.count("\n") == 1
    assert result.exit_code == 2


def test_good_study_is_told_with_what_comes_next(tmp_path: Path) -> None:
    result = run("study", "check", str(write_study(tmp_path)))
    assert result.exit_code == 0
    assert result.stdout.endswith("is good: project KNEE, AE title KNEE, 3 commands, results knee:resultData\n")
    assert result.stderr.startswith("Set it up: overread study apply")


@pytest.mark.parametrize("study", sorted(path.parent.name for path in (ROOT / "xnat-plugins").glob("*/study.yaml")))
def test_shipped_study_is_good(study: str) -> None:
    result = run("study", "check", str(ROOT / "xnat-plugins" / study / "study.yaml"))
    assert result.exit_code == 0, result.stdout


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    manifest = write_study(tmp_path)
    text = manifest.read_text("utf-8").replace("KNEE, port: 8104", "KNEE, prt: 8104").replace("1.2.0", "1")
    manifest.write_text(text, "utf-8")
    result = run("study", "check", str(manifest))
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("2 to mend, then check again: overread study check")


def test_json_says_the_same(tmp_path: Path) -> None:
    manifest = write_study(tmp_path)
    manifest.write_text(manifest.read_text("utf-8").replace("measure: effusion_ml", "measure: status"), "utf-8")
    result = run("study", "check", "--json", str(manifest))
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "source": str(manifest),
                "line": 14,
                "path": "progression.measure",
                "message": "'status' is no numeric field of knee:resultData",
                "mend": "one of effusion_ml",
            }
        ],
    }
    assert result.exit_code == 2


def test_committed_schema_is_that_of_the_models() -> None:
    assert run("study", "schema").stdout == (ROOT / "schemas" / "study.schema.json").read_text("utf-8")


def test_apply_without_a_password_says_where_it_looks(tmp_path: Path) -> None:
    manifest = str(write_study(tmp_path))
    result = run("study", "apply", manifest, "--server", "https://xnat.example.org", "--user", "alice")
    assert result.stderr == (
        "Error: no password for alice at https://xnat.example.org; set OVERREAD_PASSWORD, or add to /nowhere: "
        "machine xnat.example.org login alice password ...\n"
    )
    assert result.exit_code == 1


def test_apply_of_a_wrong_manifest_never_connects(tmp_path: Path) -> None:
    manifest = write_study(tmp_path)
    manifest.write_text(manifest.read_text("utf-8").replace("\ntitle:", "\ntittle:"), "utf-8")
    result = run(
        "study", "apply", str(manifest), "--server", "http://127.0.0.1:1", "--user", "a", OVERREAD_PASSWORD="x"
    )
    assert result.stderr.startswith(f"Error: {manifest}:1: title: is missing; add 'title' (and 1 more")
    assert result.exit_code == 2


def test_apply_to_nobody_is_one_line(tmp_path: Path) -> None:
    manifest = write_study(tmp_path)
    result = run(
        "study", "apply", str(manifest), "--server", "http://127.0.0.1:1", "--user", "a", OVERREAD_PASSWORD="x"
    )
    assert result.stderr == (
        "Error: nothing answers at http://127.0.0.1:1; check the address, and that the server runs\n"
    )
    assert result.exit_code == 1
