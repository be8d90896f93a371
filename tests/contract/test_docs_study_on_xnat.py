"""Every command of the page for administrators of an XNAT, run in its order against a hub."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers import arrivals
from helpers.arrivals import wait_until
from helpers.ports import free_port
from helpers.requirements import REPOSITORY
from helpers.segments import seg_of
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.plugins.build import build_plugin
from overread.synthetic.phantoms import make_case

pytestmark = pytest.mark.slow

PAGE = REPOSITORY / "docs" / "how-to" / "study-on-xnat.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
STUDY = "xnat-plugins/brain-tumor/study.yaml"
CASE = make_case(seed=1)


def commands() -> list[list[str]]:
    lines = [line for block in BLOCK.findall(PAGE.read_text("utf-8")) for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("overread ")]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    for name in ("brain-tumor", "core"):
        build_plugin(REPOSITORY / "xnat-plugins" / name, tmp_path / "home" / "plugins")
    running = start_hub(tmp_path, images=(REPOSITORY / "containers",))
    yield running
    running.stop()


def test_all_commands_do_what_the_page_says(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "checkout"
    for folder in ("containers", "schemas", "forms", "xnat-plugins/brain-tumor"):
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=shutil.ignore_patterns("node_modules", "*.pt"))
    port = free_port()
    study = copy / STUDY
    study.write_text(study.read_text("utf-8").replace("port: 8104", f"port: {port}"), "utf-8")
    seg_of(CASE).save_as(copy / "seg.dcm", enforce_file_format=True)
    monkeypatch.chdir(copy)

    def run(words: list[str]) -> Result:
        environment = {"OVERREAD_SERVER": hub.url, "OVERREAD_USER": "admin", "OVERREAD_PASSWORD": hub.password}
        return CliRunner().invoke(main, words[1:], env=environment)

    done: list[Result] = []
    for words in commands():
        if words[1:3] == ["command", "explain"]:
            put_exam(hub)
        result = run(words)
        done.append(result)
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
    assert len(done) == len(commands()) >= 15
    plan_before, plan_after = (r for words, r in zip(commands(), done, strict=True) if words[1:3] == ["study", "plan"])
    assert "to create    project BTS" in plan_before.stdout
    assert "to create" not in plan_after.stdout
    with hub.client() as client:
        assert client.get("/data/projects/BTS/experiments/EXAM1").status_code == 200, "destroy keeps data"
        assert client.get("/xapi/commands").json() == []


def put_exam(hub: RunningHub) -> None:
    """Put an MR exam with the segmentation's images into the project, as an import does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, image in enumerate(CASE.datasets):
            archive.writestr(f"{number}.dcm", arrivals.file_bytes(image))
    query = {
        "import-handler": "DICOM-zip", "inbody": "true", "project": "BTS", "subject": "S1", "session": "EXAM1",
        "dest": "/archive/projects/BTS",
    }  # fmt: skip
    with hub.client() as client:
        kind = {"content-type": "application/zip"}
        answer = client.post("/data/services/import", params=query, content=packed.getvalue(), headers=kind)
        assert answer.status_code == 200, answer.text
        wait_until(lambda: client.get("/data/projects/BTS/experiments/EXAM1").status_code == 200)


def test_the_button_is_signed_as_the_pacs_page_says(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub.client() as client:
        client.put("/data/projects/BTS").raise_for_status()
    first, second = BLOCK.findall((PAGE.parent / "pacs.md").read_text("utf-8"))
    link = tmp_path / "work" / "xnat-plugins"
    link.parent.mkdir()
    link.symlink_to(REPOSITORY / "xnat-plugins")
    monkeypatch.chdir(link.parent)
    make, *lines = first.splitlines()
    subprocess.run(["sh", "-c", make], check=True)
    environment = {"OVERREAD_SERVER": hub.url, "OVERREAD_USER": "admin", "OVERREAD_PASSWORD": hub.password}
    signature = subprocess.run(
        ["sh", "-c", f"{second}echo $expires"], check=True, capture_output=True, text=True
    ).stdout
    expires = signature.split()[1]
    asked = {"study": "brain-tumor", "uid": "1.2.840.1", "expires": expires, "signature": signature.split()[0]}
    accepted = []
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line)[1:], env=environment)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        with hub.client() as client:
            path = "/xapi/overread/projects/BTS/button/check"
            answers = [client.post(path, json=each).json()["why"] for each in (asked, {"uid": "1.2.840.1"})]
            accepted.append(answers)
    assert accepted == [["", "unsigned"], ["", "unsigned"], ["", ""]]


def test_the_service_of_the_page_is_a_command_of_ours() -> None:
    (line,) = re.findall(r"^ExecStart=\S+/overread (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    words = shlex.split(line)
    result = CliRunner().invoke(main, [words[0], "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words if word.startswith("--"))
