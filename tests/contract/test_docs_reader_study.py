"""The commands of docs/how-to/reader-study.md, run as they stand there but for names and folders."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from helpers.reading_site import FINDINGS, ReadingSite, start_reading_site
from overread.cli.main import main
from overread.errors import DataError

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/reader-study.md"


def commands(site: ReadingSite, roster: Path) -> list[list[str]]:
    """Return the commands of the page, with this site's names in place of the example's."""
    found = []
    for line in re.findall(r"^    overread (.+)$", PAGE.read_text("utf-8"), re.MULTILINE):
        changed = line.partition(" > ")[0]
        for old, new in (
            ("my-study/study.yaml", str(site.site.manifest)), ("~/my-study", str(site.secrets)),
            ("readers.yaml", str(roster)), ("https://xnat.example.org", site.url),
        ):  # fmt: skip
            changed = changed.replace(old, new)
        found.append(shlex.split(changed))
    return found


def served(arguments: list[str], site: ReadingSite) -> None:
    """Run the service until it has given out cases, and end it as a machine does that shuts down."""
    environment = {**os.environ, "OVERREAD_PASSWORD": site.site.hub.password}
    process = subprocess.Popen(
        [sys.executable, "-m", "overread", *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not _given_out(site):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
    finally:
        process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "copied a case to KNEE_G01" in said


def _given_out(site: ReadingSite) -> bool:
    if not (site.secrets / "record.json").exists():
        return False
    with site.client() as client:
        path = "/data/projects/KNEE/config/overread/progress"
        return client.get(path, params={"contents": "true", "accept-not-found": "true"}).text.strip() != ""


def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    site = start_reading_site(tmp_path, FINDINGS, exams=2, mode="shadow")
    roster = tmp_path / "readers.yaml"
    roster.write_text(yaml.safe_dump({"groups": site.roster}), "utf-8")
    try:
        said: dict[str, str] = {}
        for arguments in commands(site, roster):
            name = " ".join(arguments[:2])
            if "--every" in arguments:
                served(arguments, site)
                for row in site.open("tess"):
                    site.answer("tess", row["code"], {"usable": "yes"})
                site.sync()
                continue
            done = CliRunner().invoke(main, arguments, env={"OVERREAD_PASSWORD": site.site.hub.password})
            assert done.exit_code == 0, (arguments, done.output)
            said[name + (" json" if "json" in arguments else "")] = done.stdout
        assert "project KNEE_R01, for" in said["readers plan"]
        assert "gate: 0 open, 2 passed" in said["readers status"]
        assert "shadow -> assist" in said["study mode"]
        rows = list(csv.DictReader(io.StringIO(said["readers answers"])))
        assert [(row["reader"], row["answer.usable"]) for row in rows] == [("tess", "yes")] * 2
        assert {row["exam"] for row in json.loads(said["readers answers json"])["answers"]} == {"EXAM1", "EXAM2"}
        _two_machines(site, tmp_path)
    finally:
        site.site.hub.stop()


def _two_machines(site: ReadingSite, tmp_path: Path) -> None:
    """A second machine goes on with a copy of the folder: the first takes over what it did; if both do, it is told."""
    first, second = site.secrets, tmp_path / "second"
    shutil.copytree(first, second)
    site.add_exam(3)
    site.secrets = second
    assert site.sync()["cases"] == 3
    site.secrets = first
    assert site.sync()["cases"] == 3
    assert (first / "record.json").read_text("utf-8") == (second / "record.json").read_text("utf-8")
    record = json.loads((second / "record.json").read_text("utf-8"))
    record["cases"] = dict(reversed(record["cases"].items()))
    (second / "record.json").write_text(json.dumps(record), "utf-8")
    site.secrets = second
    with pytest.raises(DataError, match="have gone apart"):
        site.sync()
    site.secrets = first
