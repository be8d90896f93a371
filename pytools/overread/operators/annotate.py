"""Radiographs with the boxes of what was found: what a list shows, and what is stored beside the images."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from overread.operators.lettering import fitting, lettering
from overread.operators.radiographs import RadiographImage
from overread.operators.result import Finding

_SIDE_PX: Final = 900
_BAND_PX: Final = 52
_COLOURS: Final = ((255, 196, 60), (96, 200, 255), (170, 255, 150), (255, 120, 220))
_TEXT, _DIM = (235, 235, 235), (170, 170, 170)


def annotated(
    images: Sequence[RadiographImage], findings: Sequence[Finding], *, note: str, side_px: int = _SIDE_PX
) -> NDArray[np.uint8]:
    """Return one picture of all images that a finding lies on, side by side, with boxes and what they say.

    Images are shown as they are stored, bone bright. No patient data: pictures travel.

    Parameters
    ----------
    images
        Those that findings refer to, at least one.
    findings
        With boxes.
    note
        Line below the picture.
    side_px
        Longer side of each image.

    Returns
    -------
    numpy.ndarray
        (rows, columns, 3).
    """
    shown = [image for image in images if any(f.box and f.box.sop_instance_uid == image.uid for f in findings)]
    panels = [_panel(image, findings, side_px) for image in shown]
    width, height = sum(p.width for p in panels) + 8 * (len(panels) - 1), max(p.height for p in panels)
    picture = Image.new("RGB", (max(width, 480), height + _BAND_PX))
    x = 0
    for panel in panels:
        picture.paste(panel, (x, 0))
        x += panel.width + 8
    draw = ImageDraw.Draw(picture)
    large, small = lettering(18), lettering(14)
    line = "    ".join(f"{f.side} {f.cls} {f.confidence:.2f}" for f in findings)
    draw.text((10, height + 6), fitting(line, large, picture.width - 20), font=large, fill=_TEXT)
    draw.text((10, height + 30), fitting(note, small, picture.width - 20), font=small, fill=_DIM)
    return np.asarray(picture, dtype=np.uint8)


def as_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def _panel(image: RadiographImage, findings: Sequence[Finding], side_px: int) -> Image.Image:
    values = image.stored_values
    scale = side_px / max(values.shape)
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    grey = Image.fromarray(np.rint(255.0 * values).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    panel = grey.convert("RGB")
    draw = ImageDraw.Draw(panel)
    font = lettering(18)
    for number, finding in enumerate(findings):
        box = finding.box
        if box is None or box.sop_instance_uid != image.uid:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        corners = (box.x, box.y, box.x + box.width, box.y + box.height)
        left, top, right, bottom = (value * scale for value in corners)
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        draw.text((left + 4, max(top - 24, 2)), f"{finding.side}: {finding.cls}", font=font, fill=colour)
    return panel
