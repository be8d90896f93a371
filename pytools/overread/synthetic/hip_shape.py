"""Pelvis and femora of people who do not exist: instances of a statistical shape model.

The model (``hip_ssm.npz``, see ``hip_ssm.NOTICE``) has one pelvis and the left femur. Points are the patient's (LPS,
mm): x to the left, y to the back, z to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal["right", "left"]
SIDES: Final[tuple[Side, Side]] = ("right", "left")
Floats = NDArray[np.float64]

_MODES: Final = 12
_HEAD_REACH_MM: Final = 30.0
_HEAD_LOWEST_MM: Final = 1188.0
_HEAD_MOST_LATERAL_MM: Final = 118.0
_SHAFT_MM: Final = ((880.0, 1000.0), (1085.0, 1135.0))
"""Heights between which sections of the mean femur lie that tell its shaft's axis."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bone:
    """A closed surface, and the one beneath its cortex.

    Parameters
    ----------
    outer, inner
        (points, 3), mm.
    faces
        (triangles, 3).
    """

    outer: Floats
    inner: Floats
    faces: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Femur:
    """A femur with the points that surgeons steer by.

    Parameters
    ----------
    bone
        Surface.
    head
        Centre of the head.
    head_radius_mm
        Its radius.
    axis_top
        Point of the shaft's axis at the height of the head's centre.
    down
        Direction of the shaft's axis, towards the knee.
    lateral
        Direction away from the body's middle, at right angles to `down`.
    """

    bone: Bone
    head: Floats
    head_radius_mm: float
    axis_top: Floats
    down: Floats
    lateral: Floats

    @property
    def neck_base(self) -> Floats:
        """Where the neck's axis meets the shaft's."""
        return np.asarray(self.axis_top + 32.0 * self.down)


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton:
    """The bones of a pelvis radiograph."""

    pelvis: Bone
    femora: Mapping[Side, Femur]


@cache
def _model() -> dict[str, NDArray[np.float64]]:
    path = resources.files("overread.synthetic").joinpath("hip_ssm.npz")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        return {name: np.asarray(found[name], dtype=np.float64) for name in found.files}


def make_skeleton(rng: np.random.Generator, *, variety: float = 1.0, cortex: float = 1.0) -> Skeleton:
    """Return the skeleton of somebody.

    Parameters
    ----------
    rng
        Source of chance.
    variety
        How much people differ: standard deviations of the model's modes.
    cortex
        Thickness of cortical bone, 1 for a healthy adult's.
    """
    model = _model()
    size = 1.0 + 0.05 * variety * float(np.clip(rng.standard_normal(), -2, 2))
    weights = 0.7 * variety * np.clip(rng.standard_normal((2, _MODES)), -2.0, 2.0)
    pelvis = model["pelvis_mean"] + np.tensordot(weights[0], model["pelvis_modes"][:_MODES], axes=1)
    femur = model["femur_mean"] + np.tensordot(weights[1], model["femur_modes"][:_MODES], axes=1)
    middle = float((pelvis[:, 0].min() + pelvis[:, 0].max()) / 2.0)
    pelvis_faces, femur_faces = (model[name].astype(np.int32) for name in ("pelvis_f", "femur_f"))
    femora: dict[Side, Femur] = {}
    for side in SIDES:
        points, sign = femur.copy(), 1.0
        # the socket moved with the pelvis' shape, and the femur was made for the mean
        points += _socket_shift(pelvis, middle, side)
        if side == "right":
            points[:, 0] = 2.0 * middle - points[:, 0]
            sign = -1.0
        faces = femur_faces if side == "left" else femur_faces[:, ::-1]
        origin = np.array((middle, 0.0, 1200.0))
        femora[side] = _with_landmarks((points - origin) * size, faces, sign=sign, cortex=cortex)
    origin = np.array((middle, 0.0, 1200.0))
    placed = (pelvis - origin) * size
    return Skeleton(
        pelvis=_bone(placed, pelvis_faces, np.full(len(placed), 1.3 * cortex)),
        femora=femora,
    )


def _socket_shift(pelvis: Floats, middle: float, side: Side) -> Floats:
    """Return by how much the acetabulum of a side lies elsewhere than in the mean, seen as on the left."""
    mean = _model()["pelvis_mean"]
    head, radius = _mean_head()
    mean_middle = float((mean[:, 0].min() + mean[:, 0].max()) / 2.0)
    target = head.copy()
    if side == "right":
        target[0] = 2.0 * mean_middle - head[0]
    near = np.linalg.norm(mean - target, axis=1) < radius + 9.0
    shift = (pelvis[near] - mean[near]).mean(axis=0)
    if side == "right":
        shift = shift + 0.0
        shift[0] = 2.0 * (middle - mean_middle) - shift[0]
    return np.asarray(shift)


@cache
def _head_points() -> NDArray[np.bool_]:
    femur = _model()["femur_mean"]
    rough = (femur[:, 2] > _HEAD_LOWEST_MM) & (femur[:, 0] < _HEAD_MOST_LATERAL_MM)
    centre, radius = _sphere(femur[rough])
    distance = np.linalg.norm(femur - centre, axis=1)
    return np.asarray((np.abs(distance - radius) < 2.0) & (distance < _HEAD_REACH_MM))


@cache
def _mean_head() -> tuple[Floats, float]:
    return _sphere(_model()["femur_mean"][_head_points()])


def _sphere(points: Floats) -> tuple[Floats, float]:
    """Return centre and radius of the sphere that lies nearest to the points."""
    matrix = np.c_[2.0 * points, np.ones(len(points))]
    x, *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
    return x[:3], float(np.sqrt(x[3] + x[:3] @ x[:3]))


def _with_landmarks(points: Floats, faces: NDArray[np.int32], *, sign: float, cortex: float) -> Femur:
    height = _model()["femur_mean"][:, 2]
    head, radius = _sphere(points[_head_points()])
    low, high = (points[(height > a) & (height < b)].mean(axis=0) for a, b in _SHAFT_MM)
    down = (low - high) / np.linalg.norm(low - high)
    axis_top = high + down * ((head[2] - high[2]) / down[2])
    lateral = np.array((sign, 0.0, 0.0))
    lateral -= (lateral @ down) * down
    # thin over head and neck, thick around the shaft
    below = np.clip((head[2] - 45.0 - points[:, 2]) / 60.0, 0.0, 1.0)
    return Femur(
        bone=_bone(points, faces, cortex * (1.0 + 5.0 * below)),
        head=head,
        head_radius_mm=radius,
        axis_top=axis_top,
        down=down,
        lateral=lateral / np.linalg.norm(lateral),
    )


def _bone(points: Floats, faces: NDArray[np.int32], cortex_mm: Floats) -> Bone:
    a, b, c = (points[faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for i in range(3):
        np.add.at(normals, faces[:, i], flat)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    outwards = 1.0 if np.einsum("ij,ij->", points - points.mean(axis=0), normals) > 0 else -1.0
    return Bone(outer=points, inner=points - outwards * cortex_mm[:, None] * normals, faces=faces)
