from __future__ import annotations

import numpy as np
import pytest

from overread.errors import DataError
from overread.synthetic.anatomy import SampledAnatomy, load_anatomy, sample
from overread.synthetic.brain import Look, make_exam, make_lesion, render
from overread.synthetic.mr import ImageGrid, Orientation, Triple, centred_grid

FRONTAL: Triple = (28.0, -30.0, 24.0)


def frontal_grid(orientation: Orientation = "axial", spacing_mm: Triple = (2.0, 1.0, 1.0)) -> ImageGrid:
    slices, rows, columns = (round(60.0 / s) for s in spacing_mm)
    return centred_grid((slices, rows, columns), spacing_mm, orientation=orientation, centre_mm=FRONTAL)


@pytest.fixture(scope="module")
def head() -> SampledAnatomy:
    return sample(load_anatomy("mni152"), frontal_grid())


@pytest.mark.parametrize("volume_ml", [0.5, 3.0, 17.9])
def test_lesion_has_exactly_the_wanted_number_of_voxels(head: SampledAnatomy, volume_ml: float) -> None:
    mask = make_lesion(head, volume_ml, seed=3, centre_mm=FRONTAL)

    assert int(mask.sum()) == round(volume_ml * 1000 / 2.0)


def test_time_points_nest(head: SampledAnatomy) -> None:
    small = make_lesion(head, 4.0, seed=5, centre_mm=FRONTAL)
    large = make_lesion(head, 7.0, seed=5, centre_mm=FRONTAL)

    assert not (small & ~large).any()
    assert large.sum() > small.sum()


def test_lesion_follows_from_its_seed(head: SampledAnatomy) -> None:
    one, same, other = (make_lesion(head, 4.0, seed=seed, centre_mm=FRONTAL) for seed in (5, 5, 6))

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_lesion_stays_in_the_brain_and_around_its_centre(head: SampledAnatomy) -> None:
    mask = make_lesion(head, 6.0, seed=1, centre_mm=FRONTAL)
    middle = (head.grid.affine_lps @ [*np.argwhere(mask).mean(axis=0), 1.0])[:3]

    assert not (mask & ~head.brain).any()
    assert np.linalg.norm(middle - FRONTAL) < 8.0


def test_more_lesion_than_brain_is_refused(head: SampledAnatomy) -> None:
    with pytest.raises(DataError, match=r"only \d+ of brain lie near the centre"):
        make_lesion(head, 4000.0, seed=1, centre_mm=FRONTAL)


def test_unknown_anatomy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="choose one of mni152, colin27"):
        load_anatomy("elsewhere")


def test_tissue_shares_add_up_to_one_in_the_brain(head: SampledAnatomy) -> None:
    total = head.csf + head.gm + head.wm

    assert total[head.brain].max() == pytest.approx(1.0, abs=1e-4)
    assert total.min() >= 0.0


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_a_place_in_the_patient_looks_alike_in_every_orientation(orientation: Orientation) -> None:
    anatomy, grid = load_anatomy("mni152"), frontal_grid(orientation, (2.0, 1.0, 1.5))
    index = np.array([14, 22, 17])
    x, y, z, _ = grid.affine_lps @ [*index, 1.0]
    alone = centred_grid((1, 1, 1), (1.0, 1.0, 1.0), orientation="axial", centre_mm=(float(x), float(y), float(z)))

    here, there = sample(anatomy, grid), sample(anatomy, alone)

    assert here.t1[tuple(index)] == pytest.approx(there.t1[0, 0, 0], abs=1e-3)
    assert here.wm[tuple(index)] == pytest.approx(there.wm[0, 0, 0], abs=1e-3)


def test_lesion_is_brighter_than_grey_matter_and_fluid_is_dark(head: SampledAnatomy) -> None:
    mask = make_lesion(head, 6.0, seed=1, centre_mm=FRONTAL)
    image = render(head, mask, look=Look(bias=0.0), seed=1)
    healthy = head.brain & ~mask

    assert image[mask].mean() > image[healthy & (head.gm > 0.9)].mean() + 0.2
    assert image[healthy & (head.csf > 0.9)].mean() < image[healthy & (head.wm > 0.9)].mean() - 0.2


def test_exam_of_thick_slices_knows_its_volume() -> None:
    exam = make_exam(
        load_anatomy("mni152"),
        frontal_grid(spacing_mm=(5.0, 1.0, 1.0)),
        volumes_ml=[3.0],
        lesion_seed=2,
        centre_mm=FRONTAL,
        look=Look(),
        seed=9,
    )

    assert exam.volume_ml == pytest.approx(3.0)
    assert exam.flair.shape == exam.mask.shape == exam.grid.shape
    assert 0.0 <= exam.flair.min() < exam.flair.max() <= 4095.0


def test_exam_follows_from_its_seed() -> None:
    def flair(seed: int) -> np.ndarray:
        anatomy, grid = load_anatomy("mni152"), frontal_grid(spacing_mm=(6.0, 3.0, 3.0))
        return make_exam(anatomy, grid, volumes_ml=[], lesion_seed=1, look=Look(), seed=seed).flair

    assert np.array_equal(flair(1), flair(1))
    assert not np.array_equal(flair(1), flair(2))
