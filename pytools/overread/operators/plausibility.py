"""Doubts about a segmentation that a reader should know of before looking: size, place, number of pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.operators.card import Plausible
from overread.operators.measure import components, volume_ml

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

_COARSE_MM: Final = 3.0
_ROUNDS: Final = 10
"""After which the level between air and tissue moves no more."""
_FOREGROUND: Final = 0.6
"""Fraction of that level that is no air."""
_CLOSING: Final = 2


def doubts(
    found: Mask, kept: Mask, values: Values, geometry: VolumeGeometry, *, expected: Plausible, connectivity: int = 26
) -> list[str]:
    """Say what speaks against a segmentation, in words; nothing if nothing does.

    Parameters
    ----------
    found
        (slices, rows, columns): all that the model marked.
    kept
        Of the same shape: what became the result.
    values
        The series' values, by which body and air are told apart.
    geometry
        Grid of the three.
    expected
        Of the model's card.
    connectivity
        6, 18 or 26 neighbours make one piece.
    """
    return list(_doubts(found, kept, values, geometry, expected=expected, connectivity=connectivity))


def _doubts(
    found: Mask, kept: Mask, values: Values, geometry: VolumeGeometry, *, expected: Plausible, connectivity: int
) -> Iterator[str]:
    total_ml = volume_ml(kept, geometry)
    if expected.largest_ml is not None and total_ml > expected.largest_ml:
        yield (
            f"Implausible volume: {total_ml:.0f} mL, expected at most {expected.largest_ml:g} mL. Look at the mask "
            "before using the number"
        )
    if expected.most_pieces is not None:
        _, pieces = components(found, connectivity=connectivity)
        if pieces > expected.most_pieces:
            yield (
                f"Implausibly many pieces: the model marked {pieces} separate areas, expected at most "
                f"{expected.most_pieces}. Look for artefacts or a wrong series"
            )
    if expected.inside_body is not None and kept.any():
        inside = float(body_mask(values, geometry)[kept].mean())
        if inside < expected.inside_body:
            yield (
                f"Implausible place: {1 - inside:.0%} of the segmentation lies outside the head or body. Look at the "
                "mask before using the number"
            )


def body_mask(values: Values, geometry: VolumeGeometry) -> Mask:
    """Return the voxels of the largest thing that is no air, cavities filled, to about 3 mm.

    Parameters
    ----------
    values
        (slices, rows, columns), tissue brighter than air.
    geometry
        Grid.
    """
    steps = [max(1, round(_COARSE_MM / s)) for s in geometry.spacing_mm]
    coarse = values[tuple(slice(None, None, step) for step in steps)]
    tissue = np.pad(coarse > _FOREGROUND * _level(coarse), _CLOSING + 1)
    closed = ndimage.binary_closing(tissue, iterations=_CLOSING)
    labels, count = ndimage.label(closed)
    if count:
        closed = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    margin = slice(_CLOSING + 1, -(_CLOSING + 1))
    body = ndimage.binary_fill_holes(closed)[margin, margin, margin]
    for axis, (step, n) in enumerate(zip(steps, values.shape, strict=True)):
        body = body.take(np.minimum((np.arange(n) + step // 2) // step, body.shape[axis] - 1), axis=axis)
    return np.asarray(body, dtype=np.bool_)


def _level(values: Values) -> float:
    """Return the level halfway between the means of what is darker and of what is brighter."""
    level = float(values.mean())
    for _ in range(_ROUNDS):
        bright = values > level
        if not bright.any() or bright.all():
            break
        level = float(values[bright].mean() + values[~bright].mean()) / 2
    return level
