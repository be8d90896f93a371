"""Abdomens of people who do not exist, as CT shows them: every voxel's tissue is known.

All is drawn from formulas, on any grid: no scan of a person is behind it. Lengths are mm, coordinates the patient's
(LPS), the origin is the middle of the body at about the lower liver. The liver is parted into left and right by a
gently curved surface through the inferior vena cava and the middle hepatic vein (Cantlie's line). What is inside the
liver's surface and inside a vessel is vessel, and belongs to neither lobe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from overread.errors import DataError
from overread.synthetic.mr import ImageGrid
from overread.synthetic.vessels import Points, Tree, grow, paint

Values = NDArray[np.float32]
Tissues = NDArray[np.uint8]
Coordinates = tuple[Values, Values, Values]

LEFT, RIGHT, VESSELS = 1, 2, 3
"""Values of a label map."""


class Tissue(IntEnum):
    """What a voxel is; the liver's own begin at LIVER_LEFT."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    SPONGY_BONE = 3
    CORTICAL_BONE = 4
    LUNG = 5
    HEART = 6
    AORTA = 7
    CAVA = 8
    SPLEEN = 9
    KIDNEY_CORTEX = 10
    KIDNEY_MEDULLA = 11
    STOMACH = 12
    WALL = 13
    BOWEL = 14
    BILE = 15
    CANAL = 16
    PORTAL_TRUNK = 17
    LIVER_LEFT = 18
    LIVER_RIGHT = 19
    HEPATIC_VEIN = 20
    PORTAL_VEIN = 21
    CYST_LEFT = 22
    CYST_RIGHT = 23


_LABELS: Final = np.zeros(len(Tissue), dtype=np.uint8)
_LABELS[[Tissue.LIVER_LEFT, Tissue.CYST_LEFT]] = LEFT
_LABELS[[Tissue.LIVER_RIGHT, Tissue.CYST_RIGHT]] = RIGHT
_LABELS[[Tissue.HEPATIC_VEIN, Tissue.PORTAL_VEIN]] = VESSELS

