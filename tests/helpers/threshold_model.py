"""A model folder whose network is known: a UNet with weights set by hand so that it marks what is bright.

It goes the whole way of a real model (card, weights, MONAI, sliding window) in milliseconds, and its mask can be told
in advance: voxels whose z-score exceeds a threshold.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
import yaml
from monai.networks.nets import UNet

torch.set_num_threads(1)  # small volumes: threads would only wait for each other

ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "channels": [1, 1],
    "strides": [1],
    "kernel_size": 1,
    "up_kernel_size": 1,
    "num_res_units": 0,
    "act": None,
    "norm": None,
}


def card_of(**changes: Any) -> dict[str, Any]:
    """Return a card; `changes` replace values by dotted path with ``__`` for the dot."""
    card: dict[str, Any] = {
        "name": "threshold",
        "version": "1.2.3",
        "title": "Bright voxels",
        "intended_use": "Tests.",
        "training": {"exams": 0},
        "weights": {"file": "weights.pt", "sha256": "0" * 64, "framework": "pytorch", "dtype": "float32"},
        "network": {"class": "monai.networks.nets.UNet", "arguments": ARGUMENTS, "activation": "sigmoid"},
        "inputs": {
            "flair": {
                "where": [{"tag": "Modality", "in": ["MR"]}, {"tag": "SeriesDescription", "matches": "(?i)flair"}],
                "choose": "most_instances",
                "at_least": 5,
            }
        },
        "preprocessing": {
            "axes": ["S", "P", "L"],
            "spacing_mm": [1.0, 1.0, 1.0],
            "interpolation": "linear",
            "antialias": 0.4,
            "normalisation": {
                "method": "z-score",
                "percentile": 99.0,
                "foreground_fraction": 0.1,
                "clip": [-4.0, 6.0],
            },
            "crop": "foreground",
        },
        "inference": {
            "window": [16, 16, 16],
            "overlap": 0.25,
            "weighting": "gaussian",
            "sigma_scale": 0.125,
            "padding_value": -4.0,
        },
        "postprocessing": {"threshold": 0.5, "connectivity": 26, "minimum_component_ml": 0.02, "keep": "all"},
        "output": {
            "roi": "lesion",
            "measures": ["lesion_volume_ml", "lesion_count", "longest_axial_diameter_mm"],
        },
    }
    for path, value in changes.items():
        *parents, name = path.split("__")
        holder = card
        for parent in parents:
            holder = holder[parent]
        holder[name] = value
    return card


def write_model(
    folder: Path,
    *,
    threshold: float = 3.0,
    steepness: float = 40.0,
    brain_threshold: float | None = None,
    **changes: Any,
) -> Path:
    """Write card and weights of a network that marks z-scores above `threshold`.

    With `brain_threshold`, a second network calls brain what has a higher rank (-4 to 0) than that on voxels of 2 mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _state(threshold, steepness)
    if brain_threshold is not None:
        state |= {f"extract.{name}": value for name, value in _state(brain_threshold, steepness).items()}
        network = {
            "class": "monai.networks.nets.UNet",
            "arguments": {**ARGUMENTS, "channels": [1, 1], "strides": [1]},
            "activation": "sigmoid",
        }
        changes["preprocessing__extract"] = {
            "network": network,
            "spacing_mm": [2.0, 2.0, 2.0],
            "window": [16, 16, 16],
            "threshold": 0.5,
        }
    torch.save(state, folder / "weights.pt")
    digest = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
    card = card_of(**{"weights__sha256": digest, **changes})
    (folder / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), "utf-8")
    return folder


def _state(threshold: float, steepness: float) -> dict[str, Any]:
    network = UNet(**ARGUMENTS)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    state["model.0.conv.weight"].fill_(1.0)
    state["model.2.conv.weight"][0] = steepness
    state["model.2.conv.bias"].fill_(-steepness * threshold)
    return state


def _saved(folder: Path, file: str, **changes: Any) -> Path:
    """Write the card of a model file that lies in the folder."""
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    told = {"weights__file": file, "weights__sha256": digest, **changes}
    network = {"activation": "sigmoid"}
    (folder / "card.yaml").write_text(yaml.safe_dump(card_of(**{"network": network, **told}), sort_keys=False), "utf-8")
    return folder


def write_torchscript(folder: Path, *, threshold: float = 3.0, steepness: float = 40.0, **changes: Any) -> Path:
    """Write the same model as TorchScript."""
    folder.mkdir(parents=True, exist_ok=True)
    network = UNet(**ARGUMENTS)
    network.load_state_dict(_state(threshold, steepness))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated and in use all the same
        jit: Any = torch.jit
        traced = jit.trace(network.eval(), torch.zeros(1, 1, 8, 8, 8))
        traced.save(str(folder / "model.ts"))
    return _saved(folder, "model.ts", weights__framework="torchscript", **changes)


def write_bundle(folder: Path, *, threshold: float = 3.0, steepness: float = 40.0, **changes: Any) -> Path:
    """Write the same model as a MONAI bundle beside the card."""
    bundle = folder / "bright"
    (bundle / "models").mkdir(parents=True)
    (bundle / "configs").mkdir()
    torch.save(_state(threshold, steepness), bundle / "models" / "model.pt")
    config = {"device": "$torch.device('cpu')", "network_def": {"_target_": "UNet", **ARGUMENTS}}
    (bundle / "configs" / "inference.json").write_text(json.dumps(config), "utf-8")
    return _saved(folder, "bright/models/model.pt", weights__framework="monai-bundle", **changes)


def write_onnx(
    folder: Path, *, threshold: float = 3.0, steepness: float = 40.0, window: int = 48, **changes: Any
) -> Path:
    """Write the same model as ONNX with two channels that exclude each other, a fixed window and names of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    tensor, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    shape = [1, 1, window, window, window]
    constants = {"steepness": steepness, "shift": -steepness * threshold, "nothing": 0.0}
    graph = onnx.helper.make_graph(
        [
            node("Mul", ["image", "steepness"], ["steep"]),
            node("Add", ["steep", "shift"], ["lesion"]),
            node("Mul", ["image", "nothing"], ["ground"]),
            node("Concat", ["ground", "lesion"], ["logits"], axis=1),
            node("Identity", ["ground"], ["spare"]),
        ],
        "bright",
        [tensor("image", onnx.TensorProto.FLOAT, shape)],
        [tensor("spare", onnx.TensorProto.FLOAT, shape), tensor("logits", onnx.TensorProto.FLOAT, [1, 2, *shape[2:]])],
        [onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    told = {"weights__framework": "onnx", "weights__input": "image", "weights__output": "logits"}
    network = {"activation": "softmax", "channel": 1}
    sizes = {"inference__window": [window] * 3}
    return _saved(folder, "model.onnx", **{**told, "network": network, **sizes, **changes})


def write_triton(folder: Path, *, address: str, **changes: Any) -> Path:
    """Write the card of the same model on a server."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        "framework": "triton", "sha256": "ab" * 32, "address": address, "model": "bright", "model_version": "3",
        "input": "image", "output": "logits",
    }  # fmt: skip
    card = card_of(**{"weights": weights, "network": {"activation": "sigmoid"}, **changes})
    (folder / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), "utf-8")
    return folder
