from __future__ import annotations

import numpy as np
import pytest

from overread.dicom.geometry import VolumeGeometry
from overread.operators.card import Extraction, Preprocessing
from overread.operators.extract import extracted_brain, largest_piece, ranks
from overread.operators.resample import patient_grid

COARSE, FINE = (4.0, 4.0, 4.0), (2.0, 2.0, 2.0)


def geometry(shape: tuple[int, int, int] = (40, 44, 42)) -> VolumeGeometry:
    return VolumeGeometry(
        shape=shape,
        affine_lps=np.diag([2.0, 2.0, 2.0, 1.0])[[2, 1, 0, 3]],
        spacing_mm=FINE,
        sop_instance_uids=tuple(str(k) for k in range(shape[0])),
        frame_of_reference_uid="",
    )


def rules() -> Preprocessing:
    network = {"class": "monai.networks.nets.UNet", "arguments": {}, "activation": "sigmoid"}
    return Preprocessing.model_validate(
        {
            "axes": ("S", "P", "L"),
            "spacing_mm": FINE,
            "interpolation": "linear",
            "antialias": 0.4,
            "extract": Extraction.model_validate(
                {"network": network, "spacing_mm": COARSE, "window": (24, 32, 24), "threshold": 0.5}
            ),
            "normalisation": {
                "method": "z-score",
                "percentile": 99.0,
                "foreground_fraction": 0.1,
                "clip": (-4.0, 6.0),
            },
            "crop": "foreground",
        }
    )


def found(values, slide):
    grid = geometry()
    affine, shape = patient_grid(grid, axes=("S", "P", "L"), spacing_mm=FINE)
    return extracted_brain(values, grid, rules=rules(), affine=affine, shape=shape, slide=slide)


def among_the_brightest_ninth(scores, _window):
    return (scores > -4.0 / 9.0).astype(np.float32)


def head():
    """A bright brain with a dark ventricle, and a bright orbit apart from it, in dark tissue."""
    image = np.full(geometry().shape, 200.0, dtype=np.float32)
    image[10:30, 10:30, 10:30] = 600.0
    image[18:22, 18:22, 18:22] = 200.0
    image[32:38, 36:42, 34:40] = 700.0
    return image


def test_the_brain_is_one_piece_without_holes():
    mask = found(head(), among_the_brightest_ninth)
    assert mask[12:28, 12:28, 12:28].all()
    assert not mask[32:38, 36:42, 34:40].any()
    assert mask.sum() == pytest.approx(20**3, rel=0.15)


def test_the_network_sees_the_whole_head_at_once_on_coarse_voxels():
    seen = []

    def slide(scores, window):
        seen.append((scores.shape, window))
        return np.ones(scores.shape, dtype=np.float32)

    assert found(head(), slide).sum() > 0.9 * 40 * 44 * 42
    assert seen == [((20, 22, 21), (24, 32, 24))]


@pytest.mark.parametrize("level", [0.0, 300.0])
def test_where_no_brain_is_found_nothing_is_hidden(level):
    image = np.full(geometry().shape, level, dtype=np.float32)
    assert found(image, lambda scores, _window: np.zeros(scores.shape, dtype=np.float32)).all()


def test_ranks_are_the_same_under_any_contrast_that_keeps_the_order():
    values = np.random.default_rng(1).uniform(0.0, 1.0, (8, 9, 10)).astype(np.float32)
    foreground = values > 0.2
    seen = ranks(values, foreground)
    np.testing.assert_array_equal(seen, ranks(values**3 * 700.0, foreground))
    assert (seen[~foreground] == -4.0).all()
    assert -0.01 < seen.max() < 0.0


def test_without_any_piece_everything_is_kept():
    assert largest_piece(np.zeros((3, 4, 5), dtype=np.bool_)).all()
