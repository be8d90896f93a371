"""Synthetic abdomens: the same for a seed, plausible in size, parted by Cantlie's surface, true on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from overread.synthetic.abdomen import LEFT, RIGHT, VESSELS, Tissue, draw_abdomen, labels_of
from overread.synthetic.ct import PHASES, draw_look, render
from overread.synthetic.mr import Orientation, centred_grid
from overread.synthetic.vessels import grow, paint

COARSE = centred_grid((58, 70, 92), (4.5, 4.5, 4.5), orientation="axial", centre_mm=(0.0, 0.0, -6.0))


@pytest.mark.parametrize("seed", range(20, 28))
def test_livers_are_of_a_plausible_size_and_in_one_piece(seed):
    body = draw_abdomen(seed)
    labels = labels_of(body.tissues(COARSE))
    left, right, vessels = ((labels == value).sum() * COARSE.voxel_ml for value in (LEFT, RIGHT, VESSELS))
    assert 700 < left + right + vessels < 3000
    assert 0.15 < left / (left + right) < 0.55
    assert 0.004 < vessels / (left + right) < 0.1
    for lobe in (LEFT, RIGHT):
        pieces, count = ndimage.label(body.lobes(COARSE) == lobe)
        assert np.bincount(pieces.ravel())[1:].max() > 0.98 * (pieces > 0).sum(), count


def test_left_lobe_lies_on_the_patients_left():
    labels = draw_abdomen(3).lobes(COARSE)
    x = [np.argwhere(labels == lobe)[:, 2].mean() for lobe in (LEFT, RIGHT)]  # columns run to the patient's left
    assert x[0] > x[1] + 10


def test_equal_seeds_make_equal_abdomens_and_others_do_not():
    first, again, other = (draw_abdomen(seed).tissues(COARSE) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.02


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal", "oblique"])
def test_volumes_do_not_depend_on_the_plane_of_the_slices(orientation: Orientation):
    grid = centred_grid((95, 95, 95), (4.5, 4.5, 4.5), orientation=orientation, centre_mm=(0.0, 0.0, -6.0))
    body = draw_abdomen(7)
    reference = (body.lobes(COARSE) == RIGHT).sum() * COARSE.voxel_ml
    assert (body.lobes(grid) == RIGHT).sum() * grid.voxel_ml == pytest.approx(reference, rel=0.03)


def test_slices_rendered_by_parts_are_those_of_the_whole():
    grid = centred_grid((12, 60, 80), (5.0, 5.0, 5.0), orientation="axial")
    body, look = draw_abdomen(9), draw_look("portal", 9)
    whole, labels = render(body, grid, look, seed=9)
    part, some = render(body, grid, look, seed=9, first=5, count=3)
    np.testing.assert_allclose(part, whole[5:8], atol=1e-3)
    np.testing.assert_array_equal(some, labels[5:8])


def test_contrast_medium_shows_in_the_right_order():
    hu = {phase: draw_look(phase, 11).hu for phase in PHASES}
    assert hu["arterial"][Tissue.AORTA] > hu["portal"][Tissue.AORTA] > hu["delayed"][Tissue.AORTA] + 1
    assert hu["portal"][Tissue.PORTAL_VEIN] > hu["arterial"][Tissue.PORTAL_VEIN] > hu["native"][Tissue.PORTAL_VEIN]
    assert hu["portal"][Tissue.LIVER_LEFT] > hu["arterial"][Tissue.LIVER_LEFT] > hu["native"][Tissue.LIVER_LEFT]
    # only in the portal venous phase do both trees stand out against the liver
    for vein in (Tissue.PORTAL_VEIN, Tissue.HEPATIC_VEIN):
        assert hu["portal"][vein] > hu["portal"][Tissue.LIVER_LEFT] + 25
    assert hu["arterial"][Tissue.HEPATIC_VEIN] < hu["arterial"][Tissue.LIVER_LEFT]


def test_noise_is_as_strong_as_drawn():
    grid = centred_grid((3, 40, 40), (3.0, 1.0, 1.0), orientation="axial", centre_mm=(-80.0, 0.0, 400.0))
    look = draw_look("portal", 12)
    image, labels = render(draw_abdomen(12), grid, look, seed=1)
    assert not labels.any()  # high above the liver there is nothing but lung
    assert image.std() == pytest.approx(look.noise_hu, rel=0.25)


def test_radii_follow_murrays_law_and_never_grow_outwards():
    trunk = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 20.0]])
    ends = np.array([[20.0, 0.0, 30.0], [-20.0, 0.0, 30.0]])
    tree = grow([trunk], ends, leaf_mm=2.0, largest_mm=9.0, rng=np.random.default_rng(0))
    assert tree.radii_mm[0] == pytest.approx(2.0 * 2 ** (1 / 3))
    assert (tree.radii_mm[tree.parents] >= tree.radii_mm - 1e-9).all()
    assert (tree.parents[1:] < np.arange(1, len(tree.parents))).all()


def test_a_painted_tube_has_its_volume_on_any_grid():
    tree = grow([np.array([[0.0, 0, -30], [0.0, 0, 30]])], np.zeros((0, 3)), leaf_mm=5.0, largest_mm=5.0,
                rng=np.random.default_rng(0))  # fmt: skip
    wanted = np.pi * 25 * 60 + 4 / 3 * np.pi * 125
    for orientation in ("axial", "oblique"):
        grid = centred_grid((90, 90, 90), (1.0, 1.0, 1.0), orientation=orientation)
        assert paint(tree, grid).sum() == pytest.approx(wanted, rel=0.03)
