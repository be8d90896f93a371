"""The lesions of a mask one by one, and how a reader's mask differs from the one it corrects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.dicom.segments import SegmentInfo
from overread.dicom.volumes import MM3_PER_ML
from overread.operators.brain import brain_mask
from overread.operators.measure import components, longest_axial_diameter_mm
from overread.operators.result import Comparison, Lesion

Mask = NDArray[np.bool_]

MOST_LESIONS: Final = 20
"""So many are told one by one, the largest first; the total counts all."""
_HD95: Final = 95.0


def head_centre_mm(values: NDArray[np.float32], geometry: VolumeGeometry) -> tuple[float, float, float]:
    """Return the middle of the brain (LPS, mm): the origin in which a patient's lesions keep their place over exams.

    Parameters
    ----------
    values
        (slices, rows, columns) of a head.
    geometry
        Its grid.
    """
    x, y, z = geometry.position_mm(ndimage.center_of_mass(brain_mask(values, spacing_mm=geometry.spacing_mm)))
    return float(x), float(y), float(z)


def find_lesions(
    segments: Sequence[tuple[SegmentInfo, Mask]],
    geometry: VolumeGeometry,
    *,
    origin_mm: tuple[float, float, float],
    connectivity: int = 26,
) -> tuple[Lesion, ...]:
    """Return the connected parts of each segment, the largest first, at most `MOST_LESIONS`.

    Parameters
    ----------
    segments
        What is said of each, and its voxels as (slices, rows, columns).
    geometry
        The grid.
    origin_mm
        LPS position from which places are told, such as `head_centre_mm`.
    connectivity
        6, 18 or 26 neighbours.
    """
    found: list[Lesion] = []
    for segment, mask in segments:
        labels, count = components(mask, connectivity=connectivity)
        boxes = ndimage.find_objects(labels)
        for number in range(1, count + 1):
            box = boxes[number - 1]
            part = labels[box] == number
            index = np.asarray(ndimage.center_of_mass(part)) + [side.start for side in box]
            x, y, z = geometry.position_mm(index) - np.asarray(origin_mm)
            found.append(
                Lesion(
                    segment=segment.number,
                    label=segment.label,
                    tracking_uid=segment.tracking_uid,
                    volume_ml=round(int(part.sum()) * geometry.voxel_volume_mm3 / MM3_PER_ML, 4),
                    longest_axial_diameter_mm=round(longest_axial_diameter_mm(part, geometry), 2),
                    centre_mm=(round(float(x), 1), round(float(y), 1), round(float(z), 1)),
                )
            )
    ordered = sorted(found, key=lambda lesion: (-lesion.volume_ml, lesion.segment, lesion.centre_mm))
    return tuple(ordered[:MOST_LESIONS])


def compare_masks(mask: Mask, original: Mask, geometry: VolumeGeometry) -> Comparison:
    """Return how a mask differs from the one it was made from, both (slices, rows, columns) on one grid.

    Dice is 1 where both are empty. The 95th percentile of the distances between the surfaces (both ways, mm, middles
    of surface voxels) is None where one is empty: there is no distance to nothing.
    """
    voxel_ml = geometry.voxel_volume_mm3 / MM3_PER_ML
    added, removed = int((mask & ~original).sum()), int((original & ~mask).sum())
    total = int(mask.sum()) + int(original.sum())
    return Comparison(
        dice=1.0 if total == 0 else round(2.0 * int((mask & original).sum()) / total, 4),
        hd95_mm=_hd95_mm(mask, original, geometry),
        added_voxels=added,
        removed_voxels=removed,
        added_ml=round(added * voxel_ml, 4),
        removed_ml=round(removed * voxel_ml, 4),
    )


def _hd95_mm(one: Mask, other: Mask, geometry: VolumeGeometry) -> float | None:
    if not one.any() or not other.any():
        return None
    (box,) = ndimage.find_objects((one | other).astype(np.int8))
    # One voxel around the box, so that the surface at its border is a surface.
    first, second = np.pad(one[box], 1), np.pad(other[box], 1)
    first, second = first & ~ndimage.binary_erosion(first), second & ~ndimage.binary_erosion(second)
    away = [
        ndimage.distance_transform_edt(~surface, sampling=geometry.spacing_mm)[points]
        for surface, points in ((first, second), (second, first))
    ]
    return round(float(np.percentile(np.concatenate(away), _HD95)), 2)
