"""Networks of other formats than ours, made ready to run as the card says: MONAI bundle, TorchScript, ONNX, Triton.

Each becomes one function, from a batch of windows to a batch of outputs; what happens before and after is the card's,
as for weights of our own. Nothing of a format is imported but for a card that names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from overread.errors import DataError, SpecError
from overread.operators.card import Weights

if TYPE_CHECKING:
    import torch

Batch = NDArray[np.float32]
Predictor = Callable[["torch.Tensor"], "torch.Tensor"]

_TIMEOUT_S: Final = 300.0
_BUNDLE_CONFIGS: Final = ("inference.json", "inference.yaml", "inference.yml", "train.json", "train.yaml")
_BUNDLE_NETWORKS: Final = ("network_def", "network")


def load_predictor(folder: Path, path: Path, weights: Weights) -> tuple[Predictor, str]:
    """Return a function that runs a model's network on windows, and the device on which it runs.

    Parameters
    ----------
    folder
        Of the card.
    path
        The weights, known to be the card's; for Triton, `folder` again.
    weights
        Of the card; ``framework`` is none that is loaded by class and state dict.

    Raises
    ------
    SpecError
        If the file is no such model, or has no such inputs and outputs, or the package that reads it is missing.
    DataError
        If a Triton server does not answer, or not as the card says.
    """
    source = str(folder / "card.yaml")
    if weights.framework == "triton":
        return _windows(_triton(weights, source)), f"triton {weights.address}"
    if weights.framework == "onnx":
        session, device = _onnx(path, source)
        return _windows(_onnx_run(session, weights, source)), device
    import torch  # noqa: PLC0415 - seconds to import; not for a card that has no use for it

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if weights.framework == "torchscript":
            module: Any = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
        else:
            module = _bundle_network(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
            module.load_state_dict(state.get("model", state))
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(
            f"{path.name} is no {weights.framework} model that loads ({type(error).__name__}): correct weights.",
            source=source,
            path="weights",
        ) from error
    ready: Predictor = module.to(device).eval()
    return ready, f"cuda {torch.cuda.get_device_name()}" if device == "cuda" else device


def _bundle_network(path: Path) -> Any:
    """Return the network of the MONAI bundle whose weights lie at ``models/…``, as its configuration defines it."""
    parser = importlib.import_module("monai.bundle").ConfigParser()
    configs = path.parent.parent / "configs"
    found = next((configs / name for name in _BUNDLE_CONFIGS if (configs / name).is_file()), None)
    if found is None:
        raise SpecError(
            "The bundle has no configs/inference.json: name the weights in the bundle's models folder.",
            source=str(path),
            path="weights.file",
        )
    parser.read_config(str(found))
    key = next((name for name in _BUNDLE_NETWORKS if name in parser.config), "")
    if not key:
        raise SpecError(f"The bundle defines no {' or '.join(_BUNDLE_NETWORKS)}: add it.", source=str(found))
    return parser.get_parsed_content(key)


def _windows(run: Callable[[Batch], Batch]) -> Predictor:
    """Return a predictor of one that takes a window at a time: many exported models have a fixed batch of 1."""

    def predict(batch: torch.Tensor) -> torch.Tensor:
        import torch  # noqa: PLC0415

        windows = batch.detach().cpu().numpy().astype(np.float32, copy=False)
        outputs = [run(np.ascontiguousarray(windows[index : index + 1])) for index in range(len(windows))]
        return torch.from_numpy(np.concatenate(outputs).astype(np.float32, copy=False))

    return predict


def _onnx(path: Path, source: str) -> tuple[Any, str]:
    runtime = _package("onnxruntime", source)
    options = runtime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    try:
        session = runtime.InferenceSession(str(path), sess_options=options, providers=providers)
    except Exception as error:
        raise SpecError(
            f"{path.name} is no ONNX model that onnxruntime reads ({type(error).__name__}): correct weights.file.",
            source=source,
            path="weights",
        ) from error
    return session, "cuda onnxruntime" if session.get_providers()[0].startswith("CUDA") else "cpu"


def _onnx_run(session: Any, weights: Weights, source: str) -> Callable[[Batch], Batch]:
    given = _named(weights.input, [one.name for one in session.get_inputs()], source, "weights.input")
    made = _named(weights.output, [one.name for one in session.get_outputs()], source, "weights.output")

    def run(window: Batch) -> Batch:
        try:
            return np.asarray(session.run([made], {given: window})[0], dtype=np.float32)
        except Exception as error:
            raise SpecError(
                f"The model takes no windows of {list(window.shape)}: make inference.window its input's size. "
                f"{' '.join(str(error).split())[:200]}",
                source=source,
                path="inference.window",
            ) from error

    return run


def _triton(weights: Weights, source: str) -> Callable[[Batch], Batch]:
    """Return a function that has a server of the KServe v2 protocol run the model."""
    http = _package("tritonclient.http", source)
    place = f"{weights.address} model {weights.model} version {weights.model_version}"
    asked = {"model_name": weights.model, "model_version": weights.model_version}
    try:
        client = http.InferenceServerClient(
            url=weights.address, network_timeout=_TIMEOUT_S, connection_timeout=_TIMEOUT_S
        )
        if not client.is_model_ready(**asked):
            raise DataError(f"{place} is not ready: load it into the server, or correct weights in card.yaml.")
        metadata: Mapping[str, Any] = client.get_model_metadata(**asked)
    except (OSError, http.InferenceServerException) as error:
        raise DataError(f"{place} does not answer ({_reason(error)}): start the server, then run again.") from error
    given = _named(weights.input, _names(metadata, "inputs"), source, "weights.input")
    made = _named(weights.output, _names(metadata, "outputs"), source, "weights.output")

    def run(window: Batch) -> Batch:
        tensor = http.InferInput(given, list(window.shape), "FP32")
        tensor.set_data_from_numpy(window, binary_data=True)
        wanted = http.InferRequestedOutput(made, binary_data=True)
        try:
            answer = client.infer(
                weights.model, [tensor], model_version=weights.model_version, outputs=[wanted], timeout=None
            )
        except (OSError, http.InferenceServerException) as error:
            raise DataError(f"{place} refused a window of {list(window.shape)}: {_reason(error)}") from error
        values = answer.as_numpy(made)
        if values is None:
            raise DataError(f"{place} gave no output {made}: correct weights.output in card.yaml.")
        return np.asarray(values, dtype=np.float32)

    return run


def _names(metadata: Mapping[str, Any], kind: str) -> list[str]:
    return [str(one["name"]) for one in metadata.get(kind, ())]


def _named(name: str, there: Sequence[str], source: str, path: str) -> str:
    """Return the tensor that the card names; the only one if it names none."""
    if name in there:
        return name
    if not name and len(there) == 1:
        return there[0]
    raise SpecError(f"The model has {', '.join(there) or 'none'}: name one of them.", source=source, path=path)


def _package(name: str, source: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise SpecError(
            f"{package} is not installed, which this format needs: add it to the image's requirements.txt.",
            source=source,
            path="weights.framework",
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
