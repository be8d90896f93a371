"""The wheel holds what an installed Overread needs, and nothing of the repository beside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from helpers.requirements import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip does for a user."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(REPOSITORY)], check=True)
    (built,) = folder.glob("overread-*.whl")
    return built


def test_the_wheel_holds_package_schemas_and_forms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"overread/py.typed", "overread/schemas/result.schema.json", "overread/forms/brain-tumor.json"} <= names
    beside = {name.split("/")[0] for name in names} - {"overread"}
    assert all(name.endswith(".dist-info") for name in beside), beside


def test_the_command_line_works_far_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)

    def output_of(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        environment = {"PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    found = output_of("-c", "import overread; print(overread.__file__)").strip()
    assert Path(found).is_relative_to(installed), "the checkout's own package was imported"
    assert "study" in output_of("-m", "overread", "--help")
