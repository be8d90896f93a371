"""Environments are built once, by one, whole or not at all; images are known by what they hold."""

from __future__ import annotations

import fcntl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from helpers.images import IMAGE, make_image
from overread.errors import SpecError, TemporaryRunnerError
from overread.hub.runs.environments import Environments, cache_folder
from overread.hub.runs.images import ImageCatalog, read_image


def never() -> bool:
    return False


def test_equal_requirements_share_one_environment(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    told: list[str] = []
    first = environments.ensure("# a\n\n", report=told.append, stopped=never)
    second = environments.ensure("   # another remark\n", report=told.append, stopped=never)
    assert first == second
    assert len(told) == 1
    done = subprocess.run(
        [first / "bin" / "python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(first)
    assert first.with_suffix(".log").exists()


def test_two_at_once_build_it_once(tmp_path: Path) -> None:
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: Environments(tmp_path).ensure("", report=told.append, stopped=never))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_what_was_interrupted_is_built_anew(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    folder = environments.ensure("", report=lambda _line: None, stopped=never)
    (folder / ".ready").unlink()
    (folder / "bin" / "python").unlink()
    assert environments.ensure("", report=lambda _line: None, stopped=never) == folder
    assert (folder / "bin" / "python").exists()


def test_building_ends_when_the_run_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TemporaryRunnerError, match="given up"):
        Environments(tmp_path).ensure(
            "numpy", report=lambda _line: None, stopped=lambda: time.monotonic() - started > 0.3
        )
    assert time.monotonic() - started < 10
    assert not [path for path in tmp_path.glob("py-*") if path.is_dir()]


def test_waiting_for_another_builder_ends_when_the_run_is_ended(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    folder = environments.ensure("", report=lambda _line: None, stopped=never)
    (folder / ".ready").unlink()
    with (tmp_path / f"{folder.name}.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TemporaryRunnerError, match="given up"):
            environments.ensure("", report=lambda _line: None, stopped=lambda: True)


def test_the_package_copy_holds_what_images_import_and_nothing_of_the_hub(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    folder = environments.package()
    assert environments.package() == folder
    assert (folder / "overread" / "dicom" / "geometry.py").exists()
    assert not (folder / "overread" / "hub").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_cache_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OVERREAD_ENVIRONMENTS", raising=False)
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("OVERREAD_ENVIRONMENTS", str(tmp_path / "shared"))
    assert cache_folder(tmp_path) == tmp_path / "shared"


def test_an_image_is_known_by_all_that_it_does(tmp_path: Path) -> None:
    folder = make_image(tmp_path, "pass")
    digest = read_image(folder).digest
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text("pass")
    (folder / ".hidden").write_text("x")
    assert read_image(folder).digest == digest
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_text("1")
    assert read_image(folder).digest != digest


def test_what_the_dockerfile_says_is_heeded(tmp_path: Path) -> None:
    folder = make_image(tmp_path, "pass")
    image = read_image(folder)
    assert (image.code_path, image.entry_point) == ("/app", [])
    (folder / "Dockerfile").write_text('FROM x\nWORKDIR /opt/it\nENTRYPOINT ["python", "a b.py"]\n')
    assert image.code_path == "/opt/it"
    assert image.shell_line("--fast", override_entrypoint=False) == "python 'a b.py' --fast"
    assert image.shell_line("true", override_entrypoint=True) == "true"


@pytest.mark.parametrize(("text", "message"), [("{", "JSON"), ("{}", '"image"'), ("[]", '"image"'), ("7", '"image"')])
def test_a_folder_without_a_usable_command_is_told(tmp_path: Path, text: str, message: str) -> None:
    folder = make_image(tmp_path, "pass")
    (folder / "command.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        read_image(folder)
    assert ImageCatalog([tmp_path, tmp_path / "none"]).all() == []


def test_images_are_found_by_name_and_digest(tmp_path: Path) -> None:
    make_image(tmp_path, "pass")
    catalog = ImageCatalog([tmp_path])
    (image,) = catalog.all()
    assert catalog.find(IMAGE) == catalog.find(image.digest) == image
    assert catalog.find("overread/other:1") is None
