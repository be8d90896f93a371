from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from overread.evidence.shapes import FEATURES, shape_of
from overread.evidence.telling import Shaped, tell_sources

SPACING = (2.0, 1.0, 1.0)


def blob(seed, size=24):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(12, size, size)), (1.5, 3, 3))
    k, j, i = np.ogrid[-1:1:12j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return np.asarray((k**2 + j**2 + i**2) + 6 * noise < 0.5)


def jagged(mask, seed):
    """As a network draws that was trained on coarse voxels."""
    rng = np.random.default_rng(seed)
    edge = mask ^ ndimage.binary_dilation(mask)
    return mask | (edge & (rng.random(mask.shape) < 0.4))


def masks(change, exams=10):
    for e in range(exams):
        for n, source in enumerate(("expert", "model", "novice")):
            mask = blob(e) ^ (
                blob(100 * e + n + 1) & ndimage.binary_dilation(blob(e)) & ~ndimage.binary_erosion(blob(e))
            )
            mask = change(mask, e) if source == "model" else mask
            yield Shaped(f"E{e}", source, shape_of(mask, SPACING))


def test_a_box_has_the_shape_of_a_box():
    box = np.zeros((8, 12, 12), dtype=bool)
    box[2:6, 3:9, 3:9] = True
    shape = shape_of(box, SPACING)
    assert set(shape) == set(FEATURES)
    assert np.exp(shape["volume"]) == pytest.approx(4 * 6 * 6 * 2.0)
    assert shape["surface"] * np.exp(shape["volume"]) ** (2 / 3) == pytest.approx(2 * 36 + 4 * 6 * 8)
    assert (shape["jitter"], shape["gaps"], shape["specks"], shape["holes"]) == (0, 0, 0, 0)
    assert shape["components"] == 0
    box[3, 5, 5] = False
    box[4] = False
    box[7, 0, 0] = True
    worse = shape_of(box, SPACING)
    assert worse["holes"] > 0
    assert worse["gaps"] > 0
    assert worse["jitter"] > 0
    assert worse["components"] > 0
    assert worse["specks"] > 0


def test_nothing_drawn_is_a_feature_too():
    shape = shape_of(np.zeros((3, 4, 5), dtype=bool), SPACING)
    assert shape["drawn"] == 0
    assert np.isnan(shape["volume"])


def test_masks_that_are_drawn_alike_are_not_told():
    for telling in tell_sources(list(masks(lambda mask, e: mask))):
        assert telling.low < 0.5 < telling.high or abs(telling.auc - 0.5) < 0.25
        assert telling.exams == 10


def test_a_program_that_draws_jagged_outlines_is_told_and_why():
    told = {telling.source: telling for telling in tell_sources(list(masks(jagged)))}
    assert told["model"].auc > 0.95
    assert told["model"].low > 0.8
    assert set(told["model"].features) & {"roughness", "corners", "straightness", "jitter", "surface"}
    assert told["model"].low <= told["model"].auc <= told["model"].high


def test_three_exams_are_too_few():
    assert tell_sources(list(masks(jagged, exams=3))) == ()
