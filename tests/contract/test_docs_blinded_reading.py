"""The commands of docs/how-to/blinded-reading.md, run as they stand there but for names and folders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.test_segmentation import CASE, READING, nifti, seg
from helpers import arrivals
from helpers.arrivals import receiving_hub, wait_for_status
from helpers.blinded import Copies
from helpers.study_folder import write_study
from hub_fixture import RunningHub
from overread.cli.main import main
from overread.xnat.blinding import publish_key, read_salt, write_key
from overread.xnat.connection import open_archive

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/blinded-reading.md"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    running, port = receiving_hub(tmp_path)
    assert set(arrivals.send(port, CASE.datasets)) == {0}
    wait_for_status(running, "ARCHIVED")
    yield running
    running.stop()


def test_the_commands_of_the_page_work(hub, tmp_path):
    study = write_study(tmp_path / "study")
    study.write_text(study.read_text("utf-8").replace("project: KNEE", "project: BTS") + READING, "utf-8")
    copies = Copies("BTS_R01", 2)
    with hub.client() as client:
        (row,) = client.get(f"/xapi/roi/projects/BTS/containers/{CASE.datasets[0].StudyInstanceUID}").json()
        copies.put(client)
        drawn = client.put(
            f"/xapi/roi/projects/BTS/sessions/{row['sessionId']}/collections/SEG_20260504_101112",
            params={"type": "SEG"}, content=seg(tmp_path).read_bytes(),
            headers={"content-type": "application/octet-stream"},
        )  # fmt: skip
        assert drawn.status_code == 200, drawn.text
    with open_archive(hub.url, user="admin", password=hub.password) as archive:
        publish_key(archive, "BTS", "knee", copies.readings)
    said = []
    for written in re.findall(r"^\$ overread (.+)$", PAGE.read_text("utf-8"), re.MULTILINE):
        line = written
        for old, new in (
            ("/srv/liver-secrets", f"{tmp_path}/secrets"), ("study.yaml", str(study)), ("EXAM", row["sessionLabel"]),
            ("expert.nii.gz", str(nifti(tmp_path))), ("URL", hub.url), ("CODE", copies.readings[0].code),
            ("LIVER", "BTS"), ("coordinator", "admin"),
        ):  # fmt: skip
            line = line.replace(old, new)
        done = CliRunner().invoke(main, shlex.split(line), env={"OVERREAD_PASSWORD": hub.password})
        assert done.exit_code == 0, (line, done.output)
        said.append(done.stdout)
        if line.startswith("blind salt"):
            assert len(read_salt(tmp_path / "secrets")) == 32
            write_key(tmp_path / "secrets", "knee", copies.readings)
    assert len(said) == 7
    assert "expert segmentation by jdoe, from NIFTI" in said[1]
    assert len(said[3].splitlines()) == 2
    assert "No fact that stands by the copies goes along with the source." in said[4]
    assert f"source {copies.readings[0].source}" in said[5]
    assert "adverse event, asked by the board" in said[6]
