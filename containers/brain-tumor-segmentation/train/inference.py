"""What happens to a volume before and after the network, as ``model/card.yaml`` says."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A trained network with its card."""

    card: dict[str, Any]
    module: nn.Module
    weights_sha256: str

    def segment(self, volume: Volume, affine_lps: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the mask of lesions, of the shape of `volume` (slices, rows, columns)."""
        return self.postprocess(self.probability(volume, affine_lps), affine_lps)

    def probability(self, volume: Volume, affine_lps: NDArray[np.float64]) -> Volume:
        """Return each voxel's probability of being lesion, on the grid of `volume`."""
        rules = self.card["preprocessing"]
        to_source, shape = canonical_grid(volume.shape, affine_lps, spacing_mm=rules["spacing_mm"])
        smooth = _antialiased(volume, affine_lps, rules)
        resampled = _interpolate(smooth, to_source, shape, outside=float(volume.min()))
        z, foreground = _normalised(resampled, rules["normalisation"])
        boxes = ndimage.find_objects(foreground.astype(np.int8))
        on_grid = np.zeros(shape, dtype=np.float32)
        if boxes:
            on_grid[boxes[0]] = self._predict(z[boxes[0]])
        return np.clip(
            _interpolate(on_grid, np.asarray(np.linalg.inv(to_source), dtype=np.float64), volume.shape, outside=0.0),
            0.0,
            1.0,
        )

    def postprocess(self, probability: Volume, affine_lps: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the components that count as lesion."""
        rules = self.card["postprocessing"]
        structure = np.ones((3, 3, 3))
        labels, count = ndimage.label(probability > rules["threshold"], structure)
        if count == 0:
            return np.zeros(probability.shape, dtype=np.bool_)
        voxel_ml = abs(float(np.linalg.det(affine_lps[:3, :3]))) / 1000.0
        sizes_ml = np.bincount(labels.ravel())[1:] * voxel_ml
        kept = np.flatnonzero(sizes_ml >= rules["minimum_component_ml"]) + 1
        if rules["keep"] == "largest":
            kept = kept[np.argsort(-sizes_ml[kept - 1], kind="stable")][:1]
        return np.isin(labels, kept)

    def _predict(self, z: Volume) -> Volume:
        rules = self.card["inference"]
        tensor = torch.from_numpy(np.ascontiguousarray(z))[None, None]
        with torch.inference_mode():
            logits: Any = sliding_window_inference(
                tensor.to(memory_format=torch.channels_last_3d),
                rules["window"],
                4,
                self.module,
                overlap=rules["overlap"],
                mode=rules["weighting"],
                sigma_scale=rules["sigma_scale"],
                padding_mode="constant",
                cval=rules["padding_value"],
            )
        return np.asarray(torch.sigmoid(logits)[0, 0].numpy(), dtype=np.float32)


def load_network(folder: Path) -> Network:
    """Read ``card.yaml`` and the weights it names from a folder."""
    card = yaml.safe_load((folder / "card.yaml").read_text("utf-8"))
    path = folder / card["weights"]["file"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    module_name, _, name = str(card["network"]["class"]).rpartition(".")
    module: nn.Module = getattr(importlib.import_module(module_name), name)(**card["network"]["arguments"])
    module.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return Network(card=card, module=module.eval().to(memory_format=torch.channels_last_3d), weights_sha256=digest)  # type: ignore[call-overload]


def canonical_grid(
    shape: tuple[int, ...], affine_lps: NDArray[np.float64], *, spacing_mm: list[float]
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Return the grid along the patient's axes that encloses a volume.

    Returns
    -------
    tuple
        (4, 4) matrix from its index (slice to the head, row to the back, column to the left) to the volume's index,
        and its shape.
    """
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in shape], indexing="ij")).reshape(3, -1)
    places = affine_lps[:3, :3] @ corners + affine_lps[:3, 3:]
    low, high = places.min(axis=1), places.max(axis=1)
    target = np.eye(4)
    target[:3, :3] = [[0, 0, spacing_mm[2]], [0, spacing_mm[1], 0], [spacing_mm[0], 0, 0]]
    target[:3, 3] = low
    extent = (high - low)[::-1]
    size = [int(np.floor(e / s + 1e-3)) + 1 for e, s in zip(extent, spacing_mm, strict=True)]
    return np.linalg.inv(affine_lps) @ target, (size[0], size[1], size[2])


def _antialiased(volume: Volume, affine_lps: NDArray[np.float64], rules: dict[str, Any]) -> Volume:
    source = np.linalg.norm(affine_lps[:3, :3], axis=0)
    sigma = np.clip(rules["antialias"] * (min(rules["spacing_mm"]) / source - 1.0), 0.0, None)
    return np.asarray(ndimage.gaussian_filter(volume, sigma) if (sigma > 0).any() else volume, dtype=np.float32)


def _interpolate(volume: Volume, to_source: NDArray[np.float64], shape: tuple[int, ...], *, outside: float) -> Volume:
    return np.asarray(
        ndimage.affine_transform(
            volume,
            to_source[:3, :3],
            to_source[:3, 3],
            output_shape=shape,
            order=1,
            cval=outside,
            output=np.float32,
        )
    )


def _normalised(volume: Volume, rules: dict[str, Any]) -> tuple[Volume, NDArray[np.bool_]]:
    foreground = volume > rules["foreground_fraction"] * np.percentile(volume, rules["percentile"])
    if not foreground.any():
        return np.zeros(volume.shape, dtype=np.float32), foreground
    values = volume[foreground]
    z = (volume - values.mean()) / max(float(values.std()), 1e-6)
    return np.asarray(np.clip(z, *rules["clip"]), dtype=np.float32), foreground
