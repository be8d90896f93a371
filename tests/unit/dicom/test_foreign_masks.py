"""Masks from elsewhere: contours drawn into the grid, volumes of labels turned onto it."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from overread.dicom.contours import filled, masks_of_contours
from overread.dicom.foreign_grid import on_grid
from overread.dicom.geometry import geometry_of
from overread.errors import DataError
from overread.synthetic.phantoms import make_mr_series

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def structure_set(contours, kind="CLOSED_PLANAR"):
    """Return a structure set; contours are (region, points in LPS mm)."""
    ds = Dataset()
    ds.SOPInstanceUID = "2.25.1"
    names = list(dict.fromkeys(name for name, _ in contours))
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, name in enumerate(names, start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for _, points in (one for one in contours if one[0] == name):
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.ContourData = [round(float(v), 6) for v in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(drawn)
    return ds


def rectangle(geometry, k, *box):
    top, left, bottom, right = box
    corners = [(k, top, left), (k, top, right), (k, bottom, right), (k, bottom, left)]
    return [geometry.position_mm(corner) for corner in corners]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_contour_becomes_the_voxels_whose_centres_it_holds(orientation):
    geometry = geometry_of(make_mr_series((6, 10, 12), orientation=orientation))
    contours = [
        ("Organ", rectangle(geometry, 2, 1.5, 2.5, 6.5, 9.5)),
        ("Organ", rectangle(geometry, 2, 2.5, 4.5, 4.5, 6.5)),
    ]
    mask = masks_of_contours(structure_set(contours), geometry)["Organ"]
    expected = np.zeros((6, 10, 12), dtype=bool)
    expected[2, 2:7, 3:10] = True
    expected[2, 3:5, 5:7] = False
    np.testing.assert_array_equal(mask, expected)


def test_a_polygon_has_the_area_that_it_has():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radius = 60 + 15 * np.cos(5 * angles)
    x, y = 100.3 + radius * np.cos(angles), 99.7 + radius * np.sin(angles)
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    mask = filled(x, y, (200, 200))
    assert mask.sum() == pytest.approx(area, rel=0.002)
    assert ndimage.label(mask)[1] == 1
    np.testing.assert_allclose(ndimage.center_of_mass(mask), (99.7, 100.3), atol=0.05)


GEOMETRY = geometry_of(make_mr_series((6, 10, 12)))


@pytest.mark.parametrize(
    ("contours", "kind", "message"),
    [
        ([("A", rectangle(GEOMETRY, 2.4, 1, 1, 5, 5))], "CLOSED_PLANAR", "does not lie in a slice"),
        ([("A", rectangle(GEOMETRY, 9, 1, 1, 5, 5))], "CLOSED_PLANAR", "slice 10 of 6"),
        ([("A", rectangle(GEOMETRY, 2, 1, 1, 5, 40))], "CLOSED_PLANAR", "outside the images"),
        ([("A", rectangle(GEOMETRY, 2, 1, 1, 5, 5))], "OPEN_PLANAR", "of type OPEN_PLANAR"),
        ([("A", [GEOMETRY.position_mm((2, 1, 1))] * 2)], "CLOSED_PLANAR", "three or more points"),
    ],
)
def test_contours_of_elsewhere_are_refused(contours, kind, message):
    with pytest.raises(DataError, match=message):
        masks_of_contours(structure_set(contours, kind), GEOMETRY)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_volume_comes_back_from_each_of_48_orders_and_directions(orientation):
    geometry = geometry_of(make_mr_series((4, 5, 6), orientation=orientation))
    labels = np.random.default_rng(0).integers(0, 4, geometry.shape)
    for axes, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        turned = np.transpose(labels, axes)[tuple(slice(None, None, flip) for flip in flips)]
        to_old = np.zeros((4, 4))
        to_old[3, 3] = 1
        for new, old in enumerate(axes):
            to_old[old, new] = flips[new]
            to_old[old, 3] = 0 if flips[new] > 0 else labels.shape[old] - 1
        affine = RAS @ geometry.affine_lps @ to_old
        np.testing.assert_array_equal(on_grid(turned, affine, geometry), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, a: (v, a @ np.diag([1, 1, 2, 1])), "other voxels"),
        (lambda v, a: (v, np.block([[a[:3, :3], a[:3, 3:] + 4.0], [a[3:]]])), "voxels beside the images"),
        (lambda v, a: (v[:-1], a), r"has \(5, 10, 12\) voxels"),
        (lambda v, a: (v + 0.5, a), "no whole numbers"),
        (lambda v, a: (np.stack([v, v], axis=-1), a), "4 dimensions"),
        (lambda v, a: (v, a * 0), "no transform"),
        (lambda v, a: (v * np.nan, a), "no whole numbers"),
    ],
)
def test_a_volume_of_elsewhere_is_refused(change, message):
    volume, affine = change(np.zeros(GEOMETRY.shape), RAS @ GEOMETRY.affine_lps)
    with pytest.raises(DataError, match=message):
        on_grid(volume, affine, GEOMETRY)
