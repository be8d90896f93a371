"""The page of a report as a picture: key image, values over time as plot and table, what made them.

Drawn by Pillow alone, at 1024 pixels or a multiple; colours are those of a reading room, light on dark. It names no
patient: the object that holds it does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from overread.operators.preview import fitting
from overread.study.progression import Change

SIDE_PX: Final = 1024
FIGURE_PX: Final = 430
"""Side of the key image where the page is drawn at 1024 pixels."""
_BACK, _PANEL, _GRID = (14, 17, 22), (24, 29, 36), (58, 66, 78)
_TEXT, _DIM = (238, 240, 243), (168, 176, 188)
_AI, _READER, _ALARM, _BANNER = (94, 170, 255), (120, 220, 140), (255, 96, 96), (196, 60, 20)
_MARGIN, _GAP = 28, 20
_ROWS: Final = 9
_WARNINGS: Final = 3
_TICKS: Final = 4
_DATE_PX: Final = 104


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """What a page says.

    Parameters
    ----------
    title
        Of the study.
    exam_date
        Of the exam that the report is about; None if unknown.
    value
        The measure of this exam in words, such as ``12.3 mL``; what stands largest.
    facts
        Lines of label and text beside it; a long text takes a second line.
    figure
        Key image with outline.
    figure_caption
        What it shows.
    measure, unit
        What the plot and table follow.
    changes
        Value by value (`overread.study.progression.follow`).
    threshold_pct
        Growth that counts.
    warnings
        To be read before the numbers.
    footer
        Lines on what made it.
    """

    title: str
    exam_date: dt.date | None
    value: str
    facts: Sequence[tuple[str, str]]
    figure: Image.Image
    figure_caption: str
    measure: str
    unit: str
    changes: Sequence[Change]
    threshold_pct: float
    warnings: Sequence[str]
    footer: Sequence[str]


def draw_page(page: ReportPage, *, scale: int = 1) -> Image.Image:
    """Return the page as a square RGB picture of `scale` times 1024 pixels."""
    return _Painter(page, scale).paint()


class _Painter:
    def __init__(self, page: ReportPage, scale: int) -> None:
        self._page, self._scale = page, scale
        self._picture = Image.new("RGB", (SIDE_PX * scale, SIDE_PX * scale), _BACK)
        self._draw = ImageDraw.Draw(self._picture)

    def paint(self) -> Image.Image:
        page = self._page
        self._box((0, 0, SIDE_PX, 40), _BANNER)
        self._text((SIDE_PX / 2, 20), "RESEARCH USE ONLY, NOT FOR CLINICAL DECISIONS", 21, _TEXT, anchor="mm")
        when = page.exam_date.isoformat() if page.exam_date else "of unknown date"
        self._text((_MARGIN, 54), page.title, 27, _TEXT, width=SIDE_PX - 300)
        self._text((SIDE_PX - _MARGIN, 58), f"Exam {when}", 23, _TEXT, anchor="ra")
        side = FIGURE_PX
        top = 100
        self._figure((_MARGIN, top, _MARGIN + side, top + side))
        left = _MARGIN + side + _GAP
        self._facts((left, top, SIDE_PX - _MARGIN, top + 205))
        self._plot((left, top + 205 + _GAP, SIDE_PX - _MARGIN, top + side + 28))
        bottom = self._table((_MARGIN, top + side + 28 + _GAP))
        self._notes(bottom + 8)
        return self._picture

    def _figure(self, box: tuple[float, float, float, float]) -> None:
        x, y, right, bottom = box
        self._box(box, (0, 0, 0))
        room = round((right - x) * self._scale), round((bottom - y) * self._scale)
        figure = self._page.figure.copy()
        figure.thumbnail(room, Image.Resampling.LANCZOS)
        at = (
            round(x * self._scale) + (room[0] - figure.width) // 2,
            round(y * self._scale) + (room[1] - figure.height) // 2,
        )
        self._picture.paste(figure, at)
        self._text((x, bottom + 6), self._page.figure_caption, 16, _DIM, width=right - x)

    def _facts(self, box: tuple[float, float, float, float]) -> None:
        x, y, right, _ = box
        self._box(box, _PANEL)
        self._text((x + 16, y + 10), self._page.value, 40, _TEXT, width=right - x - 32)
        at = y + 64
        for label, text in self._page.facts:
            self._text((x + 16, at), label, 17, _DIM)
            for line in _lines(text, ImageFont.load_default(size=17), right - x - 166):
                self._text((x + 150, at), line, 17, _TEXT)
                at += 26

    def _plot(self, box: tuple[float, float, float, float]) -> None:
        x, y, right, bottom = box
        self._box(box, _PANEL)
        self._text((x + 16, y + 8), f"{self._page.measure} over time ({self._page.unit})", 17, _DIM)
        points = [c for c in self._page.changes if c.point.volume_ml is not None]
        if not points:
            self._text(((x + right) / 2, (y + bottom) / 2), "No value to plot", 18, _DIM, anchor="mm")
            return
        inner = (x + 62, y + 40, right - 24, bottom - 36)
        days = [c.point.date.toordinal() for c in points]
        highest = max(c.point.volume_ml or 0.0 for c in points) or 1.0
        step = _nice_step(highest * 1.12 / _TICKS)
        top_value = step * _TICKS if step * _TICKS >= highest * 1.02 else step * (_TICKS + 1)
        span = max(days) - min(days)

        def across(day: int) -> float:
            return inner[0] + (inner[2] - inner[0]) * ((day - min(days)) / span if span else 0.5)

        def up(value: float) -> float:
            return inner[3] - (inner[3] - inner[1]) * value / top_value

        value = 0.0
        while value <= top_value * 1.0001:
            self._line([(inner[0], up(value)), (inner[2], up(value))], _GRID, 1)
            self._text((inner[0] - 8, up(value)), f"{value:g}", 15, _DIM, anchor="rm")
            value = round(value + step, 9)
        self._dates(inner, days, across)
        self._line([(across(day), up(c.point.volume_ml or 0.0)) for day, c in zip(days, points, strict=True)], _DIM, 2)
        for day, change in zip(days, points, strict=True):
            self._mark(across(day), up(change.point.volume_ml or 0.0), change)

    def _dates(self, inner: tuple[float, float, float, float], days: Sequence[int], across: Any) -> None:
        right = inner[2] + 1e3
        for day in sorted(set(days), reverse=True):  # from the right: the newest date is always told
            where = min(max(across(day), inner[0] + 20), inner[2] - 30)
            if right - where > _DATE_PX:
                self._text((where, inner[3] + 8), dt.date.fromordinal(day).isoformat(), 15, _DIM, anchor="ma")
                right = where

    def _mark(self, x: float, y: float, change: Change) -> None:
        colour = _ALARM if change.crossed else (_READER if change.point.origin == "edited" else _AI)
        r = 7 if change.crossed else 6
        corners = [value * self._scale for value in (x - r, y - r, x + r, y + r)]
        if change.point.origin == "edited":
            self._draw.rectangle(corners, fill=colour, outline=_TEXT)
        else:
            self._draw.ellipse(corners, fill=colour, outline=_TEXT)

    def _table(self, at: tuple[float, float]) -> float:
        x, y = at
        columns = (
            (0, "Exam", "la"), (236, f"{self._page.measure} {self._page.unit}", "ra"), (350, "Change", "ra"),
            (450, "Percent", "ra"), (474, "By", "la"), (560, "Model", "la"), (800, "Meaning", "la"),
        )  # fmt: skip
        for offset, head, anchor in columns:
            self._text((x + offset, y), head, 16, _DIM, anchor=anchor)
        y += 24
        self._line([(x, y), (SIDE_PX - _MARGIN, y)], _GRID, 1)
        shown = list(self._page.changes)[-_ROWS:]
        hidden = len(self._page.changes) - len(shown)
        for change in shown:
            colour = _ALARM if change.crossed else _TEXT
            for (offset, _, anchor), text in zip(columns, _cells(change), strict=True):
                room = {560: 232.0, 800: SIDE_PX - _MARGIN - x - 800.0}.get(offset)
                self._text((x + offset, y + 4), text, 18, colour, anchor=anchor, width=room)
            y += 27
        if hidden:
            self._text((x, y + 4), f"and {hidden} earlier", 16, _DIM)
            y += 24
        return y

    def _notes(self, y: float) -> None:
        page = self._page
        marks = "Circles: model; squares: corrected by a reader."
        self._text((_MARGIN, y), f"Red: growth of {page.threshold_pct:g} % or more beyond noise. {marks}", 15, _DIM)
        y += 24
        for warning in page.warnings[:_WARNINGS]:
            self._text((_MARGIN, y), f"Warning: {warning}", 16, (255, 190, 90), width=SIDE_PX - 2 * _MARGIN)
            y += 23
        if len(page.warnings) > _WARNINGS:
            self._text(
                (_MARGIN, y), f"and {len(page.warnings) - _WARNINGS} more warnings, told with the result", 16, _DIM
            )
        at = SIDE_PX - 12 - 20 * len(page.footer)
        for line in page.footer:
            self._text((_MARGIN, at), line, 14, _DIM, width=SIDE_PX - 2 * _MARGIN)
            at += 20

    def _box(self, box: tuple[float, float, float, float], colour: tuple[int, int, int]) -> None:
        self._draw.rectangle([value * self._scale for value in box], fill=colour)

    def _line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: int) -> None:
        self._draw.line([(a * self._scale, b * self._scale) for a, b in points], fill=colour, width=width * self._scale)

    def _text(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        colour: tuple[int, int, int],
        *,
        anchor: str = "la",
        width: float | None = None,
    ) -> None:
        font = ImageFont.load_default(size=size * self._scale)
        shown = text if width is None else fitting(text, font, width * self._scale)
        self._draw.text((at[0] * self._scale, at[1] * self._scale), shown, font=font, fill=colour, anchor=anchor)


def _lines(text: str, font: Any, width: float) -> list[str]:
    """Return a text in at most two lines, the second one cut if need be."""
    words = text.split()
    first = ""
    while words and font.getlength(f"{first} {words[0]}".strip()) <= width:
        first = f"{first} {words.pop(0)}".strip()
    if not first:
        return [fitting(text, font, width)]
    return [first, fitting(" ".join(words), font, width)] if words else [first]


def _cells(change: Change) -> tuple[str, ...]:
    point = change.point
    return (
        point.date.isoformat(),
        "none" if point.volume_ml is None else f"{point.volume_ml:.1f}",
        "" if change.change_ml is None else f"{change.change_ml:+.1f}",
        "" if change.change_pct is None else f"{change.change_pct:+.0f} %",
        "reader" if point.origin == "edited" else "model",
        point.model,
        change.verdict,
    )


def _nice_step(raw: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** int(f"{raw:e}".partition("e")[2])
    return next(n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999)
