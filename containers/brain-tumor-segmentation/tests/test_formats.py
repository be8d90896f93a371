"""The image with a model of another format: card and file are exchanged, nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydicom import dcmread

from helpers.containers import main_of, run_main
from helpers.exam_files import write_session
from helpers.kserve import kserve
from helpers.threshold_model import write_bundle, write_model, write_onnx, write_torchscript, write_triton
from overread.dicom.geometry import geometry_of
from overread.dicom.seg import decode_seg
from overread.synthetic.phantoms import make_case

SPACING = (2.0, 1.0, 1.25)
CASE = make_case((24, 40, 36), SPACING)
WINDOW: dict[str, Any] = {"inference__window": [48, 48, 48], "preprocessing__spacing_mm": list(SPACING)}


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    return write_session(tmp_path_factory.mktemp("exam") / "in", CASE.datasets)


@pytest.fixture(scope="module")
def image():
    return main_of("brain-tumor-segmentation")


def run_with(image, model, exam, output):
    image.MODEL = model
    return run_main(image.segment_exam, exam, output)


WRITERS = {"pytorch": write_model, "torchscript": write_torchscript, "monai-bundle": write_bundle, "onnx": write_onnx}


@pytest.mark.parametrize("framework", sorted(WRITERS))
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_mask_is_the_same_whatever_the_format(framework, image, exam, tmp_path):
    model = WRITERS[framework](tmp_path / "model", **WINDOW)
    done = run_with(image, model, exam, tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    mask = decode_seg(dcmread(done.output / "seg.dcm")).volume(1, geometry_of(CASE.datasets))
    np.testing.assert_array_equal(mask, CASE.mask)
    told = done.result["model"]
    card = yaml.safe_load((model / "card.yaml").read_text())
    assert told["framework"] == framework
    assert told["weights_sha256"] == hashlib.sha256((model / card["weights"]["file"]).read_bytes()).hexdigest()


def test_a_triton_server_runs_the_model(image, exam, tmp_path):
    with kserve() as server:
        done = run_with(image, write_triton(tmp_path / "m", address=server.address, **WINDOW), exam, tmp_path / "out")
    assert (done.code, done.error) == (0, "")
    mask = decode_seg(dcmread(done.output / "seg.dcm")).volume(1, geometry_of(CASE.datasets))
    np.testing.assert_array_equal(mask, CASE.mask)
    assert done.result["device"] == f"triton {server.address}"
    assert done.result["model"]["framework"] == "triton"
    assert server.asked[:2] == ["/v2/models/bright/versions/3/ready", "/v2/models/bright/versions/3"]
    assert server.shapes
    assert all(shape[:2] == [1, 1] for shape in server.shapes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"weights__model": "dark"}, "dark version 3 is not ready"),
        ({"weights__input": "picture"}, "weights.input: The model has image"),
        ({"network": {"activation": "sigmoid", "channel": 4}}, "has 1 channels"),
    ],
)
def test_what_the_server_has_not_is_told(changes, error, image, exam, tmp_path):
    with kserve() as server:
        model = write_triton(tmp_path / "m", address=server.address, **WINDOW)
        card = yaml.safe_load((model / "card.yaml").read_text())
        for path, value in changes.items():
            *parents, name = path.split("__")
            holder = card
            for parent in parents:
                holder = holder[parent]
            holder[name] = value
        (model / "card.yaml").write_text(yaml.safe_dump(card))
        done = run_with(image, model, exam, tmp_path / "out")
    assert done.code != 0
    assert error in done.error
    assert done.error.strip().count("\n") == 0


def test_a_server_that_is_not_there_is_told(image, exam, tmp_path):
    with kserve() as server:
        address = server.address
    done = run_with(image, write_triton(tmp_path / "m", address=address, **WINDOW), exam, tmp_path / "out")
    assert done.code == 1
    assert "does not answer" in done.error
    assert address in done.error


def test_a_window_of_another_size_is_told(image, exam, tmp_path):
    model = write_onnx(tmp_path / "m", window=32, **WINDOW)
    done = run_with(image, model, exam, tmp_path / "out")
    assert done.code == 2
    assert "inference.window" in done.error


@pytest.mark.parametrize("framework", ["torchscript", "monai-bundle", "onnx"])
def test_a_file_that_is_no_model_is_told(framework, image, exam, tmp_path):
    model = WRITERS[framework](tmp_path / "m", **WINDOW)
    card = yaml.safe_load((model / "card.yaml").read_text())
    path = model / card["weights"]["file"]
    path.write_bytes(b"nothing of the kind")
    card["weights"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (model / "card.yaml").write_text(yaml.safe_dump(card))
    done = run_with(image, model, exam, tmp_path / "out")
    assert done.code == 2
    assert "card.yaml: weights: " in done.error


def test_a_format_is_imported_for_its_card_alone():
    code = (
        "import sys; import overread.operators.formats, overread.operators.predict\n"
        "print(sorted({'torch', 'monai', 'onnxruntime', 'tritonclient', 'highdicom'} & set(sys.modules)))"
    )
    source = str(Path(__file__).resolve().parents[3] / "pytools")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source, "PATH": ""}
    )
    assert done.stdout.strip() == "[]"
