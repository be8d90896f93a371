"""Radiographs as a network sees them: bright bone, upright, the patient's right on the left, a known scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Pixels = NDArray[np.float32]
_LOCAL_PX = 5.0
_COARSE = 0.3


def at_spacing(values: Pixels, spacing_mm: float, target_mm: float) -> Pixels:
    """Return an image with pixels of another size; the middle of the first pixel stays where it is.

    Finer pixels are smoothed first, so that none of them goes unseen.
    """
    ratio = target_mm / spacing_mm
    smooth = gaussian_filter(values, 0.45 * ratio, mode="nearest") if ratio > 1.0 else values
    rows, columns = (max(1, int((n - 1) / ratio) + 1) for n in values.shape)
    grid = np.meshgrid(ratio * np.arange(rows), ratio * np.arange(columns), indexing="ij")
    return np.asarray(map_coordinates(smooth, grid, order=1, mode="nearest"), dtype=np.float32)


def centred(values: Pixels, window: tuple[int, int]) -> tuple[Pixels, tuple[int, int]]:
    """Return an image in the middle of a window, and (x, y) of the image's first pixel in it."""
    found = np.zeros(window, dtype=np.float32)
    y, x = ((w - n) // 2 for w, n in zip(window, values.shape, strict=True))
    top, left = max(y, 0), max(x, 0)
    part = values[max(-y, 0) : max(-y, 0) + window[0], max(-x, 0) : max(-x, 0) + window[1]]
    found[top : top + part.shape[0], left : left + part.shape[1]] = part
    return found, (x, y)


def joint_window(
    values: Pixels,
    *,
    at: tuple[float, float],
    flip: bool,
    window: tuple[int, int],
    medial: float,
    above: float,
    turn_degrees: float = 0.0,
    scale: float = 1.0,
) -> Pixels:
    """Return the surroundings of a joint as those of a left one.

    Parameters
    ----------
    values
        (rows, columns).
    at
        (x, y) of the joint's centre, in pixels.
    flip
        It is a right one: right and left are exchanged.
    window
        Rows and columns wanted.
    medial, above
        How far the window reaches from the joint to the body's middle, and upwards, in pixels.
    turn_degrees, scale
        Turned and enlarged by so much, for training.
    """
    rows, columns = np.meshgrid(np.arange(window[0]) - above, np.arange(window[1]) - medial, indexing="ij")
    cos, sin = np.cos(np.radians(turn_degrees)) / scale, np.sin(np.radians(turn_degrees)) / scale
    dy, dx = cos * rows + sin * columns, cos * columns - sin * rows
    place = (at[1] + dy, at[0] + (-dx if flip else dx))
    return np.asarray(map_coordinates(values, place, order=1, mode="constant", cval=0.0), dtype=np.float32)


def evened(values: Pixels) -> Pixels:
    """Return a window with exposure evened out: edges and lines first, large areas of light and dark faintly.

    Each part has mean 0 and standard deviation 1 before they are added.
    """
    fine = values - gaussian_filter(values, _LOCAL_PX)
    parts = [(part - part.mean()) / max(float(part.std()), 5e-3) for part in (fine, values)]
    return np.asarray(parts[0] + _COARSE * parts[1], dtype=np.float32)
