"""xnatctl, a command line that is not ours: log in, upload, list, archive, download, anonymise, share, delete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from helpers.arrivals import receiving_hub
from helpers.exam_files import write_series
from hub_fixture import RunningHub
from overread.synthetic.phantoms import make_mr_series

pytestmark = pytest.mark.slow

Run = Callable[..., str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running, _ = receiving_hub(tmp_path_factory.mktemp("xnatctl"), quiet_default_s=600.0)
    with running.client() as admin:
        admin.put("/data/projects/PX")
        admin.put("/data/projects/BTS/prearchive_code/0")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def run(served: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run xnatctl, which is logged in, and return what it prints."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XNAT")},
        "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "PYTHONWARNINGS": "ignore",
        "XNAT_URL": served.url, "XNAT_USER": "admin", "XNAT_PASS": served.password,
    }  # fmt: skip

    def call(*arguments: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "xnatctl", *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    call("auth", "login")
    return call


def rows(run: Run, *arguments: str) -> list[dict[str, Any]]:
    output = run(*arguments, "-o", "json")
    found: list[dict[str, Any]] = json.loads(output[output.index("[") : output.rindex("]") + 1])
    return found


def test_it_connects(run: Run) -> None:
    assert "1.9.3" in run("health", "ping")
    assert "admin" in run("whoami")
    assert {row["id"] for row in rows(run, "project", "list")} == {"BTS", "PX"}
    assert rows(run, "scp", "list")[0]["aeTitle"] == "BTS"


@pytest.fixture(scope="module")
def exam(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Upload an exam into the prearchive, archive it; return its label."""
    folder = write_series(tmp_path_factory.mktemp("exam"), make_mr_series((5, 16, 20), seed=2))
    assert "5 files" in run("session", "upload", folder, "-P", "BTS", "-S", "S1", "-E", "E1", "--prearchive", "-w", "2")
    (row,) = rows(run, "prearchive", "list", "--project", "BTS")
    run("prearchive", "archive", "BTS", row["timestamp"], row["name"], "--subject", "S1", "--label", "E1")
    assert rows(run, "prearchive", "list", "--project", "BTS") == []
    return "E1"


def test_what_was_uploaded_is_listed_and_comes_back(run: Run, exam: str, tmp_path: Path) -> None:
    assert [row["label"] for row in rows(run, "session", "list", "-P", "BTS")] == [exam]
    assert [row["label"] for row in rows(run, "subject", "list", "-P", "BTS")] == ["S1"]
    assert [str(row["id"]) for row in rows(run, "scan", "list", "-E", exam, "-P", "BTS")] == ["1"]
    assert exam in run("session", "show", "-E", exam, "-P", "BTS")
    run("session", "download", "-E", exam, "-P", "BTS", "--out", tmp_path, "--extract")
    images = [pydicom.dcmread(path) for path in tmp_path.rglob("*.dcm")]
    assert {str(image.SOPInstanceUID) for image in images} == {
        str(image.SOPInstanceUID) for image in make_mr_series((5, 16, 20), seed=2)
    }


def test_files_go_up_and_down(run: Run, exam: str, tmp_path: Path) -> None:
    (session,) = rows(run, "session", "list", "-P", "BTS")
    note = tmp_path / "note.txt"
    note.write_text("fine")
    run("resource", "upload", session["id"], "NOTES", note)
    assert "NOTES" in run("resource", "list", session["id"])
    run("resource", "download", session["id"], "NOTES", "-f", tmp_path / "back.zip")
    assert (tmp_path / "back.zip").stat().st_size > 0


def test_sessions_of_the_prearchive_are_moved_and_deleted(run: Run, tmp_path: Path) -> None:
    folder = write_series(tmp_path, make_mr_series((2, 16, 20), seed=3))
    run("session", "upload", folder, "-P", "BTS", "-S", "S3", "-E", "E3", "--prearchive", "-w", "1")
    (row,) = rows(run, "prearchive", "list", "--project", "BTS")
    run("prearchive", "move", "BTS", row["timestamp"], "E3", "PX")
    assert [row["name"] for row in rows(run, "prearchive", "list", "--project", "PX")] == ["E3"]
    run("prearchive", "delete", "PX", row["timestamp"], "E3", "--yes")
    assert rows(run, "prearchive", "list", "--project", "PX") == []
    assert "manual" in run("prearchive", "settings", "-P", "BTS")


def test_scripts_are_stored_shown_and_refused(run: Run, tmp_path: Path) -> None:
    script, bad = tmp_path / "a.das", tmp_path / "b.das"
    script.write_text('version "6.3"\n(0010,0010) := subject\n')
    bad.write_text('version "6.3"\nalterPixels["x"]\n')
    run("anon", "set", script, "-P", "PX", "--yes")
    assert "(0010,0010) := subject" in run("anon", "show", "-P", "PX")
    run("anon", "disable", "-P", "PX", "--yes")
    assert "(0010,0010)" not in run("anon", "show", "-P", "PX")
    run("anon", "enable", "-P", "PX", "--yes")
    run("anon", "set", bad, "-P", "PX", "--yes", code=1)
    assert "(0010,0010) := subject" in run("anon", "show", "-P", "PX")


def test_sharing_and_deletion(run: Run, exam: str) -> None:
    run("subject", "share", "S1", "--into", "PX", "-P", "BTS", "--label", "S1", "--yes")
    run("session", "share", "-E", exam, "-P", "BTS", "--into", "PX", "--label", exam, "--yes")
    assert [row["label"] for row in rows(run, "session", "list", "-P", "PX")] == [exam]
    run("session", "unshare", "-E", exam, "-P", "BTS", "--from", "PX", "--yes")
    assert rows(run, "session", "list", "-P", "PX") == []
    run("scan", "delete", "-E", exam, "-P", "BTS", "--scans", "1", "--yes")
    assert rows(run, "scan", "list", "-E", exam, "-P", "BTS") == []
    run("subject", "delete", "S1", "-P", "BTS", "--yes")
    assert rows(run, "subject", "list", "-P", "BTS") == []
