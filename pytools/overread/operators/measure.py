"""What is measured on a mask: components, volume, diameters in an axial plane, surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from overread.dicom.geometry import VolumeGeometry
from overread.dicom.volumes import MM3_PER_ML
from overread.operators.card import Postprocessing

Mask = NDArray[np.bool_]

_NEIGHBOURS: Final = {6: 1, 18: 2, 26: 3}
_HULL_NEEDS: Final = 3
_HALF: Final = 0.5
_MARGIN: Final = 5
"""Voxels around a mask in which its smoothed edge fades away."""


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


@dataclass(frozen=True)
class AxialExtent:
    """The longest diameter in an axial plane, and the longest one in the same plane at right angles to it, in mm.

    Both are 0.0 for an empty mask. Their product is RANO's (Wen et al. 2010).
    """

    longest_mm: float
    perpendicular_mm: float

    @property
    def product_mm2(self) -> float:
        """Bidimensional product."""
        return self.longest_mm * self.perpendicular_mm


def longest_axial_diameter_mm(mask: Mask, geometry: VolumeGeometry) -> float:
    """Return the longest diameter of `axial_extent`."""
    return axial_extent(mask, geometry).longest_mm


def axial_extent(mask: Mask, geometry: VolumeGeometry) -> AxialExtent:
    """Return the longest straight line between borders of one connected area in an axial plane, and across it.

    Planes are those of the grid that are closest to axial (across the axis closest to head and feet), so that voxels
    are taken as they are. Borders are the middles of the voxels' outer edges: a single voxel is as long as its side.
    Across: the width of the same area along the direction at right angles to its longest line.

    Parameters
    ----------
    mask
        (slices, rows, columns).
    geometry
        Its grid, in any orientation.
    """
    steps = geometry.affine_lps[:3, :3]
    across = int(np.argmax(np.abs(steps[2]) / np.linalg.norm(steps, axis=0)))
    first, second = (axis for axis in range(3) if axis != across)
    in_plane = steps[:, [first, second]]
    largest = AxialExtent(0.0, 0.0)
    for plane in np.moveaxis(mask, across, 0):
        if plane.any():
            labels, count = ndimage.label(plane, np.ones((3, 3)))
            for number in range(1, count + 1):
                found = _extent(np.argwhere(labels == number).astype(np.float64), in_plane)
                largest = max(largest, found, key=lambda each: each.longest_mm)
    return largest


def surface_mm2(mask: Mask, geometry: VolumeGeometry) -> float:
    """Return the area of a mask's surface in mm2.

    By the coarea formula: the integral of the gradient's length of the mask, smoothed by one voxel. Voxel faces would
    count half too much on a curved surface. Within 5 % on spheres of five voxels' radius and more; sharp edges are
    rounded, and sheets and threads thinner than three voxels come out too small.
    """
    found = ndimage.find_objects(mask.astype(np.int8))
    if not found:
        return 0.0
    sigma_mm = min(geometry.spacing_mm)
    sigma = [sigma_mm / s for s in geometry.spacing_mm]
    smooth = ndimage.gaussian_filter(np.pad(mask[found[0]].astype(np.float32), _MARGIN), sigma)
    slopes = np.gradient(smooth, *geometry.spacing_mm)
    return float(np.sqrt(sum(slope.astype(np.float64) ** 2 for slope in slopes)).sum() * geometry.voxel_volume_mm3)


def _extent(voxels: NDArray[np.float64], in_plane: NDArray[np.float64]) -> AxialExtent:
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
    away = squareform(pdist(points))
    one, other = np.unravel_index(int(np.argmax(away)), away.shape)
    along = (points[other] - points[one]) / away[one, other]
    widths = points @ np.array([-along[1], along[0]])
    return AxialExtent(float(away[one, other]), float(widths.max() - widths.min()))
