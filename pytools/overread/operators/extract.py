"""Where the brain is in a head: a small network looks at the whole head on coarse voxels.

On coarse voxels a head fits into one window, so that scalp, orbit and neck are told from brain by where they are, not
by how bright they are. The network is part of the model: weights in the same file, rules in the same card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.operators.resample import patient_grid, resample, smooth_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.operators.card import Preprocessing

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]

_RANKS: Final = 4.0


def extracted_brain(
    values: Values,
    geometry: VolumeGeometry,
    *,
    rules: Preprocessing,
    affine: Matrix,
    shape: tuple[int, int, int],
    slide: Callable[[Values, tuple[int, int, int]], Values],
) -> Mask:
    """Return the voxels of the brain on the network's grid.

    Parameters
    ----------
    values, geometry
        The series, (slices, rows, columns), and its grid.
    rules
        Of the card; ``rules.extract`` is set.
    affine, shape
        The grid on which the mask is wanted, (4, 4) index to LPS mm, and its size.
    slide
        Runs the network over ranks in windows of the size given, and returns probabilities.

    Returns
    -------
    array of bool
        One piece without holes. The whole volume if nothing in it looks like a brain: then nothing is hidden.
    """
    extract = rules.extract
    if extract is None:
        return np.ones(shape, dtype=np.bool_)
    coarse_affine, coarse_shape = patient_grid(geometry, axes=rules.axes, spacing_mm=extract.spacing_mm)
    coarse = resample(
        smooth_for(values, geometry, spacing_mm=extract.spacing_mm, antialias=rules.antialias),
        source_affine=geometry.affine_lps,
        target_affine=coarse_affine,
        shape=coarse_shape,
        outside=float(values.min()),
        interpolation=rules.interpolation,
    )
    _, foreground = rules.normalisation.apply(coarse)
    found = ndimage.find_objects(foreground.astype(np.int8))
    if not found:
        return np.ones(shape, dtype=np.bool_)
    scores = ranks(coarse, foreground)[found[0]]
    probability = np.zeros(coarse_shape, dtype=np.float32)
    probability[found[0]] = slide(scores, extract.window)
    fine = resample(probability, source_affine=coarse_affine, target_affine=affine, shape=shape, outside=0.0)
    return largest_piece(fine > extract.threshold)


def ranks(values: Values, foreground: Mask) -> Values:
    """Return how bright each voxel is among the foreground, from -4 (darker than all) to 0 (brightest).

    Fat of the orbit may be ten times as bright as brain: ranks show both well, and stay the same under any contrast
    that keeps the order.
    """
    order = np.sort(values[foreground])
    darker = np.searchsorted(order, values.ravel(), side="left").reshape(values.shape)
    return np.asarray(_RANKS * (darker / order.size - 1.0), dtype=np.float32)


def largest_piece(mask: Mask) -> Mask:
    """Return the largest connected piece with its holes filled; everything if there is none."""
    labels, count = ndimage.label(mask)
    if not count:
        return np.ones(mask.shape, dtype=np.bool_)
    largest = int(np.argmax(np.bincount(labels.ravel())[1:])) + 1
    return np.asarray(ndimage.binary_fill_holes(labels == largest), dtype=np.bool_)
