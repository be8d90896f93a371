"""A model folder whose network is known: a UNet with weights set by hand so that it marks what is bright.

It goes the whole way of a real model (card, weights, MONAI, sliding window) in milliseconds, and its mask can be told
in advance: voxels whose z-score exceeds a threshold.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

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
