"""Vessel trees for synthetic organs: branches grown towards random points, radii by Murray's law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from overread.synthetic.mr import ImageGrid

Points = NDArray[np.float64]

_STEP_MM: Final = 4.0
"""Length of a piece of a branch."""
_BEND: Final = 0.12
"""Sideways bulge of a branch as a fraction of its length."""
_MURRAY: Final = 3.0


@dataclass(frozen=True, eq=False)
class Tree:
    """Straight pieces from a node to its parent.

    Parameters
    ----------
    nodes
        (n, 3), LPS in mm; the first is the root.
    parents
        (n,), index of each node's parent; the root is its own.
    radii_mm
        (n,), never growing from the root outwards.
    """

    nodes: Points
    parents: NDArray[np.int64]
    radii_mm: NDArray[np.float64]


def grow(
    trunks: Sequence[Points], targets: Points, *, leaf_mm: float, largest_mm: float, rng: np.random.Generator
) -> Tree:
    """Return a tree of the given trunks and a branch to each target from the node of the tree nearest to it.

    Radii follow Murray's law: the cube of a vessel's radius is the sum of its branches' cubes.

    Parameters
    ----------
    trunks
        Polylines (n, 3), LPS in mm. The first begins at the root; each begins at a point of one before it.
    targets
        (n, 3), where branches end; connected in this order.
    leaf_mm, largest_mm
        Radius of a last branch; what no vessel exceeds.
    rng
        Bends the branches.
    """
    nodes: list[Points] = [trunks[0][0]]
    parents = [0]

    def extend(path: Points, at: int) -> None:
        for point in path:
            nodes.append(point)
            parents.append(at)
            at = len(nodes) - 1

    for trunk in trunks:
        extend(_finer(trunk)[1:], _nearest(nodes, trunk[0]))
    for target in targets:
        at = _nearest(nodes, target)
        extend(_branch(nodes[at], target, rng), at)
    places, above = np.array(nodes), np.array(parents)
    return Tree(places, above, _radii(above, leaf_mm=leaf_mm, largest_mm=largest_mm))


def paint(tree: Tree, grid: ImageGrid, *, first: int = 0, count: int | None = None) -> NDArray[np.bool_]:
    """Return the voxels whose centres lie inside a tree.

    Parameters
    ----------
    tree
        The tree.
    grid
        Any orientation.
    first, count
        Slices wanted: the first one and how many; all if not given.

    Returns
    -------
    array of bool
        (count, rows, columns).
    """
    total = grid.shape[0] if count is None else count
    mask = np.zeros((total, *grid.shape[1:]), dtype=np.bool_)
    inverse = np.linalg.inv(grid.affine_lps)
    spacing = np.asarray(grid.spacing_mm)
    at = (tree.nodes @ inverse[:3, :3].T + inverse[:3, 3] - [first, 0, 0]) * spacing
    for k in range(1, len(at)):
        a, b = at[tree.parents[k]], at[k]
        ra, rb = tree.radii_mm[tree.parents[k]], tree.radii_mm[k]
        if tree.parents[k] == 0 or ra > 2 * rb:
            ra = rb  # a side branch leaves the trunk with its own width
        widest = max(ra, rb)
        low = np.maximum(np.ceil((np.minimum(a, b) - widest) / spacing), 0).astype(int)
        high = np.minimum(np.floor((np.maximum(a, b) + widest) / spacing) + 1, mask.shape).astype(int)
        if (high <= low).any():
            continue
        box = tuple(slice(int(p), int(q)) for p, q in zip(low, high, strict=True))
        axes = [
            (np.arange(p, q) * s).reshape([-1 if i == axis else 1 for i in range(3)])
            for axis, (p, q, s) in enumerate(zip(low, high, spacing, strict=True))
        ]
        mask[box] |= _capsule(axes, a, b, float(ra), float(rb))
    return mask


def _capsule(axes: list[NDArray[np.float64]], a: Points, b: Points, ra: float, rb: float) -> NDArray[np.bool_]:
    along = b - a
    length = max(float(along @ along), 1e-9)
    share = sum((axis - p) * d for axis, p, d in zip(axes, a, along, strict=True)) / length
    share = np.clip(share, 0.0, 1.0)
    away = sum((axis - p - share * d) ** 2 for axis, p, d in zip(axes, a, along, strict=True))
    return np.asarray(away <= (ra + share * (rb - ra)) ** 2, dtype=np.bool_)


def _nearest(nodes: Sequence[Points], point: Points) -> int:
    return int(((np.array(nodes) - point) ** 2).sum(axis=1).argmin())


def _finer(path: Points) -> Points:
    """Return a polyline with pieces of about the same length."""
    pieces = np.linalg.norm(np.diff(path, axis=0), axis=1)
    places = np.concatenate([[0.0], np.cumsum(pieces)])
    wanted = np.linspace(0.0, places[-1], max(2, round(places[-1] / _STEP_MM) + 1))
    return np.stack([np.interp(wanted, places, path[:, axis]) for axis in range(3)], axis=1)


def _branch(start: Points, end: Points, rng: np.random.Generator) -> Points:
    length = float(np.linalg.norm(end - start))
    steps = max(1, round(length / _STEP_MM))
    share = (np.arange(1, steps + 1) / steps)[:, None]
    bulge = rng.normal(0.0, _BEND * length, 3)
    return np.asarray(start + share * (end - start) + np.sin(np.pi * share) * bulge)


def _radii(parents: NDArray[np.int64], *, leaf_mm: float, largest_mm: float) -> NDArray[np.float64]:
    cubes = np.zeros(len(parents))
    has_children = np.zeros(len(parents), dtype=np.bool_)
    has_children[parents[1:]] = True
    cubes[~has_children] = leaf_mm**_MURRAY
    for k in range(len(parents) - 1, 0, -1):  # a child always stands behind its parent
        cubes[parents[k]] += cubes[k]
    return np.minimum(cubes ** (1.0 / _MURRAY), largest_mm)
