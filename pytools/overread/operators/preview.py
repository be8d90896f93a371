"""A picture of the slice on which a mask is largest, with its outline: what a list or a mail shows of a result."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from overread.dicom.geometry import VolumeGeometry
from overread.operators.lettering import fitting, lettering

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

_SIDE_PX: Final = 640
_BAND_PX: Final = 52
_OUTLINE: Final = (255, 64, 64)
PART_COLOURS: Final = ((255, 170, 40), (80, 200, 120), (70, 150, 255))
"""Outlines of the parts of an organ: orange, green, blue."""
_TEXT: Final = (235, 235, 235)
_DIM: Final = (170, 170, 170)
_WINDOW: Final = (1.0, 99.7)
"""Percentiles of the slice that become black and white."""
_LETTERS: Final = (("L", "R"), ("P", "A"), ("S", "I"))
"""Side to which an LPS axis points in the positive and negative direction."""


def preview_png(
    values: Values,
    mask: Mask,
    geometry: VolumeGeometry,
    *,
    caption: str,
    note: str,
    parts: Sequence[Mask] = (),
    window: tuple[float, float] | None = None,
) -> bytes:
    """Return a PNG of the largest slice of a mask, or of the middle slice if the mask is empty.

    Parameters
    ----------
    values
        (slices, rows, columns) of the series.
    mask
        Of the same shape.
    geometry
        Grid of both; the picture has the true proportions.
    caption
        First line below the picture. It holds no patient data: previews travel.
    note
        Second, dimmer line.
    parts
        Outlined in colours of their own instead of the mask, in the order of `PART_COLOURS`.
    window
        Values that become black and white; without it the slice's own range.
    """
    figure, k = key_slice(values, mask, geometry, side_px=_SIDE_PX, parts=parts, window=window)
    picture = Image.new("RGB", (max(figure.width, _SIDE_PX), figure.height + _BAND_PX))
    picture.paste(figure, ((picture.width - figure.width) // 2, 0))
    _caption(picture, f"slice {k + 1}/{geometry.shape[0]}", caption=caption, note=note)
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def key_slice(
    values: Values,
    mask: Mask,
    geometry: VolumeGeometry,
    *,
    side_px: int,
    shown_px: int = _SIDE_PX,
    parts: Sequence[Mask] = (),
    window: tuple[float, float] | None = None,
) -> tuple[Image.Image, int]:
    """Return the slice on which a mask is largest, outlined, with the letters of its sides; and which slice it is.

    Parameters
    ----------
    values, mask, geometry, parts, window
        As for `preview_png`.
    side_px
        Length of the picture's longer side.
    shown_px
        Length at which it will be looked at: outline and letters are made for that.
    """
    areas = mask.sum(axis=(1, 2))
    k = int(np.argmax(areas)) if areas.any() else len(areas) // 2
    grey = slice_picture(values[k], geometry, side_px=side_px, window=window)
    width = max(1, round(side_px / shown_px))
    pixels = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2).copy()
    for part, colour in zip(parts, PART_COLOURS, strict=False) if parts else [(mask, _OUTLINE)]:
        plane = Image.fromarray(part[k].astype(np.uint8) * 255).resize(grey.size, Image.Resampling.BILINEAR)
        large = np.asarray(plane) > 127  # noqa: PLR2004 - half of 255
        pixels[ndimage.binary_dilation(large, iterations=width) & ~ndimage.binary_erosion(large, iterations=width)] = (
            colour
        )
    figure = Image.fromarray(pixels)
    _letter_sides(figure, geometry, size=round(18 * side_px / shown_px))
    return figure, k


def slice_picture(
    plane: Values, geometry: VolumeGeometry, *, side_px: int, window: tuple[float, float] | None = None
) -> Image.Image:
    """Return a slice in grey and in its true proportions, `side_px` along its longer side."""
    _, rows_mm, columns_mm = geometry.spacing_mm
    height_mm, width_mm = geometry.shape[1] * rows_mm, geometry.shape[2] * columns_mm
    scale = side_px / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    return Image.fromarray(_to_grey(plane, window)).resize(size, Image.Resampling.BICUBIC)


def _to_grey(plane: Values, window: tuple[float, float] | None) -> NDArray[np.uint8]:
    low, high = window or np.percentile(plane, _WINDOW)
    return np.asarray(np.clip((plane - low) / max(float(high - low), 1e-6), 0.0, 1.0) * 255, dtype=np.uint8)


def _caption(picture: Image.Image, place: str, *, caption: str, note: str) -> None:
    draw = ImageDraw.Draw(picture)
    large, small = lettering(18), lettering(14)
    top = picture.height - _BAND_PX
    draw.text((10, top + 6), fitting(caption, large, picture.width - 130), font=large, fill=_TEXT)
    draw.text((10, top + 30), fitting(note, small, picture.width - 20), font=small, fill=_DIM)
    draw.text((picture.width - 10, top + 8), place, font=small, fill=_DIM, anchor="ra")


def _letter_sides(figure: Image.Image, geometry: VolumeGeometry, *, size: int) -> None:
    draw, font = ImageDraw.Draw(figure), lettering(size)
    width, height = figure.size
    right, left = _side(geometry.affine_lps[:3, 2])
    bottom, upper = _side(geometry.affine_lps[:3, 1])
    draw.text((8, height // 2), left, font=font, fill=_TEXT, anchor="lm")
    draw.text((width - 8, height // 2), right, font=font, fill=_TEXT, anchor="rm")
    draw.text((width // 2, 6), upper, font=font, fill=_TEXT, anchor="ma")
    draw.text((width // 2, height - 6), bottom, font=font, fill=_TEXT, anchor="md")


def _side(direction: NDArray[np.float64]) -> tuple[str, str]:
    """Return the letters of the sides towards and against a direction (LPS)."""
    axis = int(np.argmax(np.abs(direction)))
    towards, against = _LETTERS[axis]
    return (towards, against) if direction[axis] > 0 else (against, towards)
