"""The model card: what a network is, and exactly what happens to an exam before and after it.

Not prose about the code but the code's own configuration: the image does what ``model/card.yaml`` says and nothing
else. Sections that are for people alone (training data, evaluation, limits) may stand beside those read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from overread.errors import SpecError
from overread.study.fields import Form, Spec
from overread.study.manifest import SeriesRule
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml

CardT = TypeVar("CardT", bound=Spec)
Axis = Literal["S", "I", "P", "A", "L", "R"]
FilePath = Annotated[
    str, Form(r"([A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*", "write the path of a file beside the card")
]
HostPort = Annotated[
    str, Form(r"[A-Za-z0-9_.-]+:[0-9]{1,5}(/[A-Za-z0-9_./-]*)?", "write host:port, such as triton:8000")
]
Sha256 = Annotated[str, Form(r"[0-9a-f]{64}", "write the 64 hexadecimal digits that sha256sum prints")]
NetClass = Annotated[str, Form(r"monai\.networks\.nets\.[A-Za-z0-9_]+", "name a class of monai.networks.nets")]


class WeightsFile(Spec):
    """The file of the trained parameters."""

    file: FilePath
    sha256: Sha256


class Weights(WeightsFile):
    """The trained parameters, in one of five formats.

    ``pytorch`` is a state dict of the class that the card names. ``monai-bundle`` is a bundle's ``models/model.pt``,
    its network that of the bundle's configuration. ``torchscript`` and ``onnx`` are files that hold the network too.
    ``triton`` is a model on a server; its hash is the card's word, since a server shows nobody its files.
    """

    file: FilePath = ""
    framework: Literal["pytorch", "monai-bundle", "torchscript", "onnx", "triton"] = "pytorch"
    dtype: Literal["float32"] = "float32"
    input: str = Field(default="", description="Name of the input tensor (onnx, triton); empty: the only one.")
    output: str = Field(default="", description="Name of the output tensor (onnx, triton); empty: the only one.")
    address: HostPort | None = Field(default=None, description="Of the Triton server, by HTTP.")
    model: str = Field(default="", description="The model's name on the Triton server.")
    model_version: str = Field(default="", description="And its version there.")

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        needed = ("address", "model", "model_version") if self.framework == "triton" else ("file",)
        for name in needed:
            if not getattr(self, name):
                raise PydanticCustomError(
                    "weights",
                    "a {framework} model needs {name}",
                    {"framework": self.framework, "name": name, "at": (name,), "mend": "name it"},
                )
        return self


class NetworkSpec(Spec):
    """The network that the weights fit into, if they do not bring it along; and what its output means."""

    cls: NetClass | None = Field(default=None, alias="class")
    arguments: dict[str, Any] = Field(default_factory=dict)
    activation: Literal["sigmoid", "softmax", "none"] = Field(
        description="sigmoid: each channel by itself; softmax: they exclude each other; none: it is a probability."
    )
    channel: int = Field(default=0, ge=0, description="The output's channel that is the segment, from 0.")


class Normalisation(Spec):
    """z-score over the foreground, which is what exceeds a fraction of a percentile of the resampled volume."""

    method: Literal["z-score"]
    percentile: float = Field(ge=0, le=100)
    foreground_fraction: float = Field(ge=0, le=1)
    clip: tuple[float, float]

    def apply(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a volume's z-scores and its foreground."""
        foreground = values > self.foreground_fraction * np.percentile(values, self.percentile)
        if not foreground.any():
            return np.zeros(values.shape, dtype=np.float32), foreground
        inside = values[foreground]
        scores = (values - inside.mean()) / max(float(inside.std()), 1e-6)
        return np.asarray(np.clip(scores, *self.clip), dtype=np.float32), foreground


