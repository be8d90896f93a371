from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.operators.brain import brain_mask

SPACING = (4.0, 4.0, 4.0)


def ball(radius_mm: float) -> NDArray[np.bool_]:
    k, j, i = np.ogrid[-27:28, -27:28, -27:28]
    return np.asarray((k**2 + j**2 + i**2) * 16.0 <= radius_mm**2)


def head() -> NDArray[np.float32]:
    """A brain of 70 mm radius, dark bone up to 80 mm, bright scalp up to 94 mm."""
    image = np.full((55, 55, 55), 5.0, dtype=np.float32)
    image[ball(94.0)] = 900.0
    image[ball(80.0)] = 40.0
    image[ball(70.0)] = 600.0
    return image


def test_brain_is_found_within_bone_and_scalp() -> None:
    mask = brain_mask(head(), spacing_mm=SPACING)

    assert mask[ball(66.0)].all()
    assert not mask[~ball(80.0)].any()


def test_lesion_at_the_surface_stays_in() -> None:
    image = head()
    lesion = np.roll(ball(14.0), 13, axis=1) & ball(70.0)
    image[lesion] = 1100.0

    assert brain_mask(image, spacing_mm=SPACING)[lesion].mean() == pytest.approx(1.0, abs=0.02)


def test_brain_without_skull_is_taken_whole() -> None:
    image = np.where(ball(70.0), 600.0, 0.0).astype(np.float32)

    mask = brain_mask(image, spacing_mm=SPACING)

    assert mask[ball(70.0)].all()
    assert not mask[~ball(78.0)].any()


def test_empty_image_hides_nothing() -> None:
    assert brain_mask(np.zeros((20, 20, 20), dtype=np.float32), spacing_mm=SPACING).all()
