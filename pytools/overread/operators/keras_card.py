"""The card of a model that finds and classifies things on radiographs; its images do what it says and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from overread.operators.card import WeightsFile, load_card_as
from overread.study.fields import Form, Spec
from overread.study.manifest import SeriesRule

ClassName = Annotated[str, Form(r"[a-z][a-z0-9-]{0,31}", "write a lower-case word with hyphens")]


class KerasWeights(WeightsFile):
    """The trained parameters: arrays by name in a NumPy archive, nothing that could be code."""

    framework: Literal["tensorflow"] = "tensorflow"
    dtype: Literal["float32"] = "float32"


class Finder(Spec):
    """The network that says what an image shows and where the joints are."""

    pixel_mm: float = Field(gt=0, description="Of its input.")
    window: tuple[int, int] = Field(description="Rows and columns of its input; the image lies in the middle.")
    channels: tuple[int, ...] = Field(min_length=3, max_length=4)
    cells: int = Field(ge=1, description="Input pixels per cell of its map, along each side.")
    peak: float = Field(gt=0, lt=1, description="A joint is there where the map reaches this.")
    view: float = Field(gt=0, lt=1, description="A view other than upright is believed from this probability on.")


class Classifier(Spec):
    """The network that looks at one joint, always drawn as the patient's left."""

    pixel_mm: float = Field(gt=0)
    window: tuple[int, int]
    medial_mm: float = Field(gt=0, description="How far the window reaches from the joint towards the body's middle.")
    above_mm: float = Field(gt=0, description="How far it reaches upwards.")
    channels: tuple[int, ...] = Field(min_length=4, max_length=6)
    hidden: int = Field(ge=1)
    temperature: float = Field(gt=0, description="Divides the logits, so that confidences are as often right as said.")


class Box(Spec):
    """The box of a finding, from the joint's centre, mm."""

    medial_mm: float = Field(gt=0)
    lateral_mm: float = Field(gt=0)
    above_mm: float = Field(gt=0)
    below_mm: float = Field(gt=0)


class DetectionCard(Spec):
    """A model card."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1, max_length=64)
    version: str = Field(min_length=1, max_length=64)
    title: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    weights: KerasWeights
    inputs: dict[str, SeriesRule] = Field(min_length=1)
    classes: tuple[ClassName, ...] = Field(min_length=2)
    finder: Finder
    classifier: Classifier
    box: Box
    lossy: Literal["warn", "refuse"] = Field(
        default="warn", description="Images that were once compressed with loss carry a warning, or are not looked at."
    )
    body_parts: tuple[str, ...] = Field(description="BodyPartExamined of images that are looked at; empty: not asked.")
    field_mm: float = Field(gt=0, description="Longer side of an image that does not say how large its pixels are.")


def load_detection_card(folder: Path) -> DetectionCard:
    """Read ``card.yaml`` of a model's folder.

    Raises
    ------
    SpecError
        File, line, path and what is wrong.
    """
    return load_card_as(DetectionCard, folder)
