"""Measure weights on held-out synthetic exams and write what was measured; numbers are never typed by hand.

``python evaluate.py --name unseen-anatomy --anatomies mni152 --weights one``
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from overread.dicom.geometry import VolumeGeometry
from overread.operators.card import Postprocessing
from overread.operators.measure import lesion_mask
from overread.operators.predict import Network, load_network
from overread.synthetic.anatomy import load_anatomy
from overread.synthetic.brain import BrainExam, Look, make_exam
from overread.synthetic.mr import ImageGrid, Orientation, Triple, centred_grid

_MODEL = Path(__file__).resolve().parent.parent / "model"
_FIRST_SEED = 7_000_000
"""Fixed before these networks were trained: not training's, not tune.py's, and none that was ever looked at (below 6
million)."""
_VOLUMES_ML = (2.0, 60.0)
"""The lesions this model is meant for."""
_EXTENT_MM = (168.0, 216.0, 184.0)
"""Feet to head, front to back, right to left: a whole head."""
_GRIDS: tuple[tuple[Orientation, Triple], ...] = (
    ("axial", (1.0, 1.0, 1.0)),
    ("axial", (2.0, 1.0, 1.0)),
    ("axial", (3.0, 0.9, 0.9)),
    ("axial", (5.0, 0.8, 0.8)),
    ("sagittal", (1.2, 1.0, 1.0)),
    ("sagittal", (3.0, 1.0, 1.0)),
    ("coronal", (2.0, 1.0, 1.0)),
    ("oblique", (2.5, 1.0, 1.0)),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """An exam that no training saw."""

    anatomy: str
    orientation: Orientation
    skull: bool
    images: BrainExam


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one exam showed."""

    anatomy: str
    orientation: str
    spacing_mm: Triple
    skull: bool
    truth_ml: float
    measured_ml: float
    dice: float | None
    seconds: float


