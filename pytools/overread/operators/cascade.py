"""Networks that run one after the other, each on voxels of its own size: the first on the whole, the next inside it.

Made for large series: what is in memory besides the series is one coarse copy of it, the box that the first network
found on finer voxels, and a label map. Results come back to the series' own grid slab by slab.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.operators.card import Axis, ModelCard, NetworkSpec, load_card_as
from overread.operators.predict import build_network, device_name, load_state
from overread.operators.resample import Matrix, patient_grid, resample
from overread.study.fields import Spec

if TYPE_CHECKING:
    import torch

Values = NDArray[np.float32]
Labels = NDArray[np.uint8]

_SLAB: Final = 24
"""Slices of the series that are worked on at once."""
_BATCH_CPU, _BATCH_GPU = 1, 8


class Window(Spec):
    """Hounsfield units that become -1 and 1; what lies beyond is cut off."""

    low: float
    high: float

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.high <= self.low:
            raise PydanticCustomError("order", "high is not above low", {"at": ("high",), "mend": "swap them"})
        return self

    def apply(self, values: Values) -> Values:
        """Return values as the network sees them."""
        middle, half = (self.high + self.low) / 2.0, (self.high - self.low) / 2.0
        return np.asarray(np.clip((values - middle) / half, -1.0, 1.0), dtype=np.float32)


class Stage(Spec):
    """One network of the cascade and how it is moved over the volume."""

    network: NetworkSpec
    spacing_mm: tuple[float, float, float]
    hu: Window
    window: tuple[int, int, int] = Field(description="Voxels that the network sees at once.")
    overlap: float = Field(
        ge=0, lt=1, description="Of neighbouring windows; where they overlap, the middle counts most."
    )
    sigma_scale: float = Field(0.125, gt=0)
    segments: tuple[str, ...] = Field(min_length=1, description="What its channels mean, behind the background's.")
    threshold: float = Field(0.5, gt=0, lt=1)
    margin_mm: float = Field(0.0, ge=0, description="Around what the stage before found; only there it looks.")
    smallest_ml: float = Field(
        0.0, ge=0, description="Pieces of all its segments together that are smaller are dropped."
    )


class Body(Spec):
    """The box around what is no air; the first network looks at nothing else."""

    above_hu: float
    margin_mm: float = Field(ge=0)


class CascadeCard(ModelCard):
    """The card of a model with several networks."""

    body: Body | None = None
    axes: tuple[Axis, Axis, Axis]
    stages: dict[str, Stage] = Field(min_length=1, description="In the order in which they run.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What one stage found.

    Parameters
    ----------
    probability
        (segments, slices, rows, columns) on the stage's own grid.
    affine
        (4, 4), index of that grid to LPS mm.
    """

    probability: Values
    affine: Matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Cascade:
    """Trained networks, ready to run.

    Parameters
    ----------
    card
        What they are and what they want.
    modules
        By stage, on their device.
    device
        ``cpu``, or ``cuda`` with the name of the GPU.
    """

    card: CascadeCard
    modules: Mapping[str, torch.nn.Module]
    device: str

    def run(self, values: Values, geometry: VolumeGeometry) -> dict[str, Found]:
        """Return what each stage found; a stage behind one that found nothing is left out.

        Parameters
        ----------
        values
            (slices, rows, columns), HU.
        geometry
            Grid of the series, in any orientation.
        """
        results: dict[str, Found] = {}
        box = self._body(values, geometry)
        for name, stage in self.card.stages.items():
            on_grid, affine = to_spacing(
                values, geometry, axes=self.card.axes, spacing_mm=stage.spacing_mm, box=box, outside=stage.hu.low
            )
            logits = self._slide(self.modules[name], stage.hu.apply(on_grid), stage)
            del on_grid
            probability = _cleaned(_probabilities(logits, stage), stage)
            results[name] = Found(probability=probability, affine=affine)
            box = _box_of(probability.max(axis=0) > stage.threshold, affine)
            if box is None:
                break
            following = list(self.card.stages.values())[len(results) :]
            if following:
                box = (box[0] - following[0].margin_mm, box[1] + following[0].margin_mm)
        return results

    def _body(self, values: Values, geometry: VolumeGeometry) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the box around the body with a rim of air, as in training: much air would change what is seen."""
        rules, first = self.card.body, next(iter(self.card.stages.values()))
        if rules is None:
            return None
        coarse, affine = to_spacing(
            values, geometry, axes=self.card.axes, spacing_mm=first.spacing_mm, outside=first.hu.low
        )
        box = _box_of(ndimage.binary_opening(coarse > rules.above_hu, iterations=2), affine)
        return None if box is None else (box[0] - rules.margin_mm, box[1] + rules.margin_mm)

    def _slide(self, module: torch.nn.Module, values: Values, stage: Stage) -> Values:
        import torch  # noqa: PLC0415 - seconds to import; the calculators never need it
        from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415

        on_gpu = self.device != "cpu"
        tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        # Half precision on a GPU: written for it, but never tried on one.
        mixed = torch.autocast("cuda", dtype=torch.float16) if on_gpu else contextlib.nullcontext()
        with torch.inference_mode(), mixed:
            logits: Any = sliding_window_inference(
                tensor,
                roi_size=stage.window,
                sw_batch_size=_BATCH_GPU if on_gpu else _BATCH_CPU,
                predictor=module,
                overlap=stage.overlap,
                mode="gaussian",
                sigma_scale=stage.sigma_scale,
                padding_mode="constant",
                cval=-1.0,
                sw_device="cuda" if on_gpu else "cpu",
                device="cpu",  # a whole volume of logits need not fit into the GPU's memory
            )
        return np.asarray(logits[0].float().numpy(), dtype=np.float32)


def load_cascade(folder: Path) -> Cascade:
    """Build the networks of a model's folder, on the GPU if there is one.

    The weights' file holds one state dict; a stage's weights begin with its name and a dot.

    Raises
    ------
    SpecError
        If the card is wrong, or does not fit the weights.
    DataError
        If the weights are not those that the card was written for.
    """
    card = load_card_as(CascadeCard, folder)
    state = load_state(folder, card)
    modules = {
        name: build_network(
            stage.network,
            {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")},
            source=folder,
        )
        for name, stage in card.stages.items()
    }
    return Cascade(card=card, modules=modules, device=device_name())


def to_spacing(
    values: Values,
    geometry: VolumeGeometry,
    *,
    axes: tuple[str, str, str],
    spacing_mm: tuple[float, float, float],
    outside: float,
    box: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> tuple[Values, Matrix]:
    """Return a series on voxels of another size along the patient's axes, and where they lie.

    Voxels of half the size and less are averaged in blocks first, slice by slice; then it is interpolated linearly.

    Parameters
    ----------
    values
        (slices, rows, columns).
    geometry
        Its grid.
    axes, spacing_mm
        As for `overread.operators.resample.patient_grid`.
    outside
        Value beyond the series.
    box
        Lowest and highest LPS corner (mm) of the part that is wanted; all if None.
    """
    affine, shape = patient_grid(geometry, axes=axes, spacing_mm=spacing_mm)
    if box is not None:
        affine, shape = _cut(affine, shape, box)
    blocks, source = _averaged(values, geometry, finest_mm=min(spacing_mm))
    on_grid = resample(blocks, source_affine=source, target_affine=affine, shape=shape, outside=outside)
    return on_grid, affine


def slabs_back(
    found: Mapping[str, Found], geometry: VolumeGeometry
) -> Iterator[tuple[tuple[slice, slice, slice], dict[str, Values]]]:
    """Yield parts of the series' grid and each stage's probabilities there, (segments, slices, rows, columns).

    Only the box around what the first stage found is gone through: outside it nothing can be found.
    """
    first = next(iter(found.values()))
    corners = _box_of(first.probability.max(axis=0) > 0.0, first.affine)
    if corners is None:
        return
    grid = np.array(np.meshgrid(*np.stack(corners, axis=1), indexing="ij")).reshape(3, -1)
    inverse = np.linalg.inv(geometry.affine_lps)
    index = inverse[:3, :3] @ grid + inverse[:3, 3:]
    start = np.clip(np.floor(index.min(axis=1)).astype(int), 0, geometry.shape)
    stop = np.clip(np.ceil(index.max(axis=1)).astype(int) + 1, 0, geometry.shape)
    for low in range(int(start[0]), int(stop[0]), _SLAB):
        high = min(low + _SLAB, int(stop[0]))
        part = (slice(low, high), slice(int(start[1]), int(stop[1])), slice(int(start[2]), int(stop[2])))
        shape = (high - low, int(stop[1] - start[1]), int(stop[2] - start[2]))
        if min(shape) <= 0:
            return
        affine = geometry.affine_lps.copy()
        affine[:3, 3] = geometry.position_mm(np.array([low, start[1], start[2]]))
        yield (
            part,
            {
                name: np.stack(
                    [
                        resample(channel, source_affine=one.affine, target_affine=affine, shape=shape, outside=0.0)
                        for channel in one.probability
                    ]
                )
                for name, one in found.items()
            },
        )


def _averaged(values: Values, geometry: VolumeGeometry, *, finest_mm: float) -> tuple[Values, Matrix]:
    source = np.linalg.norm(geometry.affine_lps[:3, :3], axis=0)
    steps = [max(1, math.floor(finest_mm / s + 1e-3)) for s in source]
    if steps == [1, 1, 1]:
        return values, geometry.affine_lps
    starts = [np.arange(0, n, step) for n, step in zip(values.shape, steps, strict=True)]
    counts = [np.diff(np.append(at, n)).astype(np.float32) for at, n in zip(starts, values.shape, strict=True)]
    out = np.empty([len(at) for at in starts], dtype=np.float32)
    in_plane = counts[1][:, None] * counts[2][None, :]
    for k, at in enumerate(starts[0]):
        block = values[at : at + steps[0]].mean(axis=0, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(block, starts[1], axis=0), starts[2], axis=1)
        out[k] = sums / in_plane
    affine = geometry.affine_lps @ np.diag([*map(float, steps), 1.0])
    affine[:3, 3] = geometry.position_mm(np.array([(step - 1) / 2 for step in steps]))
    return out, affine


def _cut(
    affine: Matrix, shape: tuple[int, int, int], box: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> tuple[Matrix, tuple[int, int, int]]:
    """Return the part of a grid along the patient's axes that a box in LPS covers."""
    inverse = np.linalg.inv(affine)
    ends = np.stack([inverse[:3, :3] @ corner + inverse[:3, 3] for corner in box])
    low = np.clip(np.floor(ends.min(axis=0)).astype(int), 0, np.asarray(shape) - 1)
    high = np.clip(np.ceil(ends.max(axis=0)).astype(int) + 1, low + 1, shape)
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    size = high - low
    return moved, (int(size[0]), int(size[1]), int(size[2]))