class Window(Spec):
    """A window of values, such as Hounsfield units, brought to a range; foreground is what exceeds its lower end."""

    method: Literal["window"]
    window: tuple[float, float]
    to: tuple[float, float] = (0.0, 1.0)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.window[0] >= self.window[1]:
            raise PydanticCustomError("window", "the window is empty", {"at": ("window",), "mend": "write low, high"})
        return self

    def apply(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a volume's values in the range, cut off at its ends, and its foreground."""
        low, high = self.window
        share = (np.clip(values, low, high) - low) / (high - low)
        scaled = self.to[0] + share * (self.to[1] - self.to[0])
        return np.asarray(scaled, dtype=np.float32), values > low


class Extraction(Spec):
    """The brain, found first by a small network on coarse voxels; what lies outside gets the lowest value.

    Its weights lie in the model's own file, under names that begin with ``extract.``.
    """

    network: NetworkSpec
    spacing_mm: tuple[float, float, float]
    window: tuple[int, int, int]
    threshold: float = Field(gt=0, lt=1)


class Preprocessing(Spec):
    """From the series to the network's input."""

    axes: tuple[Axis, Axis, Axis]
    spacing_mm: tuple[float, float, float]
    interpolation: Literal["linear"]
    antialias: float = Field(ge=0)
    extract: Extraction | None = None
    normalisation: Annotated[Normalisation | Window, Field(discriminator="method")]
    crop: Literal["foreground"]


class Inference(Spec):
    """How the network is moved over a volume."""

    window: tuple[int, int, int]
    overlap: float = Field(ge=0, lt=1)
    weighting: Literal["gaussian", "constant"]
    sigma_scale: float = Field(gt=0)
    padding_value: float


class Postprocessing(Spec):
    """From probabilities to a mask."""

    threshold: float = Field(gt=0, lt=1)
    connectivity: Literal[6, 18, 26]
    minimum_component_ml: float = Field(ge=0)
    keep: Literal["largest", "all"]


class Output(Spec):
    """What is measured."""

    roi: str
    measures: tuple[str, ...]


class Plausible(Spec):
    """What a result is expected to be (`overread.operators.plausibility`). What is not set is not looked at."""

    smallest_ml: float | None = Field(default=None, gt=0)
    largest_ml: float | None = Field(default=None, gt=0)
    most_pieces: int | None = Field(default=None, ge=1)
    inside_body: float | None = Field(default=None, gt=0, le=1)


class ModelCard(Spec):
    """What the card of every model says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1, max_length=64)
    version: str = Field(min_length=1, max_length=64)
    title: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    weights: Weights
    inputs: dict[str, SeriesRule] = Field(min_length=1)
    optional: tuple[str, ...] = ()
    """Inputs without which the model runs all the same, with a warning. The first input is never one of them."""
    lossy: Literal["warn", "refuse"] = "warn"
    """What becomes of images that were once compressed with loss: they carry a warning, or the model does not apply."""
    output: Output
    plausible: Plausible = Plausible()

    @model_validator(mode="after")
    def _optional_are_inputs(self) -> Self:
        roles = list(self.inputs)
        for index, role in enumerate(self.optional):
            if role not in roles[1:]:
                raise PydanticCustomError(
                    "role",
                    "{role} is not a second or later input",
                    {"role": repr(role), "at": ("optional", index), "mend": "name one of inputs but the first"},
                )
        return self


class Card(ModelCard):
    """The card of a model with one network."""

    network: NetworkSpec
    preprocessing: Preprocessing
    inference: Inference
    postprocessing: Postprocessing

    @model_validator(mode="after")
    def _network_is_known(self) -> Self:
        if self.weights.framework == "pytorch" and self.network.cls is None:
            raise PydanticCustomError(
                "network",
                "weights of the format pytorch need the class of their network",
                {"at": ("network", "class"), "mend": "name a class of monai.networks.nets"},
            )
        if self.preprocessing.extract is not None and self.weights.framework != "pytorch":
            raise PydanticCustomError(
                "extract",
                "only weights of the format pytorch hold a second network",
                {"at": ("preprocessing", "extract"), "mend": "leave it out"},
            )
        return self


def load_card(folder: Path) -> Card:
    """Read ``card.yaml`` of a segmentation model's folder.

    Raises
    ------
    SpecError
        File, line, path and what is wrong.
    """
    return load_card_as(Card, folder)


def load_card_as(kind: type[CardT], folder: Path) -> CardT:
    """Read ``card.yaml`` of a model's folder as a card of one kind, or raise SpecError as `load_card` does."""
    path = folder / "card.yaml"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            "The model's card can't be read: put card.yaml beside the weights.", source=str(path)
        ) from error
    document = parse_yaml(text, source=str(path))
    try:
        return kind.model_validate(document.value)
    except ValidationError as error:
        first, *others = problems_of(error, model=kind, source=str(path), lines=document.lines)
        raise first.error(others=len(others)) from error