def main() -> None:
    """Evaluate and add the figures, under a name, to the report."""
    options = _options()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as processes:
        parts = list(processes.map(_cases, [options] * options.processes, range(options.processes)))
    cases = [parts[n % len(parts)][n // len(parts)] for n in range(options.lesions + options.healthy)]
    result = {
        "trained_on": json.loads((options.weights / "training.json").read_text("utf-8")),
        "weights_sha256": hashlib.sha256((options.weights / "weights.pt").read_bytes()).hexdigest(),
        "tested_on": options.anatomies,
        "lesions_ml": options.volumes_ml,
        **summary(cases),
        "cases": [dataclasses.asdict(case) for case in cases],
    }
    report = json.loads(options.report.read_text("utf-8")) if options.report.exists() else {}
    report[options.name] = result
    options.report.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(summary(cases), indent=2))


def _cases(options: argparse.Namespace, part: int) -> list[Case]:
    torch.set_num_threads(1)
    network = network_of(options.weights)
    exams = held_out(
        options.anatomies,
        options.lesions,
        options.healthy,
        volumes_ml=tuple(options.volumes_ml),
        part=(part, options.processes),
    )
    return [_measure(network, exam) for exam in exams]


def held_out(
    anatomies: list[str],
    lesions: int,
    healthy: int,
    *,
    volumes_ml: tuple[float, float] = _VOLUMES_ML,
    first_seed: int = _FIRST_SEED,
    part: tuple[int, int] = (0, 1),
) -> Iterator[HeldOut]:
    """Yield exams that follow from their seeds alone: orientations and spacings in turn, volumes log-uniform.

    ``part`` (k, n) leaves out all but every n-th, from the k-th on.
    """
    for number in range(part[0], lesions + healthy, part[1]):
        seed = first_seed + number
        rng = np.random.default_rng(seed)
        name = anatomies[number % len(anatomies)]
        orientation, spacing = _GRIDS[(number // len(anatomies)) % len(_GRIDS)]
        volume_ml = float(np.exp(rng.uniform(*np.log(volumes_ml))))
        look = Look.draw(rng)
        anatomy = load_anatomy(name)
        grid = centred_grid(
            _shape(orientation, spacing), spacing, orientation=orientation, centre_mm=anatomy.centre_lps_mm
        )
        volumes = [volume_ml] if number < lesions else []
        exam = make_exam(anatomy, grid, volumes_ml=volumes, lesion_seed=seed, look=look, seed=seed)
        yield HeldOut(anatomy=name, orientation=orientation, skull=look.skull, images=exam)


def summary(cases: list[Case]) -> dict[str, Any]:
    """Return the figures of the card: Dice, volume errors, and what was found in healthy heads."""
    ill = [case for case in cases if case.dice is not None]
    dice = np.array([case.dice for case in ill])
    off_ml = np.array([abs(case.measured_ml - case.truth_ml) for case in ill])
    truth = np.array([case.truth_ml for case in ill])
    healthy = [case.measured_ml for case in cases if case.dice is None]
    return {
        "exams_with_lesion": len(ill),
        "dice_mean": round(float(dice.mean()), 4),
        "dice_median": round(float(np.median(dice)), 4),
        "dice_min": round(float(dice.min()), 4),
        "volume_error_pct_mean": round(float((off_ml / truth).mean() * 100), 2),
        "within_8pct_or_half_ml": int(((off_ml <= 0.08 * truth) | (off_ml <= 0.5)).sum()),  # noqa: PLR2004
        "exams_without_lesion": len(healthy),
        "false_volume_ml_max": round(max(healthy, default=0.0), 4),
        "false_volumes_above_0_1_ml": sum(volume > 0.1 for volume in healthy),  # noqa: PLR2004
        "seconds_per_exam_mean": round(float(np.mean([case.seconds for case in cases])), 2),
    }


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return twice the overlap over the sum."""
    return float(2.0 * (one & other).sum() / max(int(one.sum() + other.sum()), 1))


def geometry_of_grid(grid: ImageGrid) -> VolumeGeometry:
    """Return the grid as the image knows it."""
    return VolumeGeometry(
        shape=grid.shape,
        affine_lps=grid.affine_lps,
        spacing_mm=grid.spacing_mm,
        sop_instance_uids=tuple(str(k) for k in range(grid.shape[0])),
        frame_of_reference_uid="",
    )


def network_of(trained: Path) -> Network:
    """Load the weights in a folder under the shipped card, so that what is measured is what the image does."""
    weights = trained / "weights.pt"
    card = yaml.safe_load((_MODEL / "card.yaml").read_text("utf-8"))
    card["weights"]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(weights, Path(folder) / card["weights"]["file"])
        (Path(folder) / "card.yaml").write_text(yaml.safe_dump(card), "utf-8")
        return load_network(Path(folder))


def _measure(network: Network, exam: HeldOut) -> Case:
    began = time.monotonic()
    geometry = geometry_of_grid(exam.images.grid)
    rules: Postprocessing = network.card.postprocessing
    mask = lesion_mask(network.probability(exam.images.flair, geometry), geometry, rules=rules)
    truth = exam.images.mask
    case = Case(
        anatomy=exam.anatomy,
        orientation=exam.orientation,
        spacing_mm=exam.images.grid.spacing_mm,
        skull=exam.skull,
        truth_ml=round(exam.images.volume_ml, 4),
        measured_ml=round(int(mask.sum()) * exam.images.grid.voxel_ml, 4),
        dice=round(dice(mask, truth), 4) if truth.any() else None,
        seconds=round(time.monotonic() - began, 2),
    )
    print(case, flush=True)
    return case


def _shape(orientation: Orientation, spacing_mm: Triple) -> tuple[int, int, int]:
    up, back, left = _EXTENT_MM
    extent = {"sagittal": (left, up, back), "coronal": (back, up, left)}.get(orientation, _EXTENT_MM)
    slices, rows, columns = (round(e / s) for e, s in zip(extent, spacing_mm, strict=True))
    return slices, rows, columns


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="under which the figures stand in the report")
    parser.add_argument("--weights", type=Path, required=True, help="folder that train.py wrote")
    parser.add_argument("--anatomies", nargs="+", default=["mni152", "colin27"])
    parser.add_argument("--lesions", type=int, default=32, help="exams with a lesion")
    parser.add_argument("--healthy", type=int, default=16, help="exams without")
    parser.add_argument("--volumes-ml", type=float, nargs=2, default=_VOLUMES_ML, help="smallest and largest lesion")
    parser.add_argument("--report", type=Path, default=_MODEL / "evaluation.json")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
