"""The font of pictures: unlike Pillow's own it has the letters of European languages."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

FILE: Final = Path(__file__).with_suffix(".ttf")


@lru_cache(maxsize=32)
def lettering(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font at a height in pixels."""
    return ImageFont.truetype(FILE, size_px)


def fitting(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> str:
    """Return text cut to a width in pixels, an ellipsis where something is missing."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}…") > width_px:
        text = text[:-1].rstrip()
    return f"{text}…"


def lines(text: str, font: ImageFont.FreeTypeFont, width_px: float, *, most: int = 2) -> list[str]:
    """Return text in lines of at most a width in pixels; the last of `most` lines is cut if need be."""
    found: list[str] = []
    words = text.split()
    while words and len(found) < most - 1:
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width_px:
            line = f"{line} {words.pop(0)}"
        found.append(fitting(line, font, width_px))
    return [*found, fitting(" ".join(words), font, width_px)] if words else found
