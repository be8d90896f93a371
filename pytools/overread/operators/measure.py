"""What is measured on a mask: components, volume, and the longest diameter in an axial plane."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from overread.dicom.geometry import VolumeGeometry
from overread.dicom.volumes import MM3_PER_ML
from overread.operators.card import Postprocessing

Mask = NDArray[np.bool_]

_NEIGHBOURS: Final = {6: 1, 18: 2, 26: 3}
_HULL_NEEDS: Final = 3
_HALF: Final = 0.5


def lesion_mask(probability: NDArray[np.float32], geometry: VolumeGeometry, *, rules: Postprocessing) -> Mask:
    """Return the voxels that count as lesion: above the threshold, in components that are large enough.

    Parameters
    ----------
    probability
        (slices, rows, columns) on the grid of the series.
    geometry
        That grid.
    rules
        Threshold, connectivity, smallest volume, and whether all or the largest component is kept.
    """
    labels, count = components(probability > rules.threshold, connectivity=rules.connectivity)
    if not count:
        return np.zeros(probability.shape, dtype=np.bool_)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * geometry.voxel_volume_mm3 / MM3_PER_ML
    kept = np.flatnonzero(volumes >= rules.minimum_component_ml)
    if rules.keep == "largest":
        kept = kept[np.argsort(-volumes[kept], kind="stable")][:1]
    return np.isin(labels, kept + 1)


def components(mask: Mask, *, connectivity: int = 26) -> tuple[NDArray[np.int32], int]:
    """Return a mask's connected components as numbers from 1, and how many there are.

    Parameters
    ----------
    mask
        (slices, rows, columns).
    connectivity
        6, 18 or 26 neighbours.
    """
    structure = ndimage.generate_binary_structure(3, _NEIGHBOURS[connectivity])
    labels = np.zeros(mask.shape, dtype=np.int32)
    box = ndimage.find_objects(mask.astype(np.int8))
    if not box:
        return labels, 0
    part, count = ndimage.label(mask[box[0]], structure)
    labels[box[0]] = part
    return labels, int(count)


def volume_ml(mask: Mask, geometry: VolumeGeometry) -> float:
    """Return the volume of a mask in millilitres: voxels times the volume of one."""
    return int(mask.sum()) * (geometry.voxel_volume_mm3 / MM3_PER_ML)


def longest_axial_diameter_mm(mask: Mask, geometry: VolumeGeometry) -> float:
    """Return the longest straight line, in mm, between borders of one connected area in an axial plane.

    Planes are those of the grid that are closest to axial (across the axis closest to head and feet), so that voxels
    are taken as they are. Borders are the middles of the voxels' outer edges: a single voxel is as long as its side.

    Parameters
    ----------
    mask
        (slices, rows, columns).
    geometry
        Its grid, in any orientation.

    Returns
    -------
    float
        0.0 for an empty mask.
    """
    steps = geometry.affine_lps[:3, :3]
    across = int(np.argmax(np.abs(steps[2]) / np.linalg.norm(steps, axis=0)))
    first, second = (axis for axis in range(3) if axis != across)
    in_plane = steps[:, [first, second]]
    longest = 0.0
    for plane in np.moveaxis(mask, across, 0):
        if plane.any():
            labels, count = ndimage.label(plane, np.ones((3, 3)))
            for number in range(1, count + 1):
                longest = max(longest, _diameter(np.argwhere(labels == number).astype(np.float64), in_plane))
    return longest


def _diameter(voxels: NDArray[np.float64], in_plane: NDArray[np.float64]) -> float:
    offsets = np.array([(_HALF, 0), (-_HALF, 0), (0, _HALF), (0, -_HALF)])
    borders = (voxels[:, None, :] + offsets).reshape(-1, 2)
    metric = in_plane.T @ in_plane
    # Coordinates in the plane with the same distances, also where rows and columns are not at right angles.
    points = borders @ np.linalg.cholesky(metric)
    if len(points) > _HULL_NEEDS:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all on one line: few points, measured as they are
            points = np.unique(points, axis=0)
    return float(pdist(points).max())
