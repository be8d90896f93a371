"""Calibrates the classifier on a set of its own, or judges the model on the held-out set and writes what came out.

`evaluate.py calibrate` fits the temperature and writes it, with the weights' hash, to the card; `evaluate.py test`
looks at the held-out set (400 images, seeds from 8,000,000: `images.py`), once, and writes ``evaluation.json`` and
``reliability.png`` beside the card; `evaluate.py validate` prints the same of the set that choices are made on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from images import ANTERIOR, FIRST_SEED, LATERAL, OTHER, SPACING_MM, Example, load_set
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from overread.operators.detect import Detector
from overread.operators.keras_card import load_detection_card
from overread.operators.keras_nets import SIDES, VIEWS
from overread.synthetic.hip_conditions import CLASSES

MODEL: Final = Path(__file__).parents[1] / "model"
_NEAR_MM: Final = 20.0
_BINS: Final = 10
_FRACTURE: Final = CLASSES.index("fracture")


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What the model makes of one image: view, places by side (x, y) or None, and probabilities by side or None."""

    view: str
    places: list[tuple[float, float] | None]
    logits: list[NDArray[np.float64] | None]


def look(detector: Detector, example: Example) -> Look:
    """Run the model over one image."""
    values = example.image.astype(np.float32) / 255.0
    probabilities, maps, start = detector.view_of(values, SPACING_MM)
    view = VIEWS[int(np.argmax(probabilities))]
    found = detector.places(maps, start, SPACING_MM) if view == "upright" else {}
    places = [found[side][:2] if side in found else None for side in SIDES]
    logits = [
        None if place is None else detector.classify(values, SPACING_MM, place, side)
        for side, place in zip(SIDES, places, strict=True)
    ]
    return Look(view=view, places=places, logits=logits)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities; the last axis is that of the classes."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def calibrate(examples: list[Example]) -> None:
    """Fit the temperature by which the log-likelihood of the set is largest, and write it to the card."""
    path = MODEL / "card.yaml"
    text = re.sub(r"temperature: \S+", "temperature: 1.0", path.read_text("utf-8"))
    digest = hashlib.sha256((MODEL / "weights.npz").read_bytes()).hexdigest()
    path.write_text(re.sub(r"sha256: \S+", f"sha256: {digest}", text, count=1), "utf-8")
    detector = Detector(MODEL, load_detection_card(MODEL))
    logits, truth = [], []
    for example in examples:
        seen = look(detector, example)
        for side in range(len(SIDES)):
            if example.classes[side] >= 0 and (found := seen.logits[side]) is not None:
                logits.append(found)
                truth.append(int(example.classes[side]))
    stacked = np.stack(logits)
    grid = np.round(np.geomspace(0.4, 4.0, 181), 3)
    costs = [-np.log(softmax(stacked / t)[np.arange(len(truth)), truth] + 1e-12).mean() for t in grid]
    best = float(grid[int(np.argmin(costs))])
    path.write_text(re.sub(r"temperature: \S+", f"temperature: {best:g}", path.read_text("utf-8")), "utf-8")
    accuracy = float((stacked.argmax(axis=1) == truth).mean())
    print(f"temperature {best:g} from {len(truth)} hips, accuracy there {accuracy:.3f}")


