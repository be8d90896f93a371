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
FileName = Annotated[str, Form(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "write the name of a file beside the card")]
Sha256 = Annotated[str, Form(r"[0-9a-f]{64}", "write the 64 hexadecimal digits that sha256sum prints")]
NetClass = Annotated[str, Form(r"monai\.networks\.nets\.[A-Za-z0-9_]+", "name a class of monai.networks.nets")]


class WeightsFile(Spec):
    """The file of the trained parameters."""

    file: FileName
    sha256: Sha256


class Weights(WeightsFile):
    """The trained parameters."""

    framework: Literal["pytorch"] = "pytorch"
    dtype: Literal["float32"] = "float32"


class NetworkSpec(Spec):
    """The network that the weights fit into."""

    cls: NetClass = Field(alias="class")
    arguments: dict[str, Any]
    activation: Literal["sigmoid", "softmax"] = Field(
        description="sigmoid: each channel by itself; softmax: the first channel is the background."
    )


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
    normalisation: Normalisation
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
