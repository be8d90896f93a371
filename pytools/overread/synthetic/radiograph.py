"""Pelvis radiographs of people who do not exist, with the state of each hip known.

Parallel rays through bones (`overread.synthetic.hip_shape`), soft tissue, gas and metal; Beer-Lambert, scatter, quantum
noise, and what a workstation does to the logarithm. A made-up radiograph teaches handling, not medicine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from overread.synthetic.hip_conditions import (
    CLASSES,
    Condition,
    Hip,
    HipClass,
    draw_condition,
    hip_attenuation,
    make_hip,
    moved,
    project,
)
from overread.synthetic.hip_shape import SIDES, Bone, Side, Skeleton, make_skeleton
from overread.synthetic.projection import Film, mesh_thickness

Floats = NDArray[np.float64]
Projection = Literal["pelvis", "hip", "lateral"]

_SOFT: Final = 0.0195
"""Attenuation of soft tissue per mm; bone's is what it adds to that."""
_CORTICAL, _TRABECULAR = 0.034, 0.0085
_FIELD_MM: Final[Mapping[Projection, tuple[float, float]]] = {
    "pelvis": (345.0, 425.0),
    "hip": (290.0, 235.0),
    "lateral": (290.0, 235.0),
}
_LETTERS: Final = {
    "R": ("1110", "1001", "1001", "1110", "1010", "1001", "1001"),
    "L": ("1000", "1000", "1000", "1000", "1000", "1000", "1111"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """Somebody whose pelvis is X-rayed.

    Parameters
    ----------
    skeleton
        Bones.
    hips
        By side.
    width_mm, depth_mm
        Of the body at the hips.
    density
        Of spongy bone.
    seed
        Everything else.
    """

    skeleton: Skeleton
    hips: Mapping[Side, Hip]
    width_mm: float
    depth_mm: float
    density: float
    seed: int

    @property
    def truth(self) -> dict[Side, HipClass]:
        """Class of each side."""
        return {side: hip.condition.name for side, hip in self.hips.items()}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """How a radiograph is taken.

    Parameters
    ----------
    projection
        The whole pelvis from the front, one hip from the front, or one hip from the side.
    side
        Of the one hip.
    spacing_mm
        Of the detector's pixels.
    seed
        Positioning, exposure and noise.
    """

    projection: Projection
    side: Side | None = None
    spacing_mm: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Radiograph:
    """A radiograph as a workstation shows it.

    Parameters
    ----------
    values
        (rows, columns), 0 (air) to 1 (bone and metal); the patient's right is on the left.
    boxes
        Left, top, right, bottom of each hip that is seen, in pixels.
    heads
        (x, y) of the middle of its head, likewise.
    truth
        Class of each side that is seen.
    spacing_mm
        Distance of pixels.
    """

    values: NDArray[np.float32]
    boxes: Mapping[Side, tuple[float, float, float, float]]
    heads: Mapping[Side, tuple[float, float]]
    truth: Mapping[Side, HipClass]
    spacing_mm: float


def make_person(seed: int, conditions: Mapping[Side, Condition] | None = None) -> Person:
    """Return somebody; what is not given of the hips is drawn.

    Parameters
    ----------
    seed
        The same seed, the same person.
    conditions
        By side.
    """
    rng = np.random.default_rng(seed)
    density = float(rng.uniform(0.45, 1.25))
    skeleton = make_skeleton(rng, cortex=float(rng.uniform(0.65, 1.2)))
    hips: dict[Side, Hip] = {}
    for side in SIDES:
        drawn = draw_condition(rng, CLASSES[int(rng.choice(3, p=(0.40, 0.36, 0.24)))])
        condition = (conditions or {}).get(side, drawn)
        femur = skeleton.femora[side]
        sign = 1.0 if side == "left" else -1.0
        leg = Rotation.from_euler("yz", (sign * rng.uniform(-3.0, 9.0), -sign * rng.uniform(-12.0, 24.0)), degrees=True)
        slip = np.array((sign * rng.uniform(-1.0, 1.5), 0.0, rng.uniform(-1.0, 1.0)))
        hips[side] = make_hip(moved(femur, leg, femur.head, slip), condition)
    return Person(
        skeleton=skeleton,
        hips=hips,
        width_mm=float(rng.uniform(330.0, 440.0)),
        depth_mm=float(rng.uniform(170.0, 290.0)),
        density=density,
        seed=seed,
    )


def take(person: Person, shot: Shot) -> Radiograph:
    """Return a radiograph of a person."""
    rng = np.random.default_rng((person.seed, shot.seed, 7))
    view, film = _positioned(person, shot, rng)
    texture = 1.0 + 0.24 * _noise(film, rng, (0.7, 2.5)) + 0.16 * _noise(film, rng, (4.0, 15.0))
    bone = (
        _pelvis(person.skeleton.pelvis, view, film)
        * np.clip(0.7 + 0.3 * texture, 0.3, 2.0)
        * (0.6 + 0.4 * person.density)
    )
    bone += _spine(person, view, film)
    for side in SIDES:
        bone += hip_attenuation(
            person.hips[side], view, film, texture=np.clip(texture, 0.1, 2.5), density=person.density
        )
    soft = _soft_tissue(person, shot, view, film, rng)
    values = _exposed(bone + _SOFT * soft, film, rng)
    boxes, heads = {}, {}
    for side in SIDES:
        head, box = _place(person.hips[side], view, film)
        if 0 <= head[0] < film.columns and 0 <= head[1] < film.rows and _mostly_in(box, film):
            boxes[side], heads[side] = box, head
    values = _marked(_collimated(values, film, rng, heads), film, rng, shot.side)
    return Radiograph(
        values=values.astype(np.float32),
        boxes=boxes,
        heads=heads,
        truth={side: person.hips[side].condition.name for side in boxes},
        spacing_mm=shot.spacing_mm,
    )


def _positioned(person: Person, shot: Shot, rng: np.random.Generator) -> tuple[Rotation, Film]:
    turn, tilt, roll = rng.uniform(-5.0, 5.0), rng.uniform(-9.0, 9.0), rng.uniform(-4.0, 4.0)
    if shot.projection == "lateral":
        turn += (1.0 if shot.side == "left" else -1.0) * rng.uniform(62.0, 92.0)
    view = Rotation.from_euler("zxy", (turn, tilt, roll), degrees=True)
    height, width = _FIELD_MM[shot.projection]
    scale = rng.uniform(0.92, 1.06)
    rows, columns = (round(extent * scale / shot.spacing_mm) for extent in (height, width))
    heads = [project(person.skeleton.femora[side].head, view) for side in SIDES]
    if shot.side is None:
        u, v = np.add(np.mean(heads, axis=0)[:2], (rng.uniform(-12, 12), rng.uniform(-35, 5)))
    else:
        u, v = heads[SIDES.index(shot.side)][:2]
        u += (1 if shot.side == "left" else -1) * rng.uniform(-5, 20)
        v += rng.uniform(15, 45)
    left, top = u - columns * shot.spacing_mm / 2, v - rows * shot.spacing_mm / 2
    return view, Film(rows=rows, columns=columns, spacing_mm=shot.spacing_mm, left_mm=left, top_mm=top)


def _pelvis(bone: Bone, view: Rotation, film: Film) -> Floats:
    outer = mesh_thickness(project(bone.outer, view), bone.faces, film)
    inner = np.minimum(mesh_thickness(project(bone.inner, view), bone.faces, film), outer)
    return np.asarray(_CORTICAL * (outer - inner) + _TRABECULAR * inner)


def _spine(person: Person, view: Rotation, film: Film) -> Floats:
    """Return the attenuation of the last two lumbar vertebrae, whose bodies stand on the sacrum."""
    points = person.skeleton.pelvis.outer
    top = points[np.abs(points[:, 0]) < 22.0]
    base = top[np.argmax(top[:, 2])] * (0.0, 1.0, 1.0)
    whole = np.zeros((film.rows, film.columns))
    # only the part of the film where they are
    low = project(base, view)[1] + 30.0
    film = replace(film, rows=int(np.clip((low - film.top_mm) / film.spacing_mm, 0, film.rows)))
    if not film.rows:
        return whole
    total = np.zeros((film.rows, film.columns))
    for level in range(3):
        centre = project(base + np.array((0.0, -14.0 - 4 * level, 22.0 + 36.0 * level)), view)
        du, dv = film.u - centre[0], film.v - centre[1]
        half_width, half_height = 24.0 - 3.5 * np.cos(dv / 14.0 * np.pi / 2), 13.0 + 1.5 * (du / 24.0) ** 2
        edge = np.minimum(half_width - np.abs(du), half_height - np.abs(dv))
        body = 1.0 / (1.0 + np.exp(-edge / 0.8))
        rim = np.exp(-((edge / 1.4) ** 2))
        total += body * 30.0 * _TRABECULAR * person.density + 5.0 * rim * _CORTICAL
        for sign in (-1.0, 1.0):
            pedicle = np.hypot((du - sign * 13.0) / 4.5, (dv + 3.0) / 6.5)
            total += 4.0 * _CORTICAL * np.exp(-(((pedicle - 1.0) / 0.25) ** 2))
            process = np.hypot((du - sign * 36.0) / 13.0, (dv + 2.0 - 0.1 * np.abs(du)) / 4.0)
            total += 3.0 * _CORTICAL / (1.0 + np.exp(np.minimum((process - 1.0) * 8.0, 50.0)))
        spinous = np.hypot(du / 4.0, (dv - 10.0) / 9.0)
        total += 6.0 * _CORTICAL / (1.0 + np.exp(np.minimum((spinous - 1.0) * 8.0, 50.0)))
    whole[: film.rows] = total * 0.95
    return whole


def _soft_tissue(person: Person, shot: Shot, view: Rotation, film: Film, rng: np.random.Generator) -> Floats:
    """Return the thickness of soft tissue, mm: trunk, thighs, skin folds, less the bowel's gas."""
    body = np.random.default_rng((person.seed, 3))
    width, depth = person.width_mm, person.depth_mm
    if shot.projection == "lateral":
        width, depth = 0.25 * width + 0.75 * depth, 0.35 * depth + 0.65 * width
    heads = np.array([project(person.skeleton.femora[side].head, view) for side in SIDES])
    middle, level = heads.mean(axis=0)[:2]
    du, dv = film.u - middle, film.v - level
    half = width / 2.0 * (1.0 - 0.10 * np.clip(-dv / 150.0, -0.3, 1.0))
    trunk = depth * np.sqrt(np.maximum(1.0 - (du / half) ** 2, 0.0))
    legs = np.zeros((film.rows, film.columns))
    spread = body.uniform(0.235, 0.26)
    for sign in (-1.0, 1.0):
        place, thigh = sign * spread * width + 0.06 * sign * dv * body.uniform(-0.5, 1.0), 0.245 * width
        legs = np.maximum(legs, 0.8 * depth * np.sqrt(np.maximum(1.0 - ((du - place) / thigh) ** 2, 0.0)))
    crotch = body.uniform(52.0, 78.0)
    below = 1.0 / (1.0 + np.exp(-(dv - crotch - 12 * np.cos(du / 30.0)) / 7.0))
    tissue = trunk * (1.0 - below) + legs * below
    tissue *= 1.0 + 0.05 * _noise(film, rng, (18.0, 60.0)) + 0.012 * _noise(film, rng, (3.0, 12.0))
    if body.uniform() < 0.45:  # an apron of fat, or the folds of the groins
        edge = dv - body.uniform(-45.0, 25.0) - 30.0 * (1.0 - (du / half) ** 2) - 5.0 * np.sin(du / 40.0)
        tissue += body.uniform(6.0, 26.0) / (1.0 + np.exp(np.minimum(edge / body.uniform(0.6, 3.0), 50.0)))
    for sign in (-1.0, 1.0):
        if body.uniform() < 0.35:  # a groin's fold runs over the neck, as a fracture may
            slope = body.uniform(0.3, 1.1)
            edge = dv - body.uniform(0.0, 45.0) + sign * slope * (du - sign * 85.0)
            tissue += body.uniform(2.0, 9.0) / (1.0 + np.exp(np.minimum(edge / body.uniform(0.4, 2.0), 50.0)))
    gas = _noise(film, rng, (9.0, 30.0)) + 0.6 * _noise(film, rng, (4.0, 12.0))
    where = np.exp(-((du / 85.0) ** 2) - ((dv + 75.0) / 60.0) ** 2)
    tissue -= np.clip((gas - body.uniform(0.3, 1.2)) * 30.0, 0.0, 32.0) * where
    return np.asarray(np.maximum(tissue, 0.0))


def _exposed(attenuation: Floats, film: Film, rng: np.random.Generator) -> Floats:
    """Return what the detector and the workstation make of the attenuation, 0 to 1."""
    mm = 1.0 / film.spacing_mm
    beam = np.exp(-np.minimum(attenuation, 14.0))
    scattered = beam + rng.uniform(0.08, 0.35) * _smooth(beam, 30.0 * mm) + 2e-4
    photons = rng.uniform(0.6, 5.0) * 1e5 * film.spacing_mm**2
    counts = np.maximum(rng.poisson(np.minimum(scattered * photons, 1e8)), 0.5) / photons
    counts = gaussian_filter(counts, rng.uniform(0.12, 0.40) * mm)
    log = -np.log(np.maximum(counts, 1e-6))
    coarse, fine = _smooth(log, 22.0 * mm), gaussian_filter(log, 2.0 * mm)
    shown = log - rng.uniform(0.25, 0.55) * coarse + rng.uniform(0.2, 0.9) * (log - fine)
    body = log > 1.0
    inside = shown[body] if body.sum() > shown.size // 20 else shown.ravel()
    low, high = np.percentile(inside, (rng.uniform(0.5, 6.0), rng.uniform(99.0, 99.8)))
    scaled = np.clip((shown - low) / max(high - low, 1e-6) * rng.uniform(0.82, 0.97) + 0.03, 0.0, 1.0)
    return np.asarray(scaled ** rng.uniform(0.8, 1.25))


def _smooth(values: Floats, sigma: float) -> Floats:
    """Return a Gaussian's blur of many pixels, from blocks of pixels: the same to the eye, and quick."""
    block = max(1, int(sigma / 4.0))
    rows, columns = (-(-n // block) for n in values.shape)
    padded = np.pad(values, ((0, rows * block - values.shape[0]), (0, columns * block - values.shape[1])), mode="edge")
    small = gaussian_filter(
        padded.reshape(rows, block, columns, block).mean(axis=(1, 3)), sigma / block, mode="nearest"
    )
    return np.asarray(_enlarged(small, values.shape, 1.0 / block, (1.0 - block) / (2.0 * block)))


def _enlarged(small: Floats, shape: tuple[int, ...], ratio: float, first: float) -> Floats:
    """Return an array in `shape` pixels, each `ratio` of a small one, from the place `first` on (linear)."""
    places = [np.clip(first + ratio * np.arange(n), 0.0, m - 1.001) for n, m in zip(shape, small.shape, strict=True)]
    (i, j) = (p.astype(int) for p in places)
    fy, fx = (places[0] - i)[:, None], (places[1] - j)[None, :]
    below, right = np.minimum(i + 1, small.shape[0] - 1), np.minimum(j + 1, small.shape[1] - 1)
    rows = small[i] * (1.0 - fy) + small[below] * fy
    return np.asarray(rows[:, j] * (1.0 - fx) + rows[:, right] * fx)


def _noise(film: Film, rng: np.random.Generator, sigmas_mm: tuple[float, float]) -> Floats:
    """Return noise between two sizes, standard deviation 1, the same whatever the pixels' size."""
    small, large = sigmas_mm
    step = max(film.spacing_mm, small / 1.6)
    rows, columns = (int(np.ceil(n * film.spacing_mm / step)) + 2 for n in (film.rows, film.columns))
    white = rng.standard_normal((rows, columns))
    band = gaussian_filter(white, small / step) - gaussian_filter(white, large / step)
    band /= max(float(band.std()), 1e-9)
    if step == film.spacing_mm:
        return np.asarray(band[: film.rows, : film.columns])
    return _enlarged(band, (film.rows, film.columns), film.spacing_mm / step, 0.0)


def _place(hip: Hip, view: Rotation, film: Film) -> tuple[tuple[float, float], tuple[float, float, float, float]]:
    """Return the head's middle, and the box around the femur's upper end, in pixels."""
    reach = 130.0 if hip.condition.kind == "subtrochanteric" else 78.0
    found = []
    for femur in (hip.proximal, hip.distal):
        if femur is not None:
            points = femur.bone.outer
            upper = (points - femur.head) @ femur.down < reach
            found.append(project(points[upper], view)[:, :2])
    points = np.concatenate(found)
    (left, top), (right, bottom) = points.min(axis=0) - 4.0, points.max(axis=0) + 4.0
    x0, y0 = film.pixel(left, top)
    x1, y1 = film.pixel(right, bottom)
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, film.columns - 1.0), min(y1, film.rows - 1.0))
    head = project(hip.proximal.head, view)
    return film.pixel(float(head[0]), float(head[1])), box


def _mostly_in(box: tuple[float, float, float, float], film: Film) -> bool:
    return (box[2] - box[0]) * film.spacing_mm > 60.0 and (box[3] - box[1]) * film.spacing_mm > 80.0


def _collimated(
    values: Floats, film: Film, rng: np.random.Generator, heads: Mapping[Side, tuple[float, float]]
) -> Floats:
    """Return the image with the shutters' shadow at its edges, which never reaches a hip."""
    if rng.uniform() < 0.5:
        return values
    room = 65.0 / film.spacing_mm
    xs, ys = [x for x, _ in heads.values()], [y for _, y in heads.values()]
    shade = 0.02 if rng.uniform() < 0.7 else 0.98
    left, right, top, bottom = (round(rng.uniform(0.0, 30.0) / film.spacing_mm) for _ in range(4))
    if xs:
        left, right = min(left, int(min(xs) - room)), min(right, int(film.columns - max(xs) - room))
        top, bottom = min(top, int(min(ys) - room)), min(bottom, int(film.rows - max(ys) - 1.9 * room))
    found = np.full_like(values, shade)
    rows = slice(max(top, 0), film.rows - max(bottom, 0))
    columns = slice(max(left, 0), film.columns - max(right, 0))
    found[rows, columns] = values[rows, columns]
    return found


def _marked(values: Floats, film: Film, rng: np.random.Generator, side: Side | None) -> Floats:
    """Return the image with a leaden letter beside the patient."""
    if rng.uniform() < 0.15:
        return values
    letter = "L" if (side or ("left" if rng.uniform() < 0.5 else "right")) == "left" else "R"
    size = max(1, round(rng.uniform(1.6, 2.6) / film.spacing_mm))
    bits = np.kron(np.array([[c == "1" for c in row] for row in _LETTERS[letter]]), np.ones((size, size), bool))
    # The patient's left is on the right.
    room = film.columns - bits.shape[1]
    x = int(room * (rng.uniform(0.90, 0.97) if letter == "L" else rng.uniform(0.03, 0.10)))
    y = int((film.rows - bits.shape[0]) * rng.uniform(0.05, 0.9))
    found = values.copy()
    part = found[y : y + bits.shape[0], x : x + bits.shape[1]]
    part[bits] = np.maximum(part[bits], 0.97)
    return found
