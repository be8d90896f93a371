"""What an image's card says of its container: the section ``container`` of ``model/card.yaml``, or of ``card.yaml``.

A model's card has it beside network and preprocessing; an image without a model has a card with little else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from overread.errors import SpecError
from overread.study.fields import Form, Number, Spec, Whole, YesNo
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml

CARDS = ("model/card.yaml", "card.yaml")
Word = Annotated[str, Form(r"[a-z][a-z0-9-]{0,62}", "write a lower-case word with hyphens")]
Reference = Annotated[str, Form(r"[^:\s]+:[^:\s]+:[^:\s]+", "write image:version:command")]
Output = Literal[
    "assessor", "scan", "result", "capture", "pdf", "seg", "sr", "preview", "annotated", "difference", "picture",
    "collection",
]  # fmt: skip


class Start(Spec):
    """One way to start the image: the wrapper's name and what users read of it."""

    name: Word
    label: str = Field(min_length=1)
    description: str = Field(min_length=1)


class Starts(Spec):
    """From which objects the image starts."""

    session: Start | None = None
    scan: Start | None = None
    # a ROI collection; the image gets the exam at /session
    collection: Start | None = None


class Memory(Spec):
    """Memory in MB, as XNAT counts it (2^20 bytes)."""

    reserve: Whole | None = Field(None, ge=6)
    limit: Whole = Field(ge=6)


class Gpu(Spec):
    """GPUs: for Docker by the runtime, for Swarm and Kubernetes as a resource that is reserved."""

    count: Whole = Field(1, ge=1, le=16)
    runtime: str = "nvidia"


class Setting(Spec):
    """A value that a project or a user may set; the image reads it from a variable."""

    name: Word
    label: str = Field(min_length=1)
    description: str = Field(min_length=1)
    type: Literal["string", "number", "boolean"] = "string"
    default: str = ""
    variable: Annotated[str, Form(r"[A-Z][A-Z0-9_]*", "write capitals and _")]


class ContainerSpec(Spec):
    """How the image is run by XNAT.

    Notes
    -----
    ``kind: run`` is started from an object; ``setup`` fills a run's input and ``wrapup`` turns its output into what is
    stored: both see ``/input`` and ``/output`` only.
    """

    kind: Literal["run", "setup", "wrapup"] = "run"
    image: Annotated[str, Form(r"[a-z0-9][a-z0-9._/-]*", "write a name without tag: the tag is the card's version")]
    label: str = Field(min_length=1)
    description: str = Field(min_length=1)
    run: str = Field(min_length=1, description="Command line.")
    starts_from: Starts = Starts()
    project_files: YesNo = Field(default=False, description="The image gets the exam's project at /project.")
    series_rules: YesNo = Field(default=False, description="The image chooses series by the study's rules.")
    outputs: dict[Output, str] = Field(default_factory=dict, description="What it writes, each with a sentence.")
    required: tuple[Output, ...] = Field((), description="Outputs without which a run has failed.")
    collection_by: Reference | None = Field(None, description="Wrap-up command that makes the collection.")
    input_by: Reference | None = Field(None, description="Setup command that prepares the input.")
    settings: tuple[Setting, ...] = ()
    memory_mb: Memory | None = None
    cpus: Number | None = Field(None, gt=0)
    shared_memory_mb: Whole | None = Field(None, ge=1)
    gpu: Gpu | None = None
    network: Annotated[str, Form(r"[a-z0-9][a-z0-9_.-]*", "write none, or the name of a network")] | None = None


class ImageCard(Spec):
    """As much of a card as a command is made of."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Word
    version: str = Field(min_length=1, max_length=64)
    container: ContainerSpec


def read_card(folder: Path) -> ImageCard:
    """Read the card of an image's folder.

    Raises
    ------
    SpecError
        There is none, or it is wrong; with file, line and path.
    """
    path = next((folder / name for name in CARDS if (folder / name).is_file()), None)
    if path is None:
        raise SpecError(f"has no card; add {' or '.join(CARDS)} with a section 'container'", source=str(folder))
    try:
        document = parse_yaml(path.read_text("utf-8"), source=str(path))
        return ImageCard.model_validate(document.value)
    except ValidationError as error:
        first, *others = problems_of(error, model=ImageCard, source=str(path), lines=document.lines)
        raise first.error(others=len(others)) from error
    except (OSError, UnicodeDecodeError):
        raise SpecError("can't be read; save it as UTF-8", source=str(path)) from None