def judge(name: str, examples: list[Example]) -> tuple[dict[str, Any], list[tuple[float, int, float, float]]]:
    """Return what the model makes of a set, and the bins of its reliability."""
    detector = Detector(MODEL, load_detection_card(MODEL))
    looks = [look(detector, example) for example in examples]
    both, both_found, distances = 0, 0, []
    confidence, right, truth, guess, severity = [], [], [], [], []
    for example, seen in zip(examples, looks, strict=True):
        if example.kind != ANTERIOR:
            continue
        wanted = [side for side in range(len(SIDES)) if example.classes[side] >= 0]
        near = {}
        for side in wanted:
            place = seen.places[side]
            if place is not None:
                distance = float(np.hypot(*(np.array(place) - example.heads[side]))) * SPACING_MM
                near[side] = distance < _NEAR_MM
                distances.append(distance)
        if len(wanted) == len(SIDES):
            both += 1
            both_found += all(near.get(side, False) for side in wanted)
        for side in wanted:
            truth.append(int(example.classes[side]))
            severity.append(float(example.severity[side]))
            found = seen.logits[side]
            chances = np.zeros(len(CLASSES)) if found is None else softmax(found)
            guess.append(-1 if found is None else int(np.argmax(chances)))
            if found is not None:
                confidence.append(float(chances.max()))
                right.append(guess[-1] == truth[-1])
    hit = np.array(guess) == np.array(truth)
    by_class = {name: _share(hit, np.array(truth) == i) for i, name in enumerate(CLASSES)}
    broken = np.array(truth) == _FRACTURE
    bins = reliability(np.array(confidence), np.array(right))
    kinds = {"lateral": LATERAL, "other": OTHER}
    report = {
        "set": {"first_seed": FIRST_SEED[name], "images": len(examples), "hips": len(truth), "pixel_mm": SPACING_MM},
        "both_hips_found": {"images": both, "share": round(both_found / max(both, 1), 4), "within_mm": _NEAR_MM},
        "head_error_mm": {"median": round(float(np.median(distances)), 2), "p95": _percentile(distances, 95)},
        "class_accuracy": round(float(hit.mean()), 4),
        "class_accuracy_by_class": by_class,
        "fractures_found_by_displacement": {
            "least (severity below 0.2)": _share(hit, broken & (np.array(severity) < 0.2)),
            "more": _share(hit, broken & (np.array(severity) >= 0.2)),
        },
        "confusion": {
            name: {
                other: int(((np.array(truth) == i) & (np.array(guess) == j)).sum()) for j, other in enumerate(CLASSES)
            }
            for i, name in enumerate(CLASSES)
        },
        "expected_calibration_error": round(sum(n * abs(said - was) for _, n, said, was in bins) / len(right), 4),
        "reliability": [
            {"from": low, "hips": n, "confidence": round(said, 4), "accuracy": round(was, 4)}
            for low, n, said, was in bins
        ],
        "refused": {
            name: _share(
                np.array([seen.view != "upright" for seen in looks]), np.array([e.kind == kind for e in examples])
            )
            for name, kind in kinds.items()
        },
        "temperature": detector.card.classifier.temperature,
    }
    return report, bins


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[float, int, float, float]]:
    """Return (lower end, hips, mean confidence, share that is right) of each bin that holds any."""
    number = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        (i / _BINS, int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        for i in range(_BINS)
        if (here := number == i).any()
    ]


def draw_reliability(bins: list[tuple[float, int, float, float]], path: Path) -> None:
    """Draw how often the model is right when it says how sure it is."""
    side, edge = 460, 64
    picture = Image.new("RGB", (side + edge + 24, side + edge + 40), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=15)
    x0, y0 = edge, 30

    def at(x: float, y: float) -> tuple[float, float]:
        return x0 + x * side, y0 + (1.0 - y) * side

    for low, count, said, was in bins:
        draw.rectangle((*at(low + 0.01, was), *at(low + 0.09, 0.0)), fill=(150, 190, 230))
        draw.text((at(low + 0.015, 0.0)[0], y0 + side - 18), str(count), font=font, fill=(40, 60, 90))
        x, y = at(said, was)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(200, 60, 40))
    draw.line((*at(0, 0), *at(1, 1)), fill=(90, 90, 90), width=1)
    draw.rectangle((*at(0, 1), *at(1, 0)), outline=(0, 0, 0))
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.text((at(tick, 0)[0] - 12, y0 + side + 6), f"{tick:.2f}", font=font, fill="black")
        draw.text((x0 - 40, at(0, tick)[1] - 9), f"{tick:.2f}", font=font, fill="black")
    draw.text((x0, 6), "Share of hips classified rightly, by confidence (number of hips)", font=font, fill="black")
    draw.text((x0 + side // 2 - 40, y0 + side + 28), "confidence", font=font, fill="black")
    picture.save(path)


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> dict[str, float | int]:
    return {"of": int(among.sum()), "share": round(float(hit[among].mean()), 4) if among.any() else 0.0}


def _percentile(values: list[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 2)


def main() -> None:
    """Calibrate, or judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("validate", "calibrate", "test"))
    parser.add_argument("--images", type=Path, required=True)
    arguments = parser.parse_args()
    examples = load_set(arguments.what, arguments.images)
    if arguments.what == "calibrate":
        calibrate(examples)
        return
    report, bins = judge(arguments.what, examples)
    text = json.dumps(report, indent=1)
    if arguments.what == "test":
        (MODEL / "evaluation.json").write_text(text + "\n", "utf-8")
        draw_reliability(bins, MODEL / "reliability.png")
    print(text)


if __name__ == "__main__":
    main()
