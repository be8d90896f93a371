"""Measure weights on held-out synthetic exams and write what was measured; numbers are never typed by hand.

``python evaluate.py --weights trained``
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from render import MODEL, geometry_of_grid, scan_grid
from scipy import ndimage

from overread.operators.cascade import Cascade, load_cascade
from overread.operators.liver import LEFT, PARTS, RIGHT, VESSELS, measure_liver, parts_of
from overread.synthetic import abdomen
from overread.synthetic.abdomen import draw_abdomen
from overread.synthetic.ct import draw_look, render
from overread.synthetic.mr import Triple

FIRST_SEED = 8_000_000
"""Fixed before the networks were trained, and looked at once; tuning has other seeds."""
_GRIDS: tuple[Triple, ...] = ((1.5, 0.8, 0.8), (2.0, 0.9, 0.9), (3.0, 0.75, 0.75), (5.0, 0.85, 0.85))
_VALUES = {LEFT: abdomen.LEFT, RIGHT: abdomen.RIGHT, VESSELS: abdomen.VESSELS}
_MAX_SKELETON = 12
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one exam showed."""

    seed: int
    spacing_mm: Triple
    shape: tuple[int, int, int]
    dice: dict[str, float]
    vessels_cldice: float
    truth_ml: dict[str, float]
    measured_ml: dict[str, float]
    remnant_pct_truth: float
    remnant_pct: float
    seconds: float


def main() -> None:
    """Evaluate and write the report."""
    options = _options()
    torch.set_num_threads(1)
    cascade = cascade_of(options.weights)
    cases = []
    for number in range(options.exams):
        cases.append(_measure(cascade, options.first_seed + number, _GRIDS[number % len(_GRIDS)]))
        print(cases[-1], flush=True)
    report = {
        "trained": {
            name: json.loads((options.weights / f"{name}.json").read_text("utf-8")) for name in cascade.card.stages
        },
        "first_seed": options.first_seed,
        **summary(cases),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "cases": [dataclasses.asdict(case) for case in cases],
    }
    options.report.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(summary(cases), indent=1))


def summary(cases: list[Case]) -> dict[str, Any]:
    """Return the figures of the model card."""
    found: dict[str, Any] = {"exams": len(cases)}
    for name in PARTS:
        values = [case.dice[name] for case in cases]
        off = [abs(case.measured_ml[name] / case.truth_ml[name] - 1) * 100 for case in cases]
        found[name] = {
            "dice_mean": round(float(np.mean(values)), 4),
            "dice_min": round(min(values), 4),
            "volume_error_pct_mean": round(float(np.mean(off)), 2),
        }
    clear = [case.vessels_cldice for case in cases]
    found[VESSELS] |= {"cldice_mean": round(float(np.mean(clear)), 4), "cldice_min": round(min(clear), 4)}
    away = [abs(case.remnant_pct - case.remnant_pct_truth) for case in cases]
    found["remnant_points_off_mean"] = round(float(np.mean(away)), 2)
    found["remnant_points_off_max"] = round(max(away), 2)
    found["seconds_per_exam_mean"] = round(float(np.mean([case.seconds for case in cases])), 1)
    return found


def cascade_of(trained: Path) -> Cascade:
    """Load what `train.py` wrote under the shipped card, so that what is measured is what the image does."""
    card = yaml.safe_load((MODEL / "card.yaml").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / card["weights"]["file"]
        torch.save(joined(trained, list(card["stages"])), weights)
        card["weights"]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        (Path(folder) / "card.yaml").write_text(yaml.safe_dump(card), "utf-8")
        return load_cascade(Path(folder))


def joined(trained: Path, stages: list[str]) -> dict[str, torch.Tensor]:
    """Return one state dict of all stages' weights."""
    return {
        f"{stage}.{name}": value
        for stage in stages
        for name, value in torch.load(trained / f"{stage}.pt", weights_only=True).items()
    }


def dice(one: Mask, other: Mask) -> float:
    """Return twice the overlap over the sum."""
    return float(2.0 * (one & other).sum() / max(int(one.sum() + other.sum()), 1))


def cldice(found: Mask, truth: Mask) -> float:
    """Return clDice (Shit et al. 2021): the harmonic mean of how much of each one's skeleton lies in the other."""
    thin_found, thin_truth = skeleton(found), skeleton(truth)
    precision = (thin_found & truth).sum() / max(int(thin_found.sum()), 1)
    sensitivity = (thin_truth & found).sum() / max(int(thin_truth.sum()), 1)
    return float(2 * precision * sensitivity / max(precision + sensitivity, 1e-9))


def skeleton(mask: Mask) -> Mask:
    """Return what is left of a mask where erosion and opening differ, as the authors of clDice do it."""
    kept = np.zeros_like(mask)
    for _ in range(_MAX_SKELETON):
        eroded = ndimage.binary_erosion(mask)
        kept |= mask & ~ndimage.binary_dilation(eroded, np.ones((3, 3, 3), dtype=np.bool_))
        mask = eroded
        if not mask.any():
            break
    return kept


def _measure(cascade: Cascade, seed: int, spacing_mm: Triple) -> Case:
    body = draw_abdomen(seed)
    rng = np.random.default_rng([seed, 0x7E57])
    grid = scan_grid(body.half_mm, spacing_mm, up_mm=float(rng.uniform(215.0, 290.0)), rng=rng)
    image, labels = render(body, grid, draw_look("portal", seed), seed=seed)
    geometry = geometry_of_grid(grid)
    began = time.monotonic()
    thresholds = {name: stage.threshold for name, stage in cascade.card.stages.items()}
    masks = parts_of(cascade.run(image, geometry), geometry, thresholds=thresholds)
    seconds = time.monotonic() - began
    truth = {name: labels == value for name, value in _VALUES.items()}
    said = {m.name: m.value for m in measure_liver(masks, geometry, remnant="left")}
    true = {m.name: m.value for m in measure_liver(truth, geometry, remnant="left")}
    return Case(
        seed=seed,
        spacing_mm=spacing_mm,
        shape=grid.shape,
        dice={name: round(dice(masks[name], truth[name]), 4) for name in PARTS},
        vessels_cldice=round(cldice(masks[VESSELS], truth[VESSELS]), 4),
        truth_ml={name: round(true[f"{name}_ml"], 1) for name in PARTS},
        measured_ml={name: round(said[f"{name}_ml"], 1) for name in PARTS},
        remnant_pct_truth=round(true["remnant_pct"], 2),
        remnant_pct=round(said["remnant_pct"], 2),
        seconds=round(seconds, 1),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that train.py wrote")
    parser.add_argument("--exams", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="others than this for tuning")
    parser.add_argument("--report", type=Path, default=MODEL / "evaluation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
