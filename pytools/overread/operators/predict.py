"""Runs a network over a volume, as its card says. Torch and MONAI are imported only when this is done."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.errors import DataError, SpecError
from overread.operators.card import Card, ModelCard, NetworkSpec, WeightsFile, load_card
from overread.operators.extract import extracted_brain
from overread.operators.formats import Predictor, load_predictor
from overread.operators.resample import patient_grid, resample, resample_back, smooth_for

if TYPE_CHECKING:
    import torch

Values = NDArray[np.float32]

_BATCH_CPU, _BATCH_GPU = 4, 16
EXTRACT: Final = "extract."
"""Begins the names of the weights of the network that finds the brain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A trained network, ready to run.

    Parameters
    ----------
    card
        What it is and what it wants.
    module
        Runs the network on a batch of windows, on its device.
    extraction
        The network that finds the brain first, if the card names one.
    device
        ``cpu``, ``cuda`` with the name of the GPU, or ``triton`` with the server's address.
    """

    card: Card
    module: Predictor
    extraction: Predictor | None
    device: str

    def probability(self, values: Values, geometry: VolumeGeometry) -> Values:
        """Return each voxel's probability of belonging to the lesion.

        Parameters
        ----------
        values
            (slices, rows, columns) of the series.
        geometry
            Its grid.

        Returns
        -------
        array
            On the same grid, 0 to 1; exact where it exceeds the card's threshold, 0 far from there.
        """
        rules = self.card.preprocessing
        affine, shape = patient_grid(geometry, axes=rules.axes, spacing_mm=rules.spacing_mm)
        smooth = smooth_for(values, geometry, spacing_mm=rules.spacing_mm, antialias=rules.antialias)
        on_grid = resample(
            smooth,
            source_affine=geometry.affine_lps,
            target_affine=affine,
            shape=shape,
            outside=float(values.min()),
            interpolation=rules.interpolation,
        )
        extract = rules.extract
        if self.extraction is not None and extract is not None:
            find = partial(self._slide, self.extraction, extract.network)
            inside = extracted_brain(
                values,
                geometry,
                rules=rules,
                affine=affine,
                shape=shape,
                slide=find,
            )
            on_grid = np.where(inside, on_grid, on_grid.min())
        scores, foreground = rules.normalisation.apply(on_grid)
        found = ndimage.find_objects(foreground.astype(np.int8))
        result = np.zeros(shape, dtype=np.float32)
        if found:
            result[found[0]] = self._slide(self.module, self.card.network, scores[found[0]], self.card.inference.window)
        return resample_back(result, affine=affine, geometry=geometry, above=self.card.postprocessing.threshold)

    def _slide(self, module: Predictor, spec: NetworkSpec, scores: Values, window: tuple[int, int, int]) -> Values:
        import torch  # noqa: PLC0415 - seconds to import; the calculators never need it
        from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415

        rules = self.card.inference
        on_gpu = self.device.startswith("cuda") and self.card.weights.framework != "onnx"
        tensor = torch.from_numpy(np.ascontiguousarray(scores))[None, None]
        tensor = tensor.to(memory_format=torch.channels_last_3d)  # a fifth faster on a CPU
        mixed = torch.autocast("cuda", dtype=torch.float16) if on_gpu else contextlib.nullcontext()
        with torch.inference_mode(), mixed:
            logits: Any = sliding_window_inference(
                tensor,
                roi_size=window,
                sw_batch_size=_BATCH_GPU if on_gpu else _BATCH_CPU,
                predictor=module,
                overlap=rules.overlap,
                mode=rules.weighting,
                sigma_scale=rules.sigma_scale,
                padding_mode="constant",
                cval=rules.padding_value,
                sw_device="cuda" if on_gpu else "cpu",
                device="cpu",  # a whole volume of logits need not fit into the GPU's memory
            )
        return _probability(logits.float()[0], spec)


def load_network(folder: Path) -> Network:
    """Build the network of a model's folder, on the GPU if there is one.

    Parameters
    ----------
    folder
        With ``card.yaml`` and the weights it names.

    Raises
    ------
    SpecError
        If the card is wrong, or does not fit the weights.
    DataError
        If the weights are not those that the card was written for.
    """
    card = load_card(folder)
    framework = card.weights.framework
    if framework != "pytorch":
        path = folder if framework == "triton" else read_weights(folder, card.weights)
        module, device = load_predictor(folder, path, card.weights)
        return Network(card=card, module=module, extraction=None, device=device)
    state = load_state(folder, card)
    found = {name.removeprefix(EXTRACT): state.pop(name) for name in list(state) if name.startswith(EXTRACT)}
    extract = card.preprocessing.extract
    return Network(
        card=card,
        module=build_network(card.network, state, source=folder),
        extraction=None if extract is None else build_network(extract.network, found, source=folder),
        device=device_name(),
    )


def device_name() -> str:
    """Return ``cpu``, or ``cuda`` with the name of the GPU."""
    import torch  # noqa: PLC0415

    return f"cuda {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"


def load_state(folder: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    """Read the weights of a model's folder; from here on torch is deterministic.

    Raises
    ------
    DataError
        If the weights are not those that the card was written for.
    SpecError
        If they are no state dict.
    """
    if card.weights.framework != "pytorch":
        raise SpecError(
            "Only weights of the format pytorch hold several networks: another format needs a card with one.",
            source=str(folder / "card.yaml"),
            path="weights.framework",
        )
    weights = read_weights(folder, card.weights)
    import torch  # noqa: PLC0415

    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a costly check
    try:
        state: dict[str, torch.Tensor] = dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:
        raise _misfit(folder, error) from error
    return state


def build_network(spec: NetworkSpec, state: dict[str, torch.Tensor], *, source: Path) -> torch.nn.Module:
    """Return a network with its weights, in evaluation mode, on the GPU if there is one.

    Raises
    ------
    SpecError
        If class, arguments and weights do not fit together; it names the card in the folder `source`.
    """
    try:
        return _build(spec, state)
    except Exception as error:
        raise _misfit(source, error) from error


def _misfit(folder: Path, error: Exception) -> SpecError:
    return SpecError(
        f"Class, arguments and weights do not fit together ({type(error).__name__}): correct network and weights.",
        source=str(folder / "card.yaml"),
        path="network",
    )


def _probability(logits: torch.Tensor, spec: NetworkSpec) -> Values:
    """Return the probability (slices, rows, columns) of the segment's channel, of an output (channels, ...)."""
    import torch  # noqa: PLC0415

    if spec.channel >= logits.shape[0]:
        raise SpecError(
            f"The model's output has {logits.shape[0]} channels, counted from 0: choose one of them.",
            source="card.yaml",
            path="network.channel",
        )
    if spec.activation == "softmax":
        logits = torch.softmax(logits, dim=0)
    elif spec.activation == "sigmoid":
        logits = torch.sigmoid(logits)
    return np.asarray(logits[spec.channel].numpy(), dtype=np.float32)


def build_module(spec: NetworkSpec) -> torch.nn.Module:
    """Return the network that a card describes, without its weights."""
    module_name, _, class_name = (spec.cls or "").rpartition(".")
    module: torch.nn.Module = getattr(importlib.import_module(module_name), class_name)(**spec.arguments)
    return module


def _build(spec: NetworkSpec, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    import torch  # noqa: PLC0415

    module = build_module(spec)
    module.load_state_dict(state)
    ready: torch.nn.Module = module.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return ready.to("cuda") if torch.cuda.is_available() else ready


def read_weights(folder: Path, weights: WeightsFile) -> Path:
    """Return the path of the weights once they are known to be the card's.

    A result names the hash of the weights that made it; weights that were exchanged would make that a lie.
    """
    path = folder / weights.file
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"The weights {path} can't be read: put them beside the card.") from error
    if found != weights.sha256:
        raise DataError(
            f"The weights {path} have SHA-256 {found[:12]}…, the card says {weights.sha256[:12]}…: restore them, "
            "or write a card for the new ones."
        )
    return path
