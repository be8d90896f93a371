"""The page on making an image: its code is built and run as it stands."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread

from helpers.exam_files import write_series
from helpers.requirements import REPOSITORY
from overread.cli.main import main
from overread.dicom.volumes import volumes_ml
from overread.synthetic.phantoms import make_case

pytestmark = pytest.mark.slow

PAGE = REPOSITORY / "docs" / "how-to" / "new-image.md"
NAME = "bright-spots"


def block(name: str) -> str:
    """Return the block that follows the line which begins with a file's name."""
    found = re.search(rf"^`{re.escape(name)}`.*?\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{name} is not on the page"
    return found[1]


def python(*arguments: str, cwd: Path) -> None:
    environment = {"PYTHONPATH": str(REPOSITORY / "pytools"), "PATH": "", "USER": "nobody", "HOME": str(cwd)}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_the_folder_of_the_page_is_an_image(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in ("containers", "schemas", "forms", "xnat-plugins/brain-tumor"):
        left_out = shutil.ignore_patterns("node_modules", "*.pt", "tests", "train", "__pycache__")
        shutil.copytree(REPOSITORY / folder, checkout / folder, ignore=left_out)
    image = checkout / "containers" / NAME
    (image / "model").mkdir(parents=True)
    for name in ("make_model.py", "main.py", "Dockerfile"):
        (image / name).write_text(block(name), "utf-8")
    base = (checkout / "containers" / "base" / "requirements.txt").read_text("utf-8")
    (image / "requirements.txt").write_text(base + block("requirements.txt"), "utf-8")
    assert len(block("main.py").splitlines()) < 100

    python("make_model.py", cwd=image)
    digest = hashlib.sha256((image / "model" / "model.ts").read_bytes()).hexdigest()
    (image / "model" / "card.yaml").write_text(block("model/card.yaml").replace("SHA256", digest), "utf-8")
    case = make_case((24, 40, 36), (1.0, 1.0, 1.0))
    exam, output = write_series(tmp_path / "exam", case.datasets), tmp_path / "out"
    python("main.py", "--input", str(exam), "--output", str(output), cwd=image)
    result = json.loads((output / "result.json").read_text("utf-8"))
    (size,) = result["measurements"]
    assert size["value"] == pytest.approx(case.volume_ml, rel=0.01)
    assert volumes_ml(dcmread(output / "seg.dcm"))[1] == size["value"]
    assert result["model"] == {
        "name": NAME, "version": "1.0.0", "weights_sha256": digest, "framework": "torchscript"
    }  # fmt: skip

    study = checkout / "xnat-plugins" / "brain-tumor" / "study.yaml"
    study.write_text(study.read_text("utf-8").replace("containers/brain-tumor-segmentation/", f"containers/{NAME}/"))
    for words in (["command", "compile", str(study)], ["command", "lint", str(image / "command.json")]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    assert json.loads((image / "command.json").read_text("utf-8"))["image"] == f"example/{NAME}:1.0.0"
    assert f"example/{NAME}:1.0.0" in (image / "Dockerfile").read_text("utf-8")
