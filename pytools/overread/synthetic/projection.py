"""How thick things are along the rays of a radiograph: closed meshes, rods and balls, in millimetres.

Rays are parallel. A point is (u, v, depth): u to the right and v down on the image, depth along the ray, all in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TILES: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)
_BATCH: Final = 2_000_000
"""Points looked at together: bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """Where the pixels of a radiograph lie.

    Parameters
    ----------
    rows, columns
        Size in pixels.
    spacing_mm
        Distance of neighbouring pixels, in the plane of the bones.
    left_mm, top_mm
        u and v of the middle of the first pixel.
    """

    rows: int
    columns: int
    spacing_mm: float
    left_mm: float
    top_mm: float

    @property
    def u(self) -> Floats:
        """Horizontal place u of every pixel, (1, columns)."""
        return np.asarray(self.left_mm + self.spacing_mm * np.arange(self.columns), dtype=np.float64)[None, :]

    @property
    def v(self) -> Floats:
        """Vertical place v of every pixel, (rows, 1)."""
        return np.asarray(self.top_mm + self.spacing_mm * np.arange(self.rows), dtype=np.float64)[:, None]

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """Return (x, y) of a point in pixels, (0, 0) being the middle of the first one."""
        return (u - self.left_mm) / self.spacing_mm, (v - self.top_mm) / self.spacing_mm


def mesh_thickness(points: Floats, faces: NDArray[np.int32], film: Film) -> NDArray[np.float32]:
    """Return how much of each ray lies inside a closed mesh.

    Each triangle that a ray crosses adds the depth at which it does, with the sign of its side: what lies between
    entries and exits remains, however often a ray enters.

    Parameters
    ----------
    points
        (points, 3) of u, v, depth.
    faces
        (triangles, 3) of indices into `points`, all turned the same way.
    film
        Where the rays are.

    Returns
    -------
    numpy.ndarray
        (rows, columns), mm; never below zero.
    """
    at = points.copy()
    at[:, 0] = (points[:, 0] - film.left_mm) / film.spacing_mm
    at[:, 1] = (points[:, 1] - film.top_mm) / film.spacing_mm
    # Not through the edges: a ray through one would be counted with both triangles or with neither.
    at[:, :2] += (1.37e-4, 2.91e-4)
    corners = at[faces]
    low = np.ceil(corners[:, :, :2].min(axis=1)).astype(np.int64)
    high = np.floor(corners[:, :, :2].max(axis=1)).astype(np.int64)
    seen = (high >= low).all(axis=1) & (high >= 0).all(axis=1) & (low < (film.columns, film.rows)).all(axis=1)
    extent = np.where(seen[:, None], high - low + 1, 0).max(axis=1)
    total = np.zeros(film.rows * film.columns)
    smallest = 0
    for tile in _TILES:
        chosen = np.flatnonzero((extent > smallest) & (extent <= tile))
        step = max(1, _BATCH // tile**2)
        for start in range(0, len(chosen), step):
            part = chosen[start : start + step]
            _add(total, corners[part], low[part], tile, film)
        smallest = tile
    thickness = total.reshape(film.rows, film.columns)
    return np.maximum(thickness if thickness.sum() > 0 else -thickness, 0.0).astype(np.float32)


def _add(total: Floats, corners: Floats, low: NDArray[np.int64], tile: int, film: Film) -> None:
    y, x = np.mgrid[0:tile, 0:tile].reshape(2, 1, -1)
    column, row = low[:, :1] + x, low[:, 1:] + y
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (corners[:, i, :, None].transpose(1, 0, 2) for i in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = ((bx - column) * (cy - row) - (by - row) * (cx - column)) / area
        second = ((cx - column) * (ay - row) - (cy - row) * (ax - column)) / area
    third = 1.0 - first - second
    hit = (first >= 0) & (second >= 0) & (third >= 0) & (area != 0)
    hit &= (column >= 0) & (column < film.columns) & (row >= 0) & (row < film.rows)
    depth = np.sign(area) * (first * az + second * bz + third * cz)
    total += np.bincount((row * film.columns + column)[hit], weights=depth[hit], minlength=len(total))


def rod_thickness(
    start: Floats, end: Floats, radius_mm: float, film: Film, *, end_radius_mm: float | None = None
) -> Floats:
    """Return the thickness of a round rod with round ends; its radius changes evenly to `end_radius_mm`."""
    along = end[:2] - start[:2]
    length = float(np.hypot(*along))
    across_u, across_v = film.u - start[0], film.v - start[1]
    part = np.clip((across_u * along[0] + across_v * along[1]) / max(length**2, 1e-9), 0.0, 1.0)
    distance = np.hypot(across_u - part * along[0], across_v - part * along[1])
    radius = radius_mm + part * ((end_radius_mm if end_radius_mm is not None else radius_mm) - radius_mm)
    whole = float(np.linalg.norm(end - start))
    lengthened = min(whole / max(length, 1e-9), 2.5)  # seen at an angle it is thicker
    return np.asarray(2.0 * np.sqrt(np.maximum(radius**2 - distance**2, 0.0)) * lengthened)


def ball_thickness(centre: Floats, radius_mm: float, film: Film) -> Floats:
    """Return the thickness of a ball."""
    squared = (film.u - centre[0]) ** 2 + (film.v - centre[1]) ** 2
    return np.asarray(2.0 * np.sqrt(np.maximum(radius_mm**2 - squared, 0.0)))
