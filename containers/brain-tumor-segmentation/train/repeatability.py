"""Measure how much the model's volume moves when nothing has changed: test and retest on synthetic exams.

``python repeatability.py --pairs 24`` writes ``../model/repeatability.json``; docs/explanation/progression.md explains.

A pair is one head with one lesion, scanned twice by one protocol: another position of the head (some millimetres and
degrees), other noise, other inhomogeneity and texture. The lesion's true volume is equal, so whatever the two measured
volumes differ by is the measurement's own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from evaluate import geometry_of_grid, network_of
from numpy.typing import NDArray

from overread.operators.measure import lesion_mask
from overread.operators.predict import Network
from overread.synthetic.anatomy import load_anatomy
from overread.synthetic.brain import BrainExam, Look, make_exam
from overread.synthetic.mr import ImageGrid, Orientation, Triple, centred_grid

_MODEL = Path(__file__).resolve().parent.parent / "model"
_FIRST_SEED: Final = 8_000_000
"""Of their own: neither training's nor evaluation's."""
_VOLUMES_ML: Final = (2.0, 60.0)
_SMALL_ML: Final = 6.0
"""Below, noise is told in mL (voxels at the surface); above, in percent."""
_SHIFT_MM, _TURN_DEG = 6.0, 4.0
_REPEATABILITY: Final = 1.96 * np.sqrt(2.0)
"""Two measurements of an unchanged thing differ by less than this times the within-subject SD in 95 of 100 cases."""
_EXTENT_MM: Final = (168.0, 216.0, 184.0)
_GRIDS: Final[tuple[tuple[Orientation, Triple], ...]] = (
    ("axial", (2.0, 1.0, 1.0)),
    ("axial", (3.0, 0.9, 0.9)),
    ("sagittal", (1.2, 1.0, 1.0)),
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One lesion, measured twice."""

    anatomy: str
    orientation: str
    spacing_mm: Triple
    truth_ml: float
    test_ml: float
    retest_ml: float


def main() -> None:
    """Measure the pairs and write what they show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--anatomies", nargs="+", default=["mni152", "colin27"])
    parser.add_argument("--weights", type=Path, default=_MODEL)
    parser.add_argument("--out", type=Path, default=_MODEL / "repeatability.json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = network_of(options.weights)
    pairs = []
    for pair in measured(network, options.anatomies, options.pairs):
        pairs.append(pair)
        print(pair, flush=True)
        document = {
            "model": f"{network.card.name} {network.card.version}",
            "weights_sha256": network.card.weights.sha256,
            **summary(pairs),
            "pairs": [asdict(each) for each in pairs],
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def measured(network: Network, anatomies: list[str], count: int) -> Iterator[Pair]:
    """Yield pairs that follow from their seeds alone; volumes are spread evenly on a logarithmic scale."""
    low, high = np.log(_VOLUMES_ML)
    for number in range(count):
        rng = np.random.default_rng(_FIRST_SEED + number)
        name = anatomies[number % len(anatomies)]
        orientation, spacing = _GRIDS[(number // len(anatomies)) % len(_GRIDS)]
        # The golden ratio's multiples fill the range evenly, however many pairs there are.
        volume_ml = float(np.exp(low + (high - low) * ((number * 0.6180339887 + 0.5) % 1.0)))
        look = Look.draw(rng)
        exams = [
            make_exam(
                load_anatomy(name),
                _placed(name, orientation, spacing, rng),
                volumes_ml=[volume_ml],
                lesion_seed=_FIRST_SEED + number,
                look=look,
                seed=int(rng.integers(2**31)),
            )
            for _ in range(2)
        ]
        test_ml, retest_ml = (_volume_ml(network, exam) for exam in exams)
        yield Pair(
            anatomy=name,
            orientation=orientation,
            spacing_mm=spacing,
            truth_ml=round(exams[0].volume_ml, 3),
            test_ml=round(test_ml, 3),
            retest_ml=round(retest_ml, 3),
        )


def summary(pairs: list[Pair]) -> dict[str, Any]:
    """Return the repeatability coefficients of the pairs in which the lesion was found both times.

    ``pct`` is 2.77 times the within-subject coefficient of variation of the larger lesions; ``floor_ml`` is 2.77 times
    the within-subject SD of the small ones. A lesion missed in one scan is a miss, not noise: it is counted apart.
    """
    found = [pair for pair in pairs if pair.test_ml > 0 and pair.retest_ml > 0]
    large = [pair for pair in found if pair.truth_ml >= _SMALL_ML]
    small = [pair for pair in found if pair.truth_ml < _SMALL_ML]
    relative = [200.0 * (p.retest_ml - p.test_ml) / (p.retest_ml + p.test_ml) for p in large]
    return {
        "pct": _coefficient(relative, digits=1),
        "floor_ml": _coefficient([p.retest_ml - p.test_ml for p in small], digits=2),
        "pairs_large": len(large),
        "pairs_small": len(small),
        "pairs_with_a_miss": len(pairs) - len(found),
        "small_below_ml": _SMALL_ML,
    }


def _coefficient(differences: list[float], *, digits: int) -> float | None:
    """Return the repeatability coefficient of differences between two measurements of the same."""
    if not differences:
        return None
    within_sd = np.sqrt(np.mean(np.square(differences)) / 2.0)
    return round(float(_REPEATABILITY * within_sd), digits)


def _placed(anatomy: str, orientation: Orientation, spacing_mm: Triple, rng: np.random.Generator) -> ImageGrid:
    """Return the protocol's grid over a head that lies a little differently each time."""
    up, back, left = _EXTENT_MM
    extent = (left, up, back) if orientation == "sagittal" else _EXTENT_MM
    slices, rows, columns = (round(e / s) for e, s in zip(extent, spacing_mm, strict=True))
    centre = np.asarray(load_anatomy(anatomy).centre_lps_mm)
    straight = centred_grid((slices, rows, columns), spacing_mm, orientation=orientation)
    turn = _turned(np.deg2rad(rng.uniform(-_TURN_DEG, _TURN_DEG, 3)))
    row, column = turn @ np.asarray(straight.row_cosine), turn @ np.asarray(straight.column_cosine)
    grid = ImageGrid(
        shape=straight.shape,
        spacing_mm=spacing_mm,
        row_cosine=(float(row[0]), float(row[1]), float(row[2])),
        column_cosine=(float(column[0]), float(column[1]), float(column[2])),
        origin_mm=(0.0, 0.0, 0.0),
    )
    middle = grid.affine_lps[:3, :3] @ ((np.asarray(grid.shape) - 1) / 2)
    x, y, z = centre + rng.uniform(-_SHIFT_MM, _SHIFT_MM, 3) - middle
    return ImageGrid(
        shape=grid.shape,
        spacing_mm=spacing_mm,
        row_cosine=grid.row_cosine,
        column_cosine=grid.column_cosine,
        origin_mm=(float(x), float(y), float(z)),
    )


def _turned(angles_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = np.eye(3)
    for axis, angle in enumerate(angles_rad):
        first, second = (each for each in range(3) if each != axis)
        one = np.eye(3)
        one[first, first] = one[second, second] = np.cos(angle)
        one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    return turn


def _volume_ml(network: Network, exam: BrainExam) -> float:
    geometry = geometry_of_grid(exam.grid)
    probability = network.probability(exam.flair, geometry)
    mask = lesion_mask(probability, geometry, rules=network.card.postprocessing)
    return int(mask.sum()) * exam.grid.voxel_ml


if __name__ == "__main__":
    main()