def _box_of(mask: NDArray[np.bool_], affine: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the lowest and the highest corner (LPS, mm) of a mask on a grid along the patient's axes."""
    boxes = ndimage.find_objects(mask.astype(np.int8))
    if not boxes:
        return None
    ends = np.array([[side.start - 1 for side in boxes[0]], [side.stop for side in boxes[0]]], dtype=np.float64)
    places = ends @ affine[:3, :3].T + affine[:3, 3]
    return places.min(axis=0), places.max(axis=0)


def _probabilities(logits: Values, stage: Stage) -> Values:
    """Return probabilities of the segments, the background's channel left out."""
    if stage.network.activation == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))), dtype=np.float32)
    raised = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray((raised / raised.sum(axis=0, keepdims=True))[1:], dtype=np.float32)


def _cleaned(probability: Values, stage: Stage) -> Values:
    """Return probabilities without the pieces that are too small, and without what lies far from those kept."""
    if not stage.smallest_ml:
        return probability
    marked = probability.sum(axis=0) > stage.threshold
    labels, count = ndimage.label(marked, np.ones((3, 3, 3)))
    voxel_ml = float(np.prod(stage.spacing_mm)) / 1000.0
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
    kept = np.flatnonzero(sizes >= stage.smallest_ml)
    near = ndimage.binary_dilation(np.isin(labels, kept[kept > 0]), np.ones((3, 3, 3), dtype=np.bool_), iterations=2)
    return np.asarray(np.where(near, probability, 0.0), dtype=np.float32)
