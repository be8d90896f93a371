"""The page of measurements is made from the results, and from nothing else."""

from __future__ import annotations

from bench import report


def test_the_page_is_that_of_the_results() -> None:
    assert report.PAGE.read_text() == report.page(report.load()), "run: make bench"


def test_ratios_are_of_rounds_side_by_side() -> None:
    assert report.ratios([100, 50, 10], [50, 50, 20]) == 1.0


def test_a_receiver_that_was_not_there_is_named() -> None:
    rates = {"Overread": [10.0, 20.0]}
    ingest = {
        "images_per_s": {"1": rates, "4": rates},
        "filed_per_s": {"1": [9.0], "4": [9.0]},
        "cpu_ms_per_image": {"Overread": [4.0]},
        "memory_mb": {"Overread": 200.0},
        "resident_mb": 150.0,
        "image_bytes": 525_000,
        "images": 100,
    }
    page = report.page({"ingest": ingest})
    assert "| Orthanc | not installed |" in page
    assert "x Orthanc)" not in page
