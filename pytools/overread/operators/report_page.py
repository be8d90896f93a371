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

from overread.operators.lettering import fitting, lettering, lines
from overread.study.progression import Change

SIDE_PX: Final = 1024
FIGURE_PX: Final = 500
"""Longest side of the key image where the page is drawn at 1024 pixels; a long table leaves it less."""
_SMALLEST_FIGURE_PX: Final = 430
_BACK, _PANEL, _GRID = (14, 17, 22), (24, 29, 36), (58, 66, 78)
_TEXT, _DIM = (238, 240, 243), (168, 176, 188)
_AI, _READER, _ALARM, _BANNER = (94, 170, 255), (120, 220, 140), (255, 96, 96), (196, 60, 20)
_MARGIN, _GAP = 28, 20
_WARNINGS: Final = 3
_TICKS: Final = 4
_DATE_PX: Final = 104
_TITLE_LINES: Final = 2
_HEAD_PX, _ROW_PX, _NOTE_PX, _FOOT_PX, _FACT_PX = 24, 27, 23, 20, 25
_CAPTION_PX: Final = 28
_MODEL_PX: Final = 232.0
_VALUE_PX: Final = (40, 34, 28)


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
        self._text((SIDE_PX - _MARGIN, 54), f"Exam {when}", 23, _TEXT, anchor="ra")
        top = self._title()
        rows = len(page.changes)
        while rows > 1 and SIDE_PX - top - self._below(rows) < _SMALLEST_FIGURE_PX:
            rows -= 1
        side = min(float(FIGURE_PX), SIDE_PX - top - self._below(rows))
        self._figure((_MARGIN, top, _MARGIN + side, top + side))
        left = _MARGIN + side + _GAP
        bottom = self._facts((left, top, SIDE_PX - _MARGIN, top + side + _CAPTION_PX))
        self._plot((left, bottom + _GAP, SIDE_PX - _MARGIN, top + side + _CAPTION_PX))
        self._notes(self._table((_MARGIN, top + side + _CAPTION_PX + _GAP), rows) + 8)
        return self._picture

    def _title(self) -> float:
        """Write the title, smaller where it is long; return where the rest begins."""
        room = SIDE_PX - 2 * _MARGIN - 210.0
        size = 27 if self._width(self._page.title, 27) <= room else 21
        y = 52.0
        for line in lines(self._page.title, self._font(size), room * self._scale, most=_TITLE_LINES):
            self._text((_MARGIN, y), line, size, _TEXT)
            y += size + 5
        return max(y + 8, 96)

    def _below(self, rows: int) -> float:
        """Return the height of all that stands below the key image, with so many rows of the table."""
        page = self._page
        warnings = len(page.warnings)
        table = _HEAD_PX + _ROW_PX * rows + (_HEAD_PX if rows < len(page.changes) else 0)
        notes = 8 + _HEAD_PX + _NOTE_PX * (min(warnings, _WARNINGS) + (warnings > _WARNINGS))
        return _CAPTION_PX + _GAP + table + notes + 24 + _FOOT_PX * len(page.footer)

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

    def _facts(self, box: tuple[float, float, float, float]) -> float:
        """Write value and facts; return where they end."""
        x, y, right, _ = box
        room = right - x - 140
        facts = [
            (label, lines(text, self._font(17), room * self._scale, most=2)) for label, text in self._page.facts if text
        ]
        bottom = y + 66 + _FACT_PX * sum(len(text) for _, text in facts) + 6
        self._box((x, y, right, bottom), _PANEL)
        size = next((one for one in _VALUE_PX if self._width(self._page.value, one) <= right - x - 32), _VALUE_PX[-1])
        self._text((x + 16, y + 34), self._page.value, size, _TEXT, anchor="lm", width=right - x - 32)
        at = y + 66
        for label, text in facts:
            self._text((x + 16, at), label, 17, _DIM)
            for line in text:
                self._text((x + 124, at), line, 17, _TEXT)
                at += _FACT_PX
        return bottom

    def _plot(self, box: tuple[float, float, float, float]) -> None:
        x, y, right, bottom = box
        self._box(box, _PANEL)
        self._text((x + 16, y + 8), f"{self._page.measure} over time ({self._page.unit})", 17, _DIM)
        points = [c for c in self._page.changes if c.point.volume_ml is not None]
        if not points:
            self._text(((x + right) / 2, (y + bottom) / 2), "No value to plot", 18, _DIM, anchor="mm")
            return
        limit = self._threshold_ml()
        inner = (x + 62, y + 40, right - (24 if limit is None else 64), bottom - 36)
        days = [c.point.date.toordinal() for c in points]
        highest = max(*(c.point.volume_ml or 0.0 for c in points), limit or 0.0) or 1.0
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
        if limit is not None:
            for start in range(round(inner[0]), round(inner[2]), 12):  # dashed
                self._line([(start, up(limit)), (min(start + 6.0, inner[2]), up(limit))], _ALARM, 1)
            self._text((inner[2] + 10, up(limit)), f"+{self._page.threshold_pct:g} %", 14, _ALARM, anchor="lm")
        self._dates(inner, days, across)
        self._line([(across(day), up(c.point.volume_ml or 0.0)) for day, c in zip(days, points, strict=True)], _DIM, 2)
        for day, change in zip(days, points, strict=True):
            self._mark(across(day), up(change.point.volume_ml or 0.0), change)

    def _threshold_ml(self) -> float | None:
        """Return where growth of the newest value would count, None where it is compared with nothing."""
        newest = self._page.changes[-1] if self._page.changes else None
        if newest is None or newest.baseline is None or not newest.baseline.volume_ml:
            return None
        return newest.baseline.volume_ml * (1.0 + self._page.threshold_pct / 100.0)

    def _dates(self, inner: tuple[float, float, float, float], days: Sequence[int], across: Any) -> None:
        taken: list[float] = []
        newest, *rest = sorted(set(days), reverse=True)
        for day in (
            newest,
            *rest[-1:],
            *rest[:-1],
        ):  # the newest and the first date are told, the others where there is room
            where = min(max(across(day), inner[0] + 20), inner[2] - 30)
            if all(abs(where - other) > _DATE_PX for other in taken):
                self._text((where, inner[3] + 8), dt.date.fromordinal(day).isoformat(), 15, _DIM, anchor="ma")
                taken.append(where)

    def _mark(self, x: float, y: float, change: Change) -> None:
        colour = _ALARM if change.crossed else (_READER if change.point.origin == "edited" else _AI)
        r = 7 if change.crossed else 6
        corners = [value * self._scale for value in (x - r, y - r, x + r, y + r)]
        if change.point.origin == "edited":
            self._draw.rectangle(corners, fill=colour, outline=_TEXT)
        else:
            self._draw.ellipse(corners, fill=colour, outline=_TEXT)

    def _table(self, at: tuple[float, float], rows: int) -> float:
        x, y = at
        columns = (
            (0, "Exam", "la"), (236, f"{self._page.measure} {self._page.unit}", "ra"), (350, "Change", "ra"),
            (450, "Percent", "ra"), (474, "By", "la"), (560, "Model", "la"), (800, "Meaning", "la"),
        )  # fmt: skip
        for offset, head, anchor in columns:
            self._text((x + offset, y), head, 16, _DIM, anchor=anchor)
        y += _HEAD_PX
        self._line([(x, y), (SIDE_PX - _MARGIN, y)], _GRID, 1)
        shown = self._page.changes[len(self._page.changes) - rows :]
        hidden = len(self._page.changes) - len(shown)
        for change in shown:
            colour = _ALARM if change.crossed else _TEXT
            for (offset, _, anchor), text in zip(columns, _cells(change), strict=True):
                room = {560: _MODEL_PX, 800: SIDE_PX - _MARGIN - x - 800.0}.get(offset)
                shown_text = self._model(text) if offset == 560 else text  # noqa: PLR2004 - its column
                self._text((x + offset, y + 4), shown_text, 18, colour, anchor=anchor, width=room)
            y += _ROW_PX
        if hidden:
            self._text((x, y + 4), f"and {hidden} earlier", 16, _DIM)
            y += _HEAD_PX
        return y

    def _model(self, text: str) -> str:
        """Return name and version of a model with the version whole, whatever becomes of the name."""
        name, _, version = text.rpartition(" ")
        room = _MODEL_PX - self._width(f" {version}", 18)
        return f"{fitting(name, self._font(18), room * self._scale)} {version}".strip()

    def _notes(self, y: float) -> None:
        page = self._page
        marks = "Circles: model; squares: corrected by a reader."
        self._text((_MARGIN, y), f"Red: growth of {page.threshold_pct:g} % or more beyond noise. {marks}", 15, _DIM)
        y += _HEAD_PX
        for warning in page.warnings[:_WARNINGS]:
            self._text((_MARGIN, y), f"Warning: {warning}", 16, (255, 190, 90), width=SIDE_PX - 2 * _MARGIN)
            y += _NOTE_PX
        if len(page.warnings) > _WARNINGS:
            self._text(
                (_MARGIN, y), f"and {len(page.warnings) - _WARNINGS} more warnings, told with the result", 16, _DIM
            )
        at = SIDE_PX - 12 - _FOOT_PX * len(page.footer)
        for line in page.footer:
            self._text((_MARGIN, at), line, 14, _DIM, width=SIDE_PX - 2 * _MARGIN)
            at += _FOOT_PX

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
        font = self._font(size)
        shown = text if width is None else fitting(text, font, width * self._scale)
        self._draw.text((at[0] * self._scale, at[1] * self._scale), shown, font=font, fill=colour, anchor=anchor)

    def _font(self, size: int) -> ImageFont.FreeTypeFont:
        return lettering(size * self._scale)

    def _width(self, text: str, size: int) -> float:
        return self._font(size).getlength(text) / self._scale


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
