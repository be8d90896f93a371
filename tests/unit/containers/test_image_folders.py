"""What must agree in an image folder: command, Dockerfile, requirements, code. Names are only in one place each."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from overread.cli.main import main
from overread.commands.compile import compile_study
from overread.commands.label import updated
from overread.commands.model import Command
from overread.commands.read import read_command
from overread.plugins.datatype import load_datatype
from overread.study.manifest import load_manifest

CONTAINERS = Path(__file__).resolve().parents[3] / "containers"
IMAGES = sorted(path.parent.name for path in CONTAINERS.glob("*/command.json"))


def document(image):
    return json.loads((CONTAINERS / image / "command.json").read_text("utf-8"))


def test_the_images_are_there():
    assert {"brain-tumor-segmentation", "dicom-report", "roi-exporter", "volume-calculator"} <= set(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_xnat_takes_the_command(image):
    read = read_command((CONTAINERS / image / "command.json").read_text("utf-8"), source=image)
    assert isinstance(read, Command), read


@pytest.mark.parametrize("image", IMAGES)
def test_name_version_and_image_agree(image):
    command = document(image)
    assert command["name"] == image
    assert command["image"] == f"overread/{image}:{command['version']}"
    variables = command.get("environment-variables", {})
    if variables:
        assert variables["OVERREAD_IMAGE"] == command["image"]
        assert variables["OVERREAD_COMMAND"] == f"{image}:{command['version']}"


@pytest.mark.parametrize("image", IMAGES)
def test_the_label_is_the_command(image):
    dockerfile = (CONTAINERS / image / "Dockerfile").read_text("utf-8")
    assert updated(dockerfile, document(image)) == dockerfile, "run overread command compile"
    (line,) = [line for line in dockerfile.splitlines() if line.startswith("LABEL org.nrg.commands=")]
    # As Docker reads a quoted value: a backslash takes the next character as it is.
    value = re.sub(r"\\(.)", r"\1", line.removeprefix('LABEL org.nrg.commands="').removesuffix('"'))
    assert json.loads(value) == [document(image)]


def test_a_stale_label_is_found():
    stale = 'FROM x\nLABEL org.nrg.commands="[]"\n'
    assert updated(stale, {"a": '"$b\\'}) == 'FROM x\nLABEL org.nrg.commands="[{\\"a\\":\\"\\\\\\"\\$b\\\\\\\\\\"}]"\n'
    with pytest.raises(ValueError, match="exactly one line"):
        updated("FROM x\n", {})


def test_commands_are_those_that_their_cards_make():
    """Another command.json, or label, than manifests and cards say is stale; and every image is some study's."""
    used = set()
    for study in sorted((CONTAINERS.parent / "xnat-plugins").glob("*/study.yaml")):
        result = CliRunner().invoke(main, ["command", "compile", "--check", str(study)])
        assert (result.exit_code, result.stdout) == (0, ""), f"run overread command compile {study}"
        manifest = load_manifest(study.read_text("utf-8"), source=study.name)
        datatype = load_datatype(study.parent / manifest.result)
        compiled = compile_study(manifest, near=study.parent, result_type=datatype.xsi_type)
        used |= {one.folder.name for one in compiled}
    assert used == set(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_the_dockerfile_keeps_the_rules(image):
    text = (CONTAINERS / image / "Dockerfile").read_text("utf-8")
    assert text.partition("\n")[2].startswith("ARG BASE=overread/base:1.0.0\nFROM ${BASE}\n")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1:] in ([], ["1000:1000"])
    assert f"COPY containers/{image}/main.py" in text
    assert "COPY pytools/overread /opt/overread/overread" in text


def test_the_base_keeps_the_rules():
    text = (CONTAINERS / "base" / "Dockerfile").read_text("utf-8")
    assert "FROM python:3.11-slim" in text
    assert re.search(r"^USER 1000:1000$", text, re.MULTILINE)
    assert re.search(r"^WORKDIR /app$", text, re.MULTILINE)


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_has_what_the_image_needs_or_the_image_adds_it(image):
    """The process runner installs requirements.txt alone, an engine the base's and then what the Dockerfile says."""
    base, own = (set(pins(name)) for name in ("base", image))
    assert base <= own
    installs = "pip install" in (CONTAINERS / image / "Dockerfile").read_text("utf-8")
    assert installs == (base < own)


def pins(image):
    lines = (CONTAINERS / image / "requirements.txt").read_text("utf-8").splitlines()
    return [text for line in lines if (text := line.partition("#")[0].strip())]


@pytest.mark.parametrize("image", ["base", *IMAGES])
def test_the_requirements_are_those_the_tests_run_with(image):
    for text in pins(image):
        requirement = Requirement(text)
        assert str(requirement.specifier).startswith("=="), f"{text} is not pinned"
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            assert requirement.name == "python-gdcm", f"{requirement.name} is not tried by any test"
            continue
        assert installed.partition("+")[0] == str(requirement.specifier).removeprefix("==")


@pytest.mark.parametrize("image", IMAGES)
def test_main_is_short_and_takes_what_the_command_gives(image):
    main = CONTAINERS / image / "main.py"
    assert len(main.read_text("utf-8").splitlines()) < 100
    arguments = document(image)["command-line"].split()
    assert arguments[:2] == ["python", "/app/main.py"]
    done = subprocess.run(
        [sys.executable, str(main), "--help"], capture_output=True, text=True, check=False, timeout=60,
        env={"PYTHONPATH": str(CONTAINERS.parent / "pytools"), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"--[a-z-]+", done.stdout))
    assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_the_calculators_share_an_environment():
    files = [(CONTAINERS / n / "requirements.txt").read_text() for n in ("base", "volume-calculator", "roi-exporter")]
    assert files == files[:1] * 3


def test_starting_a_calculator_imports_no_network():
    code = (
        "import sys, runpy; sys.argv = ['main.py', '--help']\n"
        "try: runpy.run_path(PATH, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('torch', 'monai', 'tensorflow') if m in sys.modules))"
    )
    for image in IMAGES:
        done = subprocess.run(
            [sys.executable, "-c", f"PATH = {str(CONTAINERS / image / 'main.py')!r}\n{code}"],
            capture_output=True, text=True, check=True, timeout=60,
            env={"PYTHONPATH": str(CONTAINERS.parent / "pytools"), "PATH": ""},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "[]"