_SMOOTH_MM: Final = 14.0
"""Over which two surfaces of the liver round off into each other."""
_INSET_MM: Final = 7.0
"""Branches end this far below the liver's surface."""
_LEAF_MM: Final = 1.8
"""Radius of the thinnest branches that are drawn: what is thinner is not called vessel."""
_TARGETS: Final = (34, 50)
"""Least and most branches of a tree."""


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random function of place: products of three sines, mean near zero."""

    frequency: NDArray[np.float32]
    phase: NDArray[np.float32]
    height: NDArray[np.float32]

    def __call__(self, x: Values, y: Values, z: Values) -> Values:
        """Return its value; the arguments are broadcast against each other."""
        total: Values | float = 0.0
        for f, p, h in zip(self.frequency, self.phase, self.height, strict=True):
            total = total + h * np.sin(f[0] * x + p[0]) * np.sin(f[1] * y + p[1]) * np.sin(f[2] * z + p[2])
        return np.asarray(total, dtype=np.float32)


def waves(rng: np.random.Generator, *, height_mm: float, length_mm: tuple[float, float], count: int = 5) -> Waves:
    """Draw a smooth function of about this height whose waves have lengths in this range."""
    length = np.exp(rng.uniform(np.log(length_mm[0]), np.log(length_mm[1]), (count, 3)))
    height = rng.normal(0.0, height_mm / np.sqrt(count) * 2.0, count)
    phase = rng.uniform(0.0, 2 * np.pi, (count, 3))
    return Waves((2 * np.pi / length).astype(np.float32), phase.astype(np.float32), height.astype(np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class Abdomen:
    """One person's abdomen; made by `draw_abdomen`.

    Parameters
    ----------
    half_mm
        Half axes of the body's outline (right to left, front to back).
    fat_mm, wall_mm
        Thickness of the fat below the skin and of the muscle below that.
    size
        Of the liver, 1 being common.
    spine_y, cava, aorta
        Where spine (y), vena cava and aorta (x, y) run.
    cantlie
        Angle (radians) between straight forward and Cantlie's line, to the patient's right; and its lean per mm of
        height.
    hilum
        Where the portal vein parts.
    liver_offset, cuts
        Moves the dome's middle; moves the visceral and the posterior surface.
    warp, bend
        Waves that deform all surfaces, and Cantlie's.
    hepatic, portal, trunk
        The veins; `trunk` is the portal vein below the liver.
    cysts
        (n, 4): middle and radius of dark spots in the liver.
    organs
        Sizes and places of the others, as drawn.
    """

    half_mm: tuple[float, float]
    fat_mm: float
    wall_mm: float
    size: float
    spine_y: float
    cava: tuple[float, float]
    aorta: tuple[float, float]
    cantlie: tuple[float, float]
    hilum: tuple[float, float, float]
    liver_offset: tuple[float, float, float]
    cuts: tuple[float, float]
    warp: tuple[Waves, Waves, Waves]
    bend: Waves
    hepatic: Tree | None
    portal: Tree | None
    trunk: Tree | None
    cysts: NDArray[np.float64]
    organs: NDArray[np.float64]

    def cavity(self, x: Values, y: Values) -> Values:
        """Return about how far a place lies outside the abdominal cavity, mm; negative inside."""
        a, b = (half - self.fat_mm - self.wall_mm for half in self.half_mm)
        return np.asarray((np.sqrt((x / a) ** 2 + (y / b) ** 2) - 1.0) * min(a, b), dtype=np.float32)

    def liver(self, x: Values, y: Values, z: Values) -> Values:
        """Return about how far a place lies outside the liver, mm; negative inside."""
        dx, dy, dz = (wave(x, y, z) for wave in self.warp)
        x, y, z = x + dx, y + dy, z + dz
        s, (ox, oy, oz) = self.size, self.liver_offset
        dome = _ellipsoid(x, y, z, (-42.0 + ox, -6.0 + oy, -12.0 + oz), (112.0 * s, 98.0 * s, 86.0 * s))
        below = 0.5 * (x + 40.0) - 0.866 * (z + 34.0 * s) - self.cuts[0]
        behind = 0.62 * (x - self.cava[0]) + 0.78 * (y - self.cava[1] + 2.0) - self.cuts[1]
        inside = self.cavity(x, y) + 3.0
        upper = _smooth_max(dome, inside, 5.0)
        return _smooth_max(upper, _smooth_max(below, behind, _SMOOTH_MM), _SMOOTH_MM)

    def left_of_cantlie(self, x: Values, y: Values, z: Values) -> Values:
        """Return how far a place lies on the left side of Cantlie's surface, mm."""
        angle, lean = self.cantlie
        plane = (x - self.cava[0]) * np.cos(angle) - (y - self.cava[1]) * np.sin(angle) + lean * z
        return np.asarray(plane + self.bend(x, y, z), dtype=np.float32)

    def tissues(self, grid: ImageGrid, *, first: int = 0, count: int | None = None) -> Tissues:
        """Return every voxel's tissue at its centre.

        Parameters
        ----------
        grid
            Any orientation.
        first, count
            Slices wanted; all if not given.
        """
        count = grid.shape[0] - first if count is None else count
        x, y, z = _coordinates(grid, first, count)
        out = np.zeros((count, *grid.shape[1:]), dtype=np.uint8)
        self._body(out, x, y, z)
        self._organs(out, x, y, z)
        self._liver(out, (x, y, z), grid, first)
        return out

    def lobes(self, grid: ImageGrid) -> Tissues:
        """Return `LEFT` or `RIGHT` for every voxel of the liver, those in its vessels too, else 0."""
        labels = labels_of(self.tissues(grid))
        left = self.left_of_cantlie(*_coordinates(grid, 0, grid.shape[0])) > 0
        return np.asarray(np.where(labels == VESSELS, np.where(left, LEFT, RIGHT), labels), dtype=np.uint8)

    def _body(self, out: Tissues, x: Values, y: Values, z: Values) -> None:
        a, b = self.half_mm
        wobble = 1.0 + 0.02 * np.sin(z / 70.0)
        rho = np.sqrt((x / (a * wobble)) ** 2 + (y / (b * wobble)) ** 2)
        depth = (1.0 - np.broadcast_to(rho, out.shape)) * min(a, b)
        flat = out
        flat[depth > 0] = Tissue.FAT
        flat[(depth > self.fat_mm) & (self.cavity(x, y) > 0)] = Tissue.MUSCLE
        ribs = (np.abs(np.mod(z + 0.30 * y - 0.14 * np.abs(x), 27.0) - 13.5) < 5.0) & (z > -75.0)
        middle = np.abs(depth - self.fat_mm - 0.55 * self.wall_mm) < 3.4
        flat[middle & ribs & (np.abs(x) > 25.0)] = Tissue.CORTICAL_BONE
        inside = np.broadcast_to(self.cavity(x, y) < 0, out.shape)
        o = self.organs
        lung = _ellipsoid(x, y, z, (-42.0, -6.0, -12.0), (107.0 * self.size, 93.0 * self.size, 84.0 * self.size)) > 0
        lung &= _ellipsoid(x, y, z, (58.0, 4.0, -18.0), (88.0, 98.0, 78.0 + 6 * o[0])) > 0
        flat[inside & lung & (z > -42.0)] = Tissue.LUNG
        flat[inside & (_ellipsoid(x, y, z, (26.0, -26.0, 98.0 + 8 * o[0]), (58.0, 50.0, 40.0)) < 0)] = Tissue.HEART
        radius = np.sqrt(x**2 + (1.15 * (y - self.spine_y)) ** 2)
        disc = np.mod(z + 9.0 * o[1], 35.0) < 7.0
        spine = np.broadcast_to(radius < 21.0, out.shape)
        flat[spine] = Tissue.SPONGY_BONE
        flat[spine & (radius > 18.6)] = Tissue.CORTICAL_BONE
        flat[spine & disc] = Tissue.WALL
        back = self.spine_y + 27.0
        arch = np.sqrt(x**2 + (y - back) ** 2)
        flat[np.broadcast_to((arch < 14.0) | ((np.abs(x) < 4.0) & (y > back) & (y < back + 32.0)), out.shape)] = (
            Tissue.CORTICAL_BONE
        )
        flat[np.broadcast_to(arch < 9.0, out.shape)] = Tissue.CANAL
        beside = np.sqrt(((np.abs(x) - 36.0) / 16.0) ** 2 + ((y - self.spine_y - 12.0) / 18.0) ** 2) < 1.0
        flat[np.broadcast_to(beside, out.shape) & inside] = Tissue.MUSCLE

    def _organs(self, out: Tissues, x: Values, y: Values, z: Values) -> None:
        o, s = self.organs, self.spine_y
        inside = np.broadcast_to(self.cavity(x, y) < -2.0, out.shape)
        free = inside & (out == Tissue.FAT)
        winding = np.sin(x / 10.0 + 2.2 * np.sin(z / 23.0 + o[2]) + 1.3 * np.sin(y / 19.0))
        loops = winding + np.sin(y / 11.0 + 2.0 * np.sin(x / 27.0 + o[3])) + np.sin(z / 12.0 + 1.5 * np.sin(x / 31.0))
        low = free & (z < -30.0 - 0.25 * x)
        out[low & (loops > -0.4 + 0.3 * o[4])] = Tissue.BOWEL
        out[low & (loops > 2.1)] = Tissue.AIR
        stomach = _ellipsoid(
            x, y, z, (58.0 + 8 * o[5], -26.0 + 6 * o[6], 6.0), (46.0 + 6 * o[7], 36.0, 50.0 + 8 * o[8])
        )
        out[inside & (stomach < 0)] = Tissue.WALL
        out[inside & (stomach < -4.0)] = Tissue.STOMACH
        out[inside & (stomach < -4.0) & (y < -38.0 + 10 * o[9])] = Tissue.AIR
        spleen = _ellipsoid(
            x, y, z, (92.0 + 4 * o[10], 40.0, 14.0), (36.0 + 6 * o[11], 30.0 + 4 * o[12], 52.0 + 10 * o[13])
        )
        out[inside & (spleen < 0)] = Tissue.SPLEEN
        for side in (-1.0, 1.0):
            middle = (side * (60.0 + 4 * o[14]), s + 4.0, -78.0 + 10 * o[15])
            kidney = _ellipsoid(x + side * 0.12 * z, y, z, middle, (27.0, 30.0, 54.0 + 5 * o[16]))
            out[inside & (kidney < 0)] = Tissue.KIDNEY_CORTEX
            out[inside & (kidney < -7.0)] = Tissue.KIDNEY_MEDULLA
            out[inside & (kidney < -17.0) & (side * x < 60.0)] = Tissue.FAT
        for place, radius, tissue in ((self.aorta, 11.0 + o[17], Tissue.AORTA), (self.cava, 12.5 + o[18], Tissue.CAVA)):
            away = np.sqrt((x - place[0]) ** 2 + (1.12 * (y - place[1])) ** 2)
            out[np.broadcast_to(away < radius, out.shape) & (out != Tissue.HEART)] = tissue

    def _liver(self, out: Tissues, at: Coordinates, grid: ImageGrid, first: int) -> None:
        (x, y, z), count = at, out.shape[0]
        inside = (self.liver(x, y, z) < 0) & (out != Tissue.CAVA)
        left = self.left_of_cantlie(x, y, z) > 0
        bile = np.array(self.hilum) + np.array(
            [-26.0 - 40.0 * np.sin(self.cantlie[0]), -30.0, -34.0 + 5 * self.organs[19]]
        )
        gall = _ellipsoid(x, y, z, tuple(bile), (14.0, 22.0, 24.0)) < 0
        out[inside & left] = Tissue.LIVER_LEFT
        out[inside & ~left] = Tissue.LIVER_RIGHT
        for cx, cy, cz, radius in self.cysts:
            spot = inside & ((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius**2)
            out[spot & left] = Tissue.CYST_LEFT
            out[spot & ~left] = Tissue.CYST_RIGHT
        if self.trunk is not None:
            out[paint(self.trunk, grid, first=first, count=count) & ~inside] = Tissue.PORTAL_TRUNK
        for tree, tissue in ((self.hepatic, Tissue.HEPATIC_VEIN), (self.portal, Tissue.PORTAL_VEIN)):
            if tree is not None:
                out[paint(tree, grid, first=first, count=count) & inside] = tissue
        vessel = (out == Tissue.HEPATIC_VEIN) | (out == Tissue.PORTAL_VEIN)
        out[gall & ~vessel & (out != Tissue.AIR)] = Tissue.BILE


def labels_of(tissues: Tissues) -> Tissues:
    """Return a label map: `LEFT`, `RIGHT`, `VESSELS`, or 0."""
    return np.asarray(_LABELS[tissues], dtype=np.uint8)


def draw_abdomen(seed: int) -> Abdomen:
    """Return the abdomen of this seed: equal seeds, equal abdomens.

    Liver volumes lie between about 900 and 2600 mL, the left lobe's share between a fifth and a half.
    """
    rng = np.random.default_rng([seed, 0xABD0])
    build = rng.uniform(0.93, 1.1)
    fat, wall = rng.uniform(8.0, 30.0), rng.uniform(9.0, 13.0)
    half = (148.0 * build + fat, 96.0 * build * rng.uniform(0.95, 1.08) + fat)
    spine_y = (half[1] - fat - wall) * 0.6
    cava = (-21.0 + rng.uniform(-4, 4), spine_y - 34.0 + rng.uniform(-3, 3))
    angle, lean = np.deg2rad(rng.uniform(22.0, 40.0)), rng.uniform(-0.12, 0.06)
    size = rng.uniform(0.86, 1.08)
    offset = tuple(rng.uniform(-7.0, 7.0, 3))
    bare = Abdomen(
        half_mm=half,
        fat_mm=fat,
        wall_mm=wall,
        size=size,
        spine_y=spine_y,
        cava=cava,
        aorta=(14.0 + rng.uniform(-3, 3), spine_y - 31.0),
        cantlie=(float(angle), float(lean)),
        hilum=(cava[0] - 2.0, cava[1] - 34.0, -8.0 + rng.uniform(-6, 6)),
        liver_offset=(float(offset[0]), float(offset[1]), float(offset[2])),
        cuts=(rng.uniform(-8.0, 14.0), rng.uniform(4.0, 20.0)),
        warp=(_warp(rng), _warp(rng), _warp(rng)),
        bend=waves(rng, height_mm=2.5, length_mm=(120.0, 300.0), count=3),
        organs=rng.normal(0.0, 0.7, 20).clip(-1.5, 1.5),
        hepatic=None,
        portal=None,
        trunk=None,
        cysts=np.zeros((0, 4)),
    )
    hepatic, portal, trunk = _veins(bare, rng)
    return replace(bare, hepatic=hepatic, portal=portal, trunk=trunk, cysts=_cysts(bare, rng))


def _warp(rng: np.random.Generator) -> Waves:
    return waves(rng, height_mm=4.0, length_mm=(70.0, 220.0))


def _veins(body: Abdomen, rng: np.random.Generator) -> tuple[Tree, Tree, Tree]:
    """Return hepatic veins, portal vein inside and portal vein below the liver."""
    (cx, cy), (angle, _) = body.cava, body.cantlie
    top = _highest(body, cx, cy) - rng.uniform(16.0, 24.0)
    root = np.array([cx, cy, top + 14.0])
    mouth = np.array([cx, cy - 6.0, top])
    forward = np.array([-np.sin(angle), -np.cos(angle), 0.0])
    middle = np.array([mouth + t * forward + [0.0, 0.0, -0.55 * t] for t in np.linspace(6.0, 85.0, 8)])
    middle = _on_cantlie(body, middle)
    right = np.array([mouth + t * np.array([-0.86, 0.12, -0.5]) for t in np.linspace(6.0, 95.0, 8)])
    left = np.array([mouth + t * np.array([0.62, -0.72, -0.3]) for t in np.linspace(6.0, 75.0, 8)])
    hilum = np.array(body.hilum)
    to_right = np.array([hilum + t * np.array([-0.9, 0.15, 0.25]) for t in np.linspace(0.0, 60.0, 6)])
    to_left = np.array([hilum + t * np.array([0.55, -0.75, 0.4]) for t in np.linspace(0.0, 60.0, 6)])
    trees = []
    for first, mains in ((root, (middle, right, left)), (hilum, (to_right, to_left))):
        trunks = [np.stack([first, mouth if first is root else hilum + np.array([0.0, 0.0, 0.5])])]
        trunks += [np.concatenate([trunks[0][-1:], kept]) for main in mains if len(kept := _inside(body, main)) > 1]
        targets = _places(body, rng, int(rng.integers(*_TARGETS)))
        order = np.argsort(((targets - first) ** 2).sum(axis=1))
        trees.append(grow(trunks, targets[order], leaf_mm=_LEAF_MM, largest_mm=7.0, rng=rng))
    below = np.array([hilum, hilum + np.array([14.0, 6.0, -26.0]), hilum + np.array([34.0, 10.0, -60.0])])
    trunk = grow([below], np.zeros((0, 3)), leaf_mm=6.2, largest_mm=6.5, rng=rng)
    return trees[0], trees[1], trunk


def _cysts(body: Abdomen, rng: np.random.Generator) -> NDArray[np.float64]:
    count = int(rng.choice([0, 0, 1, 2, 3]))
    places = _places(body, rng, count)
    return np.concatenate([places, rng.uniform(4.0, 13.0, (len(places), 1))], axis=1)


def _places(body: Abdomen, rng: np.random.Generator, count: int) -> Points:
    """Return random places inside the liver, not next to its surface."""
    found: list[Points] = []
    for _ in range(200):
        tries = rng.uniform((-150.0, -110.0, -110.0), (100.0, 90.0, 95.0), (400, 3))
        kept = tries[_at(body.liver, tries) < -_INSET_MM]
        found.extend(kept[: count - len(found)])
        if len(found) >= count:
            return np.array(found).reshape(-1, 3)
    raise DataError("No place was found inside a synthetic liver: its parameters describe none.")


def _inside(body: Abdomen, path: Points) -> Points:
    return path[_at(body.liver, path) < -2.0]


def _on_cantlie(body: Abdomen, path: Points) -> Points:
    normal = np.array([np.cos(body.cantlie[0]), -np.sin(body.cantlie[0]), 0.0])
    for _ in range(4):
        path = path - _at(body.left_of_cantlie, path)[:, None] * normal
    return path


def _highest(body: Abdomen, x: float, y: float) -> float:
    """Return the liver's highest place above a point, beside the vena cava."""
    z = np.arange(120.0, -60.0, -1.0)
    column = np.stack([np.full_like(z, x), np.full_like(z, y - 10.0), z], axis=1)
    inside = z[_at(body.liver, column) < 0]
    return float(inside[0]) if len(inside) else 40.0


def _at(function: Callable[[Values, Values, Values], Values], points: Points) -> NDArray[np.float64]:
    x, y, z = points.astype(np.float32).T
    return function(x, y, z).astype(np.float64)


def _coordinates(grid: ImageGrid, first: int, count: int) -> Coordinates:
    """Return LPS coordinates of slices, broadcast where the grid's axes are the patient's."""
    steps, origin = grid.affine_lps[:3, :3], grid.affine_lps[:3, 3]
    index = [np.arange(first, first + count), np.arange(grid.shape[1]), np.arange(grid.shape[2])]
    result = []
    for row in range(3):
        total: Values = np.full((1, 1, 1), origin[row], dtype=np.float32)
        for axis in range(3):
            if abs(steps[row, axis]) > 1e-9:
                shape = [1, 1, 1]
                shape[axis] = -1
                total = total + (steps[row, axis] * index[axis]).astype(np.float32).reshape(shape)
        result.append(total)
    return result[0], result[1], result[2]


def _ellipsoid(x: Values, y: Values, z: Values, middle: Sequence[float], half: Sequence[float]) -> Values:
    """Return about how far a place lies outside an ellipsoid, mm."""
    parts = [((c - m) / h) ** 2 for c, m, h in zip((x, y, z), middle, half, strict=True)]
    return np.asarray((np.sqrt(parts[0] + parts[1] + parts[2]) - 1.0) * min(half), dtype=np.float32)


def _smooth_max(one: NDArray[Any], other: NDArray[Any], over_mm: float) -> Values:
    near = np.maximum(over_mm - np.abs(one - other), 0.0)
    return np.asarray(np.maximum(one, other) + near**2 / (4.0 * over_mm), dtype=np.float32)
