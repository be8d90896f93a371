"""The report's page: its letters, and that all of it has room, whatever is said."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from PIL import Image

from overread.operators.lettering import fitting, lettering, lines
from overread.operators.report_page import SIDE_PX, ReportPage, _Painter, draw_page
from overread.study.manifest import Progression
from overread.study.progression import TimePoint, follow

LONG = "Niedriggradiges Gliom: Größenverlauf unter Überwachung, Städtisches Klinikum Königs Wusterhausen " * 3
MODEL = "brain-tumor-segmentation-with-a-long-name 10.20.30-rc1"


def page(*, exams: int, warnings: int = 0, title: str = "Glioma") -> ReportPage:
    points = [
        TimePoint(dt.date(2000 + n, 1, 2), 10.0 + n, study_instance_uid=str(n), label=str(n), model=MODEL)
        for n in range(exams)
    ]
    return ReportPage(
        title=title,
        exam_date=dt.date(2025, 1, 2),
        value="Longest axial diameter of all 112.3 mm",
        facts=(("Model", MODEL), ("Series", LONG), ("Lesions", ""), ("Compared", LONG)),
        figure=Image.new("RGB", (860, 500), (60, 60, 60)),
        figure_caption="Slice 3 of 4",
        measure="Lesion volume",
        unit="mL",
        changes=follow(points, Progression.model_validate({"measure": "lesion_volume_ml"})),
        threshold_pct=40,
        warnings=["Die Läsion liegt außerhalb des Kopfes. " * 9] * warnings,
        footer=("one", "two", "three"),
    )


@pytest.mark.parametrize("letter", list("äöüÄÖÜßéñøłčşőžΩЖ…±²→≥"))
def test_the_font_has_european_letters(letter):
    font = lettering(32)
    missing = bytes(font.getmask("\U000e0000"))
    assert bytes(font.getmask(letter)) not in {missing, b""}


def test_text_is_cut_to_its_room():
    font = lettering(17)
    assert fitting("short", font, 200) == "short"
    cut = fitting(LONG, font, 200)
    assert cut.endswith("…")
    assert font.getlength(cut) <= 200
    two = lines(LONG, font, 300)
    assert len(two) == 2
    assert all(font.getlength(line) <= 300 for line in two)
    assert " ".join(lines("a b c", font, 300)) == "a b c"


@pytest.mark.parametrize("exams", [1, 6, 30])
@pytest.mark.parametrize("warnings", [0, 5])
@pytest.mark.parametrize("title", ["Glioma", LONG])
def test_nothing_is_written_over_or_beyond_the_page(exams, warnings, title, monkeypatch):
    said: list[tuple[float, float, str]] = []
    write: Any = _Painter._text

    def noted(self, at, text, size, colour, *, anchor="la", width=None):
        said.append((at[1], at[1] + size, text))
        width_px = lettering(size).getlength(text)
        assert width is not None or anchor[0] != "l" or at[0] + width_px <= SIDE_PX, f"too wide: {text}"
        write(self, at, text, size, colour, anchor=anchor, width=width)

    monkeypatch.setattr(_Painter, "_text", noted)
    draw_page(page(exams=exams, warnings=warnings, title=title))
    footer = min(top for top, _, text in said if text == "one")
    assert max(bottom for _, bottom, text in said if text not in {"one", "two", "three"}) <= footer
    told = [text for _, _, text in said]
    rows = sum(text.endswith(" 10.20.30-rc1") and text != MODEL for text in told)
    assert rows >= min(exams, 5), "the version stands whole in each row"
    assert rows == exams or f"and {exams - rows} earlier" in told
    assert "2025-01-02" in " ".join(told)
