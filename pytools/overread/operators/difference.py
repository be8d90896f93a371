"""A picture of what a reader changed: key slices with what was kept, added and removed."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.operators.lettering import lettering
from overread.operators.preview import Mask, Values, slice_picture

ADDED: Final = (230, 159, 0)
REMOVED: Final = (86, 180, 233)
_KEPT: Final = (255, 255, 255)
"""Orange and sky blue of Okabe and Ito (2008), and white: told apart with every kind of colour blindness."""
_TEXT: Final = (235, 235, 235)
_SLICES: Final = 6
_COLUMNS: Final = 3
_SIDE_PX: Final = 320
_LEGEND_PX: Final = 34
_APART: Final = 2
"""Slices nearer than this to one that is shown tell little more."""


def difference_png(values: Values, now: Mask, before: Mask, geometry: VolumeGeometry) -> bytes:
    """Return a PNG of the slices that changed most, at most six of them, top to bottom of the head.

    What was added is filled orange, what was removed is filled sky blue; a white line goes round what both have.

    Parameters
    ----------
    values
        (slices, rows, columns) of the series.
    now, before
        Of the same shape: the reader's mask and the one it corrects.
    geometry
        Grid of all three; the picture has the true proportions.
    """
    tiles = [_tile(values, now, before, geometry, k) for k in key_slices(now, before)]
    width, height = tiles[0].size
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    picture = Image.new("RGB", (max(columns * width, _SIDE_PX), rows * height + _LEGEND_PX))
    for number, tile in enumerate(tiles):
        picture.paste(tile, ((number % columns) * width, (number // columns) * height))
    _legend(picture)
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def key_slices(now: Mask, before: Mask) -> list[int]:
    """Return the slices that differ most, apart from each other, in order; if none does, that of the most mask."""
    changed = (now ^ before).sum(axis=(1, 2))
    if not changed.any():
        return [int(np.argmax((now | before).sum(axis=(1, 2))))]
    chosen: list[int] = []
    for k in np.argsort(-changed, kind="stable"):
        if changed[k] == 0 or len(chosen) == _SLICES:
            break
        if all(abs(int(k) - other) >= _APART for other in chosen):
            chosen.append(int(k))
    return sorted(chosen)


def _tile(values: Values, now: Mask, before: Mask, geometry: VolumeGeometry, k: int) -> Image.Image:
    grey = slice_picture(values[k], geometry, side_px=_SIDE_PX)
    pixels = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2).copy()
    for mask, colour in ((now[k] & ~before[k], ADDED), (before[k] & ~now[k], REMOVED)):
        where = _enlarged(mask, grey.size)
        pixels[where] = (0.3 * pixels[where] + 0.7 * np.array(colour)).astype(np.uint8)
    kept = _enlarged(now[k] & before[k], grey.size)
    pixels[kept & ~ndimage.binary_erosion(kept)] = _KEPT
    tile = Image.fromarray(pixels)
    font = lettering(14)
    ImageDraw.Draw(tile).text((6, 4), f"{k + 1}/{geometry.shape[0]}", font=font, fill=_TEXT)
    return tile


def _enlarged(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a slice's mask at a picture's size (width, height), voxel by voxel."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0


def _legend(picture: Image.Image) -> None:
    draw, font = ImageDraw.Draw(picture), lettering(15)
    top, left = picture.height - _LEGEND_PX + 8, 10
    for colour, words, filled in ((ADDED, "added", True), (REMOVED, "removed", True), (_KEPT, "in both", False)):
        draw.rectangle((left, top, left + 18, top + 16), outline=colour, fill=colour if filled else None, width=2)
        draw.text((left + 26, top), words, font=font, fill=_TEXT)
        left += round(26 + font.getlength(words) + 28)
