"""Radiographs that show no hip from the front: knees, chests, hands, skulls, test patterns, blank plates."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from overread.synthetic.hip_conditions import project
from overread.synthetic.hip_shape import make_skeleton
from overread.synthetic.projection import Film, ball_thickness, mesh_thickness, rod_thickness

Floats = NDArray[np.float64]

KINDS: Final = ("knee", "chest", "hand", "skull", "pattern", "blank")
_CORTICAL, _SPONGY, _SOFT = 0.034, 0.008, 0.0195


def other_radiograph(seed: int, *, kind: str | None = None, spacing_mm: float = 1.0) -> NDArray[np.float32]:
    """Return a radiograph of something else, (rows, columns), 0 to 1."""
    rng = np.random.default_rng((seed, 11))
    kind = kind or KINDS[int(rng.integers(len(KINDS)))]
    rows, columns = (round(rng.uniform(180.0, 430.0) / spacing_mm) for _ in range(2))
    film = Film(
        rows=rows,
        columns=columns,
        spacing_mm=spacing_mm,
        left_mm=-columns * spacing_mm / 2,
        top_mm=-rows * spacing_mm / 2,
    )
    shade = {"knee": _knee, "chest": _chest, "hand": _hand, "skull": _skull, "pattern": _pattern, "blank": _blank}
    attenuation = shade[kind](film, rng)
    beam = np.exp(-attenuation) + 0.01
    photons = 10 ** rng.uniform(3.5, 5.5)
    log = -np.log(np.maximum(rng.poisson(beam * photons), 0.5) / photons)
    log = log - rng.uniform(0.0, 0.5) * gaussian_filter(log, 22.0 / spacing_mm)
    low, high = np.percentile(log, (rng.uniform(0.5, 8.0), rng.uniform(99.0, 99.8)))
    return np.asarray(
        np.clip((log - low) / max(high - low, 1e-6), 0.0, 1.0) ** rng.uniform(0.8, 1.25), dtype=np.float32
    )


def _knee(film: Film, rng: np.random.Generator) -> Floats:
    femur = make_skeleton(rng).femora["left" if rng.uniform() < 0.5 else "right"]
    points, faces = femur.bone.outer, femur.bone.faces
    view = Rotation.from_euler("zy", (rng.uniform(-180.0, 180.0), rng.uniform(-8.0, 8.0)), degrees=True)
    height = points[:, 2].min() + rng.uniform(0.0, 40.0)
    centre = points[points[:, 2] < height + 60.0].mean(axis=0)
    total = np.zeros((film.rows, film.columns))
    for sign in (1.0, -1.0):  # the tibia's head is not unlike the femur's foot upside down
        turned = (points - centre) * (1.0, 1.0, sign) - np.array((0.0, 0.0, 0.0 if sign > 0 else 66.0))
        inner = (femur.bone.inner - centre) * (1.0, 1.0, sign) - np.array((0.0, 0.0, 0.0 if sign > 0 else 66.0))
        outer_mm = mesh_thickness(project(turned, view), faces, film)
        inner_mm = np.minimum(mesh_thickness(project(inner, view), faces, film), outer_mm)
        total += _CORTICAL * (outer_mm - inner_mm) + _SPONGY * inner_mm
    return total + _SOFT * _limb(film, rng.uniform(55.0, 90.0))


def _limb(film: Film, radius: float) -> Floats:
    across = film.u / radius
    return np.broadcast_to(2.0 * radius * np.sqrt(np.maximum(1.0 - across**2, 0.0)), (film.rows, film.columns)).copy()


def _chest(film: Film, rng: np.random.Generator) -> Floats:
    body = 200.0 * np.sqrt(np.maximum(1.0 - (film.u / rng.uniform(150.0, 190.0)) ** 2, 0.0)) + 0.0 * film.v
    total = _SOFT * body
    for sign in (-1.0, 1.0):
        lung = np.hypot((film.u - sign * 72.0) / 58.0, (film.v + 5.0) / 125.0)
        total -= _SOFT * 0.75 * body / (1.0 + np.exp(np.minimum((lung - 1.0) * 18.0, 50.0)))
        for level in np.arange(-120.0, 130.0, rng.uniform(20.0, 27.0)):
            path = [np.array((sign * x, level + 0.004 * (x - 20.0) ** 2, 0.0)) for x in (18.0, 55.0, 95.0, 125.0)]
            for start, end in pairwise(path):
                total += _CORTICAL * 0.25 * rod_thickness(start, end, 6.0, film)
    for level in np.arange(-170.0, 180.0, 24.0):
        total += 0.006 * ball_thickness(np.array((0.0, level, 0.0)), 14.0, film)
    heart = np.hypot((film.u - 25.0) / 52.0, (film.v - 45.0) / 60.0)
    return total + _SOFT * 60.0 / (1.0 + np.exp(np.minimum((heart - 1.0) * 12.0, 50.0)))


def _hand(film: Film, rng: np.random.Generator) -> Floats:
    total = np.zeros((film.rows, film.columns))
    soft = np.zeros_like(total)
    for angle in np.radians(rng.uniform(-6, 6) + np.array((-38.0, -14.0, -2.0, 10.0, 22.0))):
        direction = np.array((np.sin(angle), -np.cos(angle), 0.0))
        start = 22.0 * direction + np.array((0.0, 40.0, 0.0))
        for length in (62.0, 42.0, 27.0, 18.0):
            end = start + length * direction
            total += _CORTICAL * 0.4 * rod_thickness(start, end, 4.5, film)
            soft = np.maximum(soft, rod_thickness(start, end + 4 * direction, 11.0, film))
            start = end + 3.0 * direction
    for _ in range(8):
        total += 0.012 * ball_thickness(rng.uniform((-18, 38, 0), (18, 60, 1)), 8.0, film)
    return total + _SOFT * soft


def _skull(film: Film, rng: np.random.Generator) -> Floats:
    centre = rng.uniform((-20, -30, 0), (20, 30, 1))
    outer = ball_thickness(centre, 88.0, film)
    inner = ball_thickness(centre, 82.0, film)
    total = _CORTICAL * 0.7 * (outer - inner) + _SOFT * outer
    for sign in (-1.0, 1.0):
        total -= 0.008 * ball_thickness(np.add(centre, (sign * 32.0, 25.0, 0.0)), 17.0, film)
    return np.maximum(total + 0.004 * ball_thickness(np.add(centre, (0.0, 75.0, 0.0)), 45.0, film), 0.0)


def _pattern(film: Film, rng: np.random.Generator) -> Floats:
    total = np.zeros((film.rows, film.columns))
    for _ in range(int(rng.integers(2, 14))):
        start, end = (rng.uniform((-180, -180, 0), (180, 180, 60)) for _ in range(2))
        total += rng.uniform(0.002, 0.05) * rod_thickness(start, end, rng.uniform(2.0, 40.0), film)
    return total + rng.uniform(0.0, 2.0)


def _blank(film: Film, rng: np.random.Generator) -> Floats:
    rough = gaussian_filter(rng.standard_normal((film.rows, film.columns)), rng.uniform(2.0, 40.0) / film.spacing_mm)
    return np.asarray(np.abs(rough / max(float(rough.std()), 1e-9)) * rng.uniform(0.0, 1.5) + rng.uniform(0.0, 2.0))
