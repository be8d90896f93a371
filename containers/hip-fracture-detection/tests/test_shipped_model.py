"""What is shipped: weights that the card names, small enough, and figures that were measured with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from overread.operators.keras_card import load_detection_card

MODEL = Path(__file__).parents[1] / "model"


def test_weights_are_the_cards_and_hold_numbers_alone():
    card = load_detection_card(MODEL)
    path = MODEL / card.weights.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card.weights.sha256
    assert path.stat().st_size < 8_000_000
    with np.load(path, allow_pickle=False) as stored:
        assert {name.partition(".")[0] for name in stored.files} == {"finder", "classifier"}
        assert all(np.isfinite(stored[name]).all() for name in stored.files)


def test_the_figures_are_those_of_the_card():
    report = json.loads((MODEL / "evaluation.json").read_text())
    card = load_detection_card(MODEL)
    assert report["temperature"] == card.classifier.temperature
    assert report["both_hips_found"]["share"] >= 0.98
    assert report["class_accuracy"] >= 0.90
    assert report["expected_calibration_error"] < 0.05
    assert (MODEL / "reliability.png").read_bytes().startswith(b"\x89PNG")
